"""What the user drew becomes masks, motions and handles; everything odd is an error or a note, in a
sentence.
"""

from __future__ import annotations

import math
import time

import pytest
import torch
from torch import Tensor

from drag_core.motion.geometry import apply, motion_matrix
from drag_core.motion.instruction import DragInstruction, PointSpec, RegionSpec, Shape, Stroke
from drag_core.motion.masks import adaptive_mask, centroid, grow, region_weights
from drag_core.motion.task import build_task, draw
from drag_core.types import DragError, Grid, Task

SIZE = Grid(60, 80)


def box(x0: float, y0: float, x1: float, y1: float) -> Shape:
    """The pixels x0..x1, y0..y1, ends included."""
    return Shape(polygons=(((x0, y0), (x1, y0), (x1, y1), (x0, y1)),))


def one(spec: RegionSpec, size: Grid = SIZE) -> tuple[Task, tuple[str, ...]]:
    return build_task(DragInstruction(regions=(spec,)), size)


def test_polygons_are_drawn_with_their_edges() -> None:
    mask = draw(box(10, 20, 19, 24), SIZE)
    assert mask.sum() == 50 and mask[20:25, 10:20].all()


def test_strokes_are_drawn_with_their_radius() -> None:
    mask = draw(Shape(strokes=(Stroke(((20, 30), (50, 30)), 5),)), SIZE)
    assert mask[30, 15] and mask[30, 55] and mask[25, 35] and mask[35, 35]
    assert not mask[30, 13] and not mask[30, 57] and not mask[22, 35] and not mask[38, 35]
    dot = draw(Shape(strokes=(Stroke(((20, 30),), 5),)), SIZE)
    assert dot.sum() == pytest.approx(math.pi * 25, rel=0.15)


def test_a_stroke_of_any_radius_is_drawn() -> None:
    assert draw(Shape(strokes=(Stroke(((0, 0), (5, 5)), 1e8),)), SIZE).all()


def test_polygons_strokes_and_masks_are_united_and_masks_are_scaled() -> None:
    seen: list[str] = []

    def read(name: str) -> Tensor:
        seen.append(name)
        mask = torch.zeros(30, 40)
        mask[:5, :5] = 1
        return mask

    shape = Shape(box(40, 40, 44, 44).polygons, (Stroke(((70, 10),), 3),), "part.png")
    mask = draw(shape, SIZE, read)
    assert seen == ["part.png"]
    assert mask[:10, :10].all() and mask[40:45, 40:45].all() and mask[10, 70]
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    with pytest.raises(DragError, match="'part.png' can't be read here"):
        draw(shape, SIZE)


def test_far_coordinates_are_drawn_quickly() -> None:
    start = time.process_time()
    mask = draw(Shape(box(-1e9, -1e9, 1e9, 1e9).polygons, (Stroke(((-1e9, 0), (1e9, 0)), 2),)), SIZE)
    assert mask.all() and time.process_time() - start < 6


def test_relocation_carries_the_centroid_to_the_target() -> None:
    for task in ("relocation", "deformation"):
        found, notes = one(RegionSpec(box(10, 10, 20, 20), task, (40, 30)))
        (region,) = found.regions
        assert notes == () and region.weight == 1 and region.motion.shift == (25, 15)
        assert (
            found.image == SIZE and found.handles[0].start == (15, 15) and found.handles[0].target == (40, 30)
        )


def test_rotation_by_target_turns_the_centroid_about_the_anchor() -> None:
    found, _ = one(RegionSpec(box(35, 10, 45, 20), "rotation", (65, 40), anchor=(40, 40)))
    assert found.regions[0].motion.angle == pytest.approx(math.pi / 2)
    assert apply(motion_matrix(found.regions[0].motion), (40, 15)) == pytest.approx((65, 40))


def test_rotation_by_angle_needs_no_target_and_minds_none() -> None:
    for target in (None, (500.0, 500.0)):
        found, notes = one(RegionSpec(box(30, 20, 50, 40), "rotation", target, angle=450))
        assert found.regions[0].motion.angle == pytest.approx(math.radians(450)) and notes == ()
        assert found.regions[0].motion.anchor == pytest.approx((40, 30))


def test_a_turn_may_point_off_the_picture() -> None:
    found, notes = one(RegionSpec(box(35, 10, 45, 20), "rotation", (90, 30), anchor=(40, 30)))
    assert found.regions[0].motion.angle == pytest.approx(math.pi / 2) and notes == ()


def test_rotation_about_its_own_centre_without_angle_is_refused() -> None:
    with pytest.raises(DragError, match="needs an angle"):
        one(RegionSpec(box(30, 20, 50, 40), "rotation", (60, 30)))
    with pytest.raises(DragError, match="target lies on its anchor"):
        one(RegionSpec(box(30, 20, 50, 40), "rotation", (10, 10), anchor=(10, 10)))


def test_scale_is_about_the_centroid_or_the_anchor() -> None:
    found, notes = one(RegionSpec(box(30, 20, 50, 40), "scale", scale=(1.5, 0.5)))
    assert (
        notes == ()
        and found.regions[0].motion.scale == (1.5, 0.5)
        and found.regions[0].motion.anchor == (40, 30)
    )
    handle = found.handles[0]
    assert handle.target == pytest.approx(
        (40 + 1.5 * (handle.start[0] - 40), 30 + 0.5 * (handle.start[1] - 30))
    )
    assert math.dist(handle.start, (40, 30)) > 3  # at the anchor it would show nothing
    found, _ = one(RegionSpec(box(30, 20, 50, 40), "scale", scale=(2, 2), anchor=(30, 20)))
    assert apply(motion_matrix(found.regions[0].motion), (30, 20)) == pytest.approx((30, 20))
    for tiny in (1e-9, 1e-320):
        with pytest.raises(DragError, match="choose larger factors"):
            one(RegionSpec(box(30, 20, 50, 40), "scale", scale=(tiny, 1), anchor=(500, 0)))


def test_a_turns_handle_is_three_fifths_out() -> None:
    """Of eleven pixels in a row from the anchor on the seventh."""
    found, _ = one(RegionSpec(box(30, 20, 40, 20), "rotation", angle=90, anchor=(30, 20)))
    assert found.handles[0].start == (36, 20) and found.handles[0].target == pytest.approx((30, 26))


def test_an_empty_region_is_refused() -> None:
    with pytest.raises(DragError, match="region 1 is empty: nothing of it lies inside the 80x60 picture"):
        one(RegionSpec(box(200, 200, 210, 210), "relocation", (10, 10)))
    with pytest.raises(DragError, match="the cat is empty"):
        build_task(
            DragInstruction(
                regions=(RegionSpec(Shape(mask="m.png"), "relocation", (10, 10), label="the cat"),)
            ),
            SIZE,
            lambda name: torch.zeros(60, 80),
        )


@pytest.mark.parametrize("target", [(80.0, 30.0), (-0.6, 5.0), (5.0, 59.6), (5.0, 1e9)])
def test_a_target_off_the_picture_is_refused(target: tuple[float, float]) -> None:
    with pytest.raises(DragError, match=r"the target of region 1 is \(.*outside the 80x60 picture"):
        one(RegionSpec(box(10, 10, 20, 20), "relocation", target))


def test_a_target_on_the_last_pixel_is_accepted() -> None:
    one(RegionSpec(box(10, 10, 20, 20), "relocation", (79.4, 59.4)))


def test_a_region_that_leaves_the_picture_is_refused() -> None:
    with pytest.raises(DragError, match="nothing of region 1 would be left"):
        one(RegionSpec(box(10, 10, 20, 20), "rotation", anchor=(0, 0), angle=180))


def test_a_region_that_leaves_partly_gets_a_note() -> None:
    _, notes = one(RegionSpec(box(10, 10, 30, 30), "relocation", (75, 20)))
    assert len(notes) == 1 and "partly off the picture" in notes[0]


def test_a_drag_of_one_pixel_gets_a_note() -> None:
    _, notes = one(RegionSpec(box(10, 10, 30, 30), "relocation", (21, 20)))
    assert len(notes) == 1 and "region 1 moves by 1.0 px" in notes[0]
    _, notes = build_task(
        DragInstruction(points=(PointSpec((5, 5), (6, 5)), PointSpec((5, 5), (5, 5)))), SIZE
    )
    assert [n[:22] for n in notes] == ["point 1 moves by 1.0 p", "point 2 moves by 0.0 p"]


def test_a_concave_region_works_though_its_centroid_lies_outside() -> None:
    u = Shape(polygons=(((10, 10), (14, 10), (14, 40), (36, 40), (36, 10), (40, 10), (40, 44), (10, 44)),))
    mask = draw(u, SIZE)
    x, y = centroid(mask)
    assert not mask[round(y), round(x)]
    found, notes = one(RegionSpec(u, "relocation", (x + 30, y)))
    handle = found.handles[0]
    assert notes == () and mask[int(handle.start[1]), int(handle.start[0])] == 1
    assert handle.target == pytest.approx((handle.start[0] + 30, handle.start[1]))


def test_another_size_is_scaled_with_a_note() -> None:
    spec = RegionSpec(box(10, 10, 14, 14), "relocation", (30, 20))
    x = DragInstruction(40, 30, regions=(spec,), points=(PointSpec((5, 5), (9, 9)),))
    found, notes = build_task(x, SIZE)
    assert len(notes) == 1 and "40x30" in notes[0] and "80x60" in notes[0]
    assert found.image == SIZE and found.handles[0].start == (10.5, 10.5)
    moved = apply(motion_matrix(found.regions[0].motion), centroid(found.regions[0].mask))
    assert moved == pytest.approx((60.5, 40.5))
    same, none = build_task(x, Grid(30, 40))
    assert none == () and same.handles[0].start == (5, 5)


def test_points_only() -> None:
    found, notes = build_task(DragInstruction(points=(PointSpec((20, 20), (50, 40)),)), SIZE)
    (handle,) = found.handles
    assert (
        found.regions == ()
        and notes == ()
        and (handle.start, handle.target, handle.region) == ((20, 20), (50, 40), None)
    )
    assert (
        found.editable is not None
        and found.editable[20, 20]
        and found.editable[40, 50]
        and found.editable[30, 35]
    )
    assert not found.editable[5, 70] and not found.editable[55, 5]
    level, _ = build_task(DragInstruction(points=(PointSpec((20, 30), (50, 30)),)), SIZE)
    assert level.editable is not None and level.editable[:, 35].nonzero().flatten().tolist() == [
        *range(22, 39)
    ]


def test_many_points_take_bounded_time() -> None:
    points = tuple(PointSpec((k % 500, k // 3), (k // 3, k % 500)) for k in range(1024))
    start = time.process_time()
    build_task(DragInstruction(points=points), Grid(512, 512))
    assert time.process_time() - start < 6


@pytest.mark.parametrize(
    "pair, what", [(((90, 5), (5, 5)), "point 1 is"), (((5, 5), (5, 90)), "the target of point 1 is")]
)
def test_points_off_the_picture_are_refused(
    pair: tuple[tuple[float, float], tuple[float, float]], what: str
) -> None:
    with pytest.raises(DragError, match=what):
        build_task(DragInstruction(points=(PointSpec(*pair),)), SIZE)


def test_an_instruction_that_moves_nothing_is_refused() -> None:
    with pytest.raises(DragError, match="moves nothing"):
        build_task(DragInstruction(), SIZE)


def test_given_points_replace_the_regions_handles() -> None:
    spec = RegionSpec(box(10, 10, 20, 20), "relocation", (40, 30))
    found, _ = build_task(DragInstruction(regions=(spec,), points=(PointSpec((12, 12), (37, 27)),)), SIZE)
    assert [h.start for h in found.handles] == [(12, 12)] and len(found.regions) == 1


def test_weights_are_normalised_gammas_times_the_given_weight() -> None:
    small, large = box(5, 5, 10, 10), box(20, 10, 50, 40)
    specs = (RegionSpec(small, "relocation", (10, 30), weight=3), RegionSpec(large, "relocation", (40, 30)))
    found, _ = build_task(DragInstruction(regions=specs), SIZE)
    gamma = region_weights([draw(small, SIZE), draw(large, SIZE)])
    assert sum(gamma) == pytest.approx(1) and gamma[0] > gamma[1]
    assert [r.weight for r in found.regions] == pytest.approx([3 * gamma[0], gamma[1]])


def test_editable_modes() -> None:
    spec = RegionSpec(box(30, 20, 40, 30), "relocation", (50, 40))
    adaptive, _ = build_task(DragInstruction(regions=(spec,)), SIZE)
    assert adaptive.editable is not None and not adaptive.editable.all()
    assert (adaptive.editable >= adaptive_mask(adaptive.regions)).all()
    everything, _ = build_task(DragInstruction(regions=(spec,), editable="none"), SIZE)
    assert everything.editable is None
    painted, _ = build_task(
        DragInstruction(regions=(spec,), editable="painted", painted=box(0, 0, 9, 9)), SIZE
    )
    assert painted.editable is not None and painted.editable.sum() == 100
    with pytest.raises(DragError, match="the editable mask is empty"):
        build_task(
            DragInstruction(regions=(spec,), editable="painted", painted=box(200, 200, 210, 210)), SIZE
        )


@pytest.mark.parametrize(("height", "radius"), [(512, 23), (256, 17)])
def test_the_adaptive_mask_grows_by_a_part_of_the_mean_side(height: int, radius: int) -> None:
    """0.045 of 512, and of (256 + 512)/2, round to 23 and 17 px."""
    spec = RegionSpec(box(120, 100, 199, 179), "relocation", (223.5, 139.5))  # 64 px to the right
    found, _ = one(spec, Grid(height, 512))
    way = draw(box(120, 100, 263, 179), Grid(height, 512))
    assert found.editable is not None and torch.equal(found.editable, grow(way, radius))
    row, column = found.editable[140].nonzero(), found.editable[:, 140].nonzero()
    assert (int(row[0]), int(row[-1])) == (120 - radius, 263 + radius)
    assert (int(column[0]), int(column[-1])) == (100 - radius, 179 + radius)


def test_masks_are_zeros_and_ones_of_the_pictures_size() -> None:
    spec = RegionSpec(box(30, 20, 40, 30), "rotation", angle=30)
    found, _ = build_task(DragInstruction(160, 120, regions=(spec,)), SIZE)
    masks = [found.regions[0].mask, found.editable]
    assert all(
        m is not None and m.shape == (60, 80) and set(m.unique().tolist()) <= {0.0, 1.0} for m in masks
    )


def test_a_region_of_one_pixel_works() -> None:
    for spec in (
        RegionSpec(box(30, 20, 30, 20), "relocation", (40, 30)),
        RegionSpec(box(30, 20, 30, 20), "rotation", angle=20),
    ):
        found, _ = one(spec)
        assert found.regions[0].mask.sum() == 1 and len(found.handles) == 1

"""Masks, instructions and earlier regions become one task; what is odd about it is said in a sentence."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from drag_core.motion.geometry import apply, motion_matrix
from drag_core.motion.instruction import DragInstruction, PointSpec, RegionSpec, Shape, parse
from drag_core.motion.masks import centroid, moved, region_weights
from drag_core.motion.region import drag_task
from drag_core.motion.task import build_task, joined, user_weights
from drag_core.types import DragError, Grid, Region, Task

SIZE = Grid(60, 80)
QUICK = settings(max_examples=30, deadline=None, derandomize=True)


def box(x0: int, y0: int, x1: int, y1: int, size: Grid = SIZE) -> Tensor:
    """The pixels x0..x1, y0..y1, ends included."""
    out = torch.zeros(size.height, size.width)
    out[y0 : y1 + 1, x0 : x1 + 1] = 1
    return out


def outline(x0: int, y0: int, x1: int, y1: int) -> Shape:
    return Shape(polygons=(((x0, y0), (x1, y0), (x1, y1), (x0, y1)),))


def to(x: float, y: float, weight: float = 1.0) -> RegionSpec:
    return RegionSpec(Shape(), "relocation", target=(x, y), weight=weight)


def test_a_mask_is_what_the_same_drawn_region_is() -> None:
    for how in (
        to(40, 30),
        RegionSpec(Shape(), "deformation", target=(40, 30)),
        RegionSpec(Shape(), "rotation", angle=30),
        RegionSpec(Shape(), "rotation", angle=-20, anchor=(30, 30)),
        RegionSpec(Shape(), "scale", scale=(1.5, 0.5)),
        RegionSpec(Shape(), "scale", scale=(2, 2), anchor=(12, 12)),
    ):
        found, notes = drag_task(SIZE, [box(10, 12, 20, 18)], how)
        drawn = RegionSpec(outline(10, 12, 20, 18), how.task, how.target, how.anchor, how.angle, how.scale)
        want, _ = build_task(DragInstruction(regions=(drawn,)), SIZE)
        assert notes == () and found.editable is not None and want.editable is not None
        assert torch.equal(found.editable, want.editable)
        assert torch.equal(found.regions[0].mask, want.regions[0].mask)
        assert found.regions[0].motion == want.regions[0].motion and found.regions[0].weight == 1
        assert found.handles[0].start == want.handles[0].start
        assert found.handles[0].target == want.handles[0].target


@pytest.mark.parametrize(("last", "told"), [(48, ()), (45, ("20% of the mask and of where it goes",))])
def test_a_painted_mask_that_leaves_some_of_the_way_out_gets_a_note(last: int, told: tuple[str, ...]) -> None:
    """Ten columns move by thirty, so that twenty count: at most a tenth of them may lie outside."""
    painted = box(10, 10, 19, 19) + box(40, 10, last, 19)
    _, notes = drag_task(SIZE, [box(10, 10, 19, 19)], to(44.5, 14.5), painted=painted)
    assert tuple(n[: len(t)] for n, t in zip(notes, told, strict=True)) == told


def test_positive_degrees_turn_clockwise_on_screen() -> None:
    found, _ = drag_task(
        SIZE, [box(38, 10, 42, 14)], RegionSpec(Shape(), "rotation", angle=90, anchor=(40, 30))
    )
    assert centroid(moved(found.regions[0])) == pytest.approx((58, 30))  # from above the anchor to its right


def test_every_mask_of_a_batch_is_a_region_with_its_own_centroid() -> None:
    masks = [box(10, 10, 20, 20), box(50, 30, 60, 44)]
    found, notes = drag_task(SIZE, masks, RegionSpec(Shape(), "rotation", angle=25))
    assert [r.motion.anchor for r in found.regions] == [(15, 15), (55, 37)] and notes == ()
    assert [r.weight for r in found.regions] == pytest.approx(region_weights(masks))
    assert len(found.handles) == 2


def test_masks_that_go_to_one_place_get_a_note() -> None:
    _, notes = drag_task(SIZE, [box(10, 10, 20, 20), box(50, 30, 60, 44)], to(40, 30))
    assert len(notes) == 1 and notes[0].startswith("mask 1 and mask 2 go to the same place")


def test_what_may_change() -> None:
    mask = [box(30, 20, 40, 30)]
    adaptive, _ = drag_task(SIZE, mask, to(50, 40))
    assert adaptive.editable is not None and 0 < adaptive.editable.sum() < 60 * 80
    everything, _ = drag_task(SIZE, mask, to(50, 40), everything=True)
    assert everything.editable is None
    painted, notes = drag_task(SIZE, mask, to(50, 40), everything=True, painted=box(20, 10, 70, 50))
    assert painted.editable is not None and torch.equal(painted.editable, box(20, 10, 70, 50)) and notes == ()


def test_a_painted_mask_that_leaves_the_drag_out_gets_a_note() -> None:
    # source x 30..40 and target x 50..60, of which x up to 40 may change: half of it is left out
    _, notes = drag_task(SIZE, [box(30, 20, 40, 30)], to(55, 25), painted=box(0, 0, 40, 59))
    assert len(notes) == 1 and notes[0].startswith("50% of the mask and of where it goes lie outside")


def test_an_instruction_is_added_to_the_mask() -> None:
    x = parse(
        '{"regions": [{"polygons": [[[50, 40], [60, 40], [60, 50], [50, 50]]], "target": [20, 45],'
        '  "weight": 3}],'
        ' "points": [{"start": [52, 42], "target": [17, 42]}],'
        ' "editable": {"mode": "painted", "polygons": [[[8, 38], [70, 38], [70, 52], [8, 52]]]}}'
    )
    mask = box(30, 10, 40, 20)
    found, notes = drag_task(SIZE, [mask], to(55, 15, 2.0), x)
    assert notes == () and len(found.regions) == 2
    assert torch.equal(found.regions[0].mask, mask)
    gamma = region_weights([r.mask for r in found.regions])
    assert [r.weight for r in found.regions] == pytest.approx([2 * gamma[0], 3 * gamma[1]])
    # the mask keeps the handle of its region, the instruction its point
    assert [h.start for h in found.handles] == [(35, 15), (52, 42)]
    # the box around the mask and what the instruction painted
    assert found.editable is not None and found.editable[15, 45] and found.editable[40, 10]
    assert not found.editable[30, 5]


def test_an_instruction_may_only_say_what_may_change() -> None:
    mask = [box(30, 20, 40, 30)]
    none, _ = drag_task(SIZE, mask, to(50, 40), parse('{"editable": {"mode": "none"}}'))
    assert none.editable is None and len(none.regions) == 1
    polygon = '{"editable": {"mode": "painted", "polygons": [[[20, 10], [70, 10], [70, 50], [20, 50]]]}}'
    painted, _ = drag_task(SIZE, mask, to(50, 40), parse(polygon))
    assert painted.editable is not None and torch.equal(painted.editable, box(20, 10, 70, 50))


def test_an_instruction_without_mask() -> None:
    x = DragInstruction(points=(PointSpec((20, 20), (50, 40)),))
    found, notes = drag_task(SIZE, instruction=x)
    assert found.regions == () and found.handles[0].start == (20, 20) and notes == ()
    with pytest.raises(DragError, match="moves nothing"):
        drag_task(SIZE, instruction=DragInstruction())


def test_an_instruction_of_another_size_is_scaled_and_the_mask_is_not() -> None:
    x = DragInstruction(40, 30, points=(PointSpec((5, 5), (20, 20)),))
    found, notes = drag_task(SIZE, [box(30, 20, 40, 30)], to(50, 40), x)
    assert len(notes) == 1 and "40x30" in notes[0] and "80x60" in notes[0]
    assert found.handles[0].target == (50, 40) and found.handles[1].start == (10.5, 10.5)


def test_prompts_are_pointed_out() -> None:
    x = DragInstruction(points=(PointSpec((20, 20), (50, 40)),), source_prompt="a cat")
    _, notes = drag_task(SIZE, instruction=x)
    assert len(notes) == 1 and "source 'a cat'" in notes[0]


def test_mask_pictures_of_an_instruction_are_not_read() -> None:
    for name in ("part.png", "0"):
        x = DragInstruction(regions=(RegionSpec(Shape(mask=name), "relocation", (10, 10)),))
        with pytest.raises(DragError, match=f"names a mask picture, '{name}', which can't be read here"):
            drag_task(SIZE, [box(30, 20, 40, 30)], to(50, 40), x)


def test_nodes_in_a_chain_add_up() -> None:
    small, large = box(5, 5, 10, 10), box(20, 10, 50, 40)
    first, _ = drag_task(SIZE, [small], to(10, 30, 3.0))
    both, notes = drag_task(SIZE, [large], RegionSpec(Shape(), "rotation", angle=20), before=first)
    assert notes == () and len(both.regions) == 2 and len(both.handles) == 2
    gamma = region_weights([small, large])
    assert [r.weight for r in both.regions] == pytest.approx([3 * gamma[0], gamma[1]])
    alone, _ = drag_task(SIZE, [large], RegionSpec(Shape(), "rotation", angle=20))
    assert first.editable is not None and alone.editable is not None and both.editable is not None
    assert torch.equal(both.editable, torch.maximum(first.editable, alone.editable))
    # once everything may change it stays so
    free, _ = drag_task(SIZE, [small], to(10, 30), everything=True, before=first)
    assert free.editable is None
    assert drag_task(SIZE, [large], to(30, 30), before=free)[0].editable is None


def test_earlier_regions_alone_pass_through() -> None:
    first, _ = drag_task(SIZE, [box(5, 5, 10, 10)], to(10, 30))
    same, notes = drag_task(SIZE, before=first)
    assert notes == () and same.regions[0].motion == first.regions[0].motion and same.handles == first.handles
    assert same.editable is not None and first.editable is not None
    assert torch.equal(same.editable, first.editable)
    assert drag_task(SIZE, before=first, everything=True)[0].editable is None
    wider, _ = drag_task(SIZE, before=first, painted=box(60, 40, 79, 59))
    assert wider.editable is not None and wider.editable.sum() == first.editable.sum() + 400


@QUICK
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 40), st.floats(0.1, 9)), min_size=2, max_size=5),
    st.integers(1, 4),
)
def test_joining_in_any_grouping_keeps_the_users_weights(
    drawn: list[tuple[int, int, float]], split: int
) -> None:
    def task(part: list[tuple[int, int, float]]) -> Task:
        specs = tuple(
            RegionSpec(outline(x, y, x + 5 + k, y + 9), "rotation", angle=9, weight=w)
            for k, (x, y, w) in enumerate(part)
        )
        return build_task(DragInstruction(regions=specs), SIZE)[0]

    split = min(split, len(drawn) - 1)
    both = joined(task(drawn[:split]), task(drawn[split:]))
    assert user_weights(both.regions) == pytest.approx([w for _, _, w in drawn])
    gamma = region_weights([r.mask for r in both.regions])
    assert [r.weight for r in both.regions] == pytest.approx(
        [g * w for g, (_, _, w) in zip(gamma, drawn, strict=True)]
    )


def test_tasks_of_two_pictures_are_not_joined() -> None:
    first, _ = drag_task(SIZE, [box(5, 5, 10, 10)], to(10, 30))
    other = Grid(30, 40)
    mask = [box(5, 5, 10, 10, other)]
    with pytest.raises(DragError, match="regions before are drawn on 80x60 and this picture is 40x30"):
        drag_task(other, mask, to(10, 20), before=first)
    with pytest.raises(DragError, match="two sizes, 80x60 and 40x30"):
        joined(first, drag_task(other, mask, to(10, 20))[0])


def test_nothing_to_drag_is_refused() -> None:
    with pytest.raises(DragError, match="nothing is dragged: connect a mask"):
        drag_task(SIZE)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(DragError, match="^the mask is empty: paint"):
        drag_task(SIZE, [torch.zeros(60, 80)], to(10, 30))
    with pytest.raises(DragError, match="^mask 2 is empty: paint"):
        drag_task(SIZE, [box(5, 5, 10, 10), torch.zeros(60, 80)], to(10, 30))
    with pytest.raises(DragError, match="the editable mask is empty"):
        drag_task(SIZE, [box(5, 5, 10, 10)], to(10, 30), painted=torch.zeros(60, 80))


def test_a_target_off_the_picture_is_refused() -> None:
    with pytest.raises(DragError, match=r"the target of the mask is \(95, 30\), outside the 80x60 picture"):
        drag_task(SIZE, [box(5, 5, 10, 10)], to(95, 30))


def test_wrong_numbers_are_refused() -> None:
    mask = [box(5, 5, 10, 10)]
    with pytest.raises(DragError, match="two factors above 0"):
        drag_task(SIZE, mask, RegionSpec(Shape(), "scale", scale=(0, 1)))
    with pytest.raises(DragError, match="the weight is -1; it must be above 0"):
        drag_task(SIZE, mask, to(20, 20, -1.0))
    with pytest.raises(DragError, match="the mask has no motion"):
        drag_task(SIZE, mask)


def test_a_short_drag_gets_a_note() -> None:
    _, notes = drag_task(SIZE, [box(10, 10, 20, 20)], to(16, 15))
    assert len(notes) == 1 and notes[0].startswith("the mask moves by 1.0 px; under 2 px")


def test_a_concave_mask_gets_a_note_unless_the_anchor_is_given() -> None:
    mask = torch.maximum(torch.maximum(box(10, 10, 14, 44), box(36, 10, 40, 44)), box(10, 40, 40, 44))
    x, y = centroid(mask)
    assert not mask[round(y), round(x)]
    found, notes = drag_task(SIZE, [mask], to(x + 20, y))
    assert len(notes) == 1 and "the centre of the mask" in notes[0] and "outside its shape" in notes[0]
    start = found.handles[0].start
    assert mask[int(start[1]), int(start[0])] == 1
    _, notes = drag_task(SIZE, [mask], RegionSpec(Shape(), "rotation", angle=9, anchor=(12, 12)))
    assert notes == ()


def test_the_border_gets_notes() -> None:
    _, notes = drag_task(SIZE, [box(0, 20, 10, 30)], to(30, 30))
    assert len(notes) == 1 and notes[0].startswith("the mask touches the border")
    points = (PointSpec((20, 20), (50, 40)), PointSpec((3, 20), (50, 57)))
    _, notes = drag_task(SIZE, instruction=DragInstruction(points=points))
    assert [n.split(" px")[0] for n in notes] == ["point 2 lies 3", "the target of point 2 lies 2"]
    _, notes = drag_task(SIZE, [box(50, 20, 60, 30)], to(76, 30))
    assert len(notes) == 1 and "partly off the picture" in notes[0]


@QUICK
@given(
    st.integers(0, 50),
    st.integers(0, 40),
    st.integers(1, 25),
    st.integers(1, 15),
    st.floats(0, 79),
    st.floats(0, 59),
)
def test_the_centroid_goes_to_the_target(
    x: int, y: int, width: int, height: int, to_x: float, to_y: float
) -> None:
    mask = box(x, y, x + width, y + height)
    found, _ = drag_task(SIZE, [mask], to(to_x, to_y))
    region: Region = found.regions[0]
    assert apply(motion_matrix(region.motion), centroid(mask)) == pytest.approx((to_x, to_y), abs=1e-6)
    assert math.isclose(region.weight, 1.0)

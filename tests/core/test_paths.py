"""Holes of a painted area and paths of a motion, by hand; and what every path must keep, by search."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from drag_core.bench.writers import write_dragflow
from drag_core.motion.geometry import apply, motion_matrix, shift_at, stops, translation
from drag_core.motion.instruction import DragInstruction, RegionSpec, Shape, Stroke, parse, rescaled, to_json
from drag_core.motion.masks import adaptive_mask, moved, touched
from drag_core.motion.task import build_task, draw
from drag_core.types import AffineMotion, DragError, Grid, Point, Region

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
SIZE = Grid(60, 80)
place = st.tuples(st.floats(-100, 100), st.floats(-100, 100))


def outline(x0: float, y0: float, x1: float, y1: float) -> tuple[Point, ...]:
    """The pixels x0..x1, y0..y1, ends included."""
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def test_a_hole_is_taken_out_with_its_edge() -> None:
    mask = draw(Shape((outline(10, 10, 19, 19),), holes=(outline(12, 13, 14, 14),)), SIZE)
    assert mask.sum() == 100 - 6 and mask[12, 12] == 1 and not mask[13:15, 12:15].any()


def test_holes_are_taken_out_of_polygons_strokes_and_mask_alike() -> None:
    everything = torch.ones(60, 80)
    shape = Shape((outline(0, 0, 9, 9),), (Stroke(((30, 5),), 4),), "m.png", (outline(0, 0, 79, 29),))
    mask = draw(shape, SIZE, lambda name: everything)
    assert not mask[:30].any() and mask[30:].all()


def test_a_region_that_is_all_hole_is_empty() -> None:
    box = (outline(5, 5, 9, 9),)
    spec = RegionSpec(Shape(box, holes=box), "relocation", (30, 30))
    with pytest.raises(DragError, match="region 1 is empty"):
        build_task(DragInstruction(regions=(spec,)), SIZE)


def test_a_painted_mask_has_holes() -> None:
    region = RegionSpec(Shape((outline(10, 10, 20, 20),)), "relocation", (30, 30))
    painted = Shape((outline(0, 0, 59, 39),), holes=(outline(50, 0, 59, 39),))
    x = DragInstruction(regions=(region,), editable="painted", painted=painted)
    task, _ = build_task(parse(to_json(x)), SIZE)
    assert task.editable is not None and task.editable.sum() == 50 * 40


def test_progress_runs_along_the_path_by_its_length() -> None:
    motion = AffineMotion(shift=(30, 40), path=((30, 0),))  # 30 to the right, 40 down
    assert stops(motion) == pytest.approx((3 / 7, 1))
    assert shift_at(motion, 1 / 7) == pytest.approx((10, 0))
    assert shift_at(motion, 3 / 7) == pytest.approx((30, 0))
    assert shift_at(motion, 5 / 7) == pytest.approx((30, 20))
    assert shift_at(motion, 1.0) == pytest.approx((30, 40))
    assert apply(motion_matrix(motion, 5 / 7), (1, 2)) == pytest.approx((31, 22))


def test_a_path_from_the_centroid_to_the_target() -> None:
    shape = Shape((outline(10, 10, 20, 20),))  # centroid (15, 15)
    spec = RegionSpec(shape, "deformation", (45, 15), path=((15, 35), (45, 35)))
    task, _ = build_task(DragInstruction(regions=(spec,)), SIZE)
    assert task.regions[0].motion == translation((15, 15), (45, 15), ((15, 35), (45, 35)))
    assert task.regions[0].motion.path == ((0, 20), (30, 20))


def test_turns_and_scales_have_no_path() -> None:
    shape = Shape((outline(10, 10, 20, 20),))
    turn = RegionSpec(shape, "rotation", angle=30, path=((40, 40),))
    scale = RegionSpec(shape, "scale", scale=(2, 2), path=((40, 40),))
    task, _ = build_task(DragInstruction(regions=(turn, scale)), SIZE)
    assert [r.motion.path for r in task.regions] == [(), ()]


def test_a_path_outside_the_picture_is_refused() -> None:
    spec = RegionSpec(Shape((outline(10, 10, 20, 20),)), "relocation", (45, 15), path=((15, -5),))
    with pytest.raises(DragError, match=r"a place on the path of region 1 is \(15, -5\), outside"):
        build_task(DragInstruction(regions=(spec,)), SIZE)


def test_every_place_of_a_path_may_change() -> None:
    mask = draw(Shape((outline(10, 10, 20, 20),)), SIZE)
    straight = Region(mask, AffineMotion((30, 0)))
    bent = Region(mask, AffineMotion((30, 0), path=((15, 30),)))
    assert not adaptive_mask([straight])[45, 30] and adaptive_mask([bent])[45, 30]
    assert touched(bent).sum() == 3 * 121 and touched(straight).sum() == 2 * 121
    assert torch.equal(moved(bent, stops(bent.motion)[0]), mask.roll((30, 15), (0, 1)))


def test_holes_and_path_are_scaled_with_the_picture() -> None:
    hole = outline(-0.5, -0.5, 9.5, 9.5)
    spec = RegionSpec(
        Shape((outline(0, 0, 9, 9),), holes=(hole,)), "relocation", (5, 5), path=((-0.5, -0.5), (1.5, 9.5))
    )
    twice = rescaled(DragInstruction(10, 10, (spec,)), width=20, height=40).regions[0]
    assert twice.path == ((-0.5, -0.5), (3.5, 39.5))
    assert twice.shape.holes == (outline(-0.5, -0.5, 19.5, 39.5),)


@QUICK
@given(st.lists(place, max_size=5), place, st.floats(0, 1))
def test_every_path_starts_at_rest_ends_at_the_shift_and_is_no_detour_longer(
    path: list[Point], shift: Point, progress: float
) -> None:
    motion = AffineMotion(shift, path=tuple(path))
    corners = [(0.0, 0.0), *path, shift]
    length = sum(math.dist(a, b) for a, b in zip(corners, corners[1:], strict=False))
    if length == 0:
        assert shift_at(motion, progress) == pytest.approx((0, 0), abs=1e-12)
        return
    assert shift_at(motion, 0.0) == pytest.approx((0, 0), abs=1e-9)
    assert shift_at(motion, 1.0) == pytest.approx(shift, abs=1e-9)
    ends = stops(motion)
    assert len(ends) == len(path) + 1 and ends[-1] == 1 and list(ends) == sorted(ends)
    # by length: no two places are further apart than the way between them
    step = min(progress + 0.01, 1.0)
    gap = math.dist(shift_at(motion, progress), shift_at(motion, step))
    assert gap <= (step - progress) * length + 1e-6


@QUICK
@given(place, st.floats(0, 1), st.lists(st.floats(0, 1), max_size=4))
def test_places_on_the_straight_way_change_nothing(shift: Point, progress: float, at: list[float]) -> None:
    on_it = tuple((s * shift[0], s * shift[1]) for s in sorted(at))
    straight = motion_matrix(AffineMotion(shift), progress)
    assert torch.allclose(motion_matrix(AffineMotion(shift, path=on_it), progress), straight, atol=1e-6)


def test_dragflows_folders_say_that_a_path_is_lost(tmp_path: Path) -> None:
    spec = RegionSpec(Shape((outline(10, 10, 20, 20),)), "relocation", (45, 15), path=((15, 30),))
    notes = write_dragflow(DragInstruction(regions=(spec,)), tmp_path, SIZE)
    assert notes == ("region 1 goes to its target over a path: DragFlow goes straight",)

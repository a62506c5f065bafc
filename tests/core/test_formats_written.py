"""Instructions written into foreign folders come back within a pixel."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from drag_core.bench.formats import read_any
from drag_core.bench.writers import write_drag100, write_dragflow
from drag_core.motion.geometry import apply, motion_matrix
from drag_core.motion.instruction import DragInstruction, PointSpec, RegionSpec, Shape, parse, to_json
from drag_core.motion.task import build_task, draw
from drag_core.types import DragError, Grid
from tests.core.test_formats import SIZE, box


def mixed() -> DragInstruction:
    return DragInstruction(
        80,
        60,
        regions=(
            RegionSpec(box(10, 10, 20, 20), "relocation", (35.3, 25.7), label="cat"),
            RegionSpec(box(50, 30, 70, 40), "rotation", angle=-40, anchor=(40, 35)),
            RegionSpec(box(5, 40, 15, 50), "deformation", (12, 48)),
        ),
        points=(PointSpec((12, 12), (37.4, 27.6)),),
        source_prompt="a cat. ",
        target_prompt="a cat. It jumps.",
    )


@pytest.mark.parametrize("name", ["transformation", "relocation"])
def test_dragflow_round_trip(tmp_path: Path, name: Any) -> None:
    x, folder = mixed(), tmp_path / "new" / "folder"
    assert write_dragflow(x, folder, SIZE, task_name=name) == ()
    document = json.loads((folder / "instruction.json").read_text())
    operations = document["region_operations"]
    assert [o["task"] for o in operations.values()] == [name, "rotation", "deformation"] and list(
        operations
    ) == ["0", "1", "2"]
    assert all("anchors" in o for o in operations.values()) and operations["0"]["anchors"] is None
    assert document["editing_prompt"] == "It jumps."
    with Image.open(folder / "operation.png") as picture:
        assert (
            picture.mode == "L" and picture.size == (80, 60) and set(picture.get_flattened_data()) == {0, 255}
        )
    assert sorted(p.name for p in folder.iterdir()) == ["instruction.json", "operation.png"]
    back, _ = read_any(folder)
    assert (back.source_prompt, back.target_prompt) == (x.source_prompt, x.target_prompt)
    assert math.dist(back.points[0].target, x.points[0].target) < 1
    same_motion(x, back)
    same_motion(x, parse(to_json(back)))


def same_motion(x: DragInstruction, y: DragInstruction, size: Grid = SIZE) -> None:
    """The same pixels go to the same places, within a pixel."""
    a, b = (build_task(v, size)[0].regions for v in (x, y))
    assert len(a) == len(b)
    for r, q in zip(a, b, strict=True):
        assert (r.mask == q.mask).all()
        for at in torch.nonzero(r.mask).flip(1).tolist()[:: max(1, int(r.mask.sum()) // 20)]:
            assert math.dist(apply(motion_matrix(r.motion), at), apply(motion_matrix(q.motion), at)) < 1


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 30),
    st.integers(0, 20),
    st.integers(5, 30),
    st.tuples(st.floats(25, 55), st.floats(20, 40)),
    st.floats(-170, 170),
)
def test_dragflow_round_trip_of_any_box(
    tmp_path_factory: pytest.TempPathFactory,
    x: int,
    y: int,
    side: int,
    target: tuple[float, float],
    angle: float,
) -> None:
    shape = box(x, y, x + side, y + side)
    for spec in (
        RegionSpec(shape, "relocation", target),
        RegionSpec(shape, "rotation", angle=angle, anchor=(70, 50)),
    ):
        drag, folder = DragInstruction(80, 60, (spec,)), tmp_path_factory.mktemp("flow")
        try:
            write_dragflow(drag, folder, SIZE)
        except DragError as e:
            assert "would be left" in str(e)  # turned off the picture
            continue
        same_motion(drag, read_any(folder)[0])


def test_dragflow_of_concave_regions_begins_inside(tmp_path: Path) -> None:
    u = Shape(polygons=(((10, 10), (14, 10), (14, 40), (36, 40), (36, 10), (40, 10), (40, 44), (10, 44)),))
    x = DragInstruction(80, 60, (RegionSpec(u, "relocation", (50, 25)),))
    write_dragflow(x, tmp_path, SIZE)
    bx, by = json.loads((tmp_path / "instruction.json").read_text())["region_operations"]["0"]["centroids"][0]
    assert draw(u, SIZE)[by, bx] == 1
    same_motion(x, read_any(tmp_path)[0])


def test_dragflow_parts_move_together(tmp_path: Path) -> None:
    parts = Shape(box(10, 10, 20, 20).polygons + box(30, 10, 34, 14).polygons)
    x = DragInstruction(80, 60, (RegionSpec(parts, "relocation", (40, 40)),))
    write_dragflow(x, tmp_path, SIZE)
    back, _ = read_any(tmp_path)
    found, _ = build_task(back, SIZE)
    shift = build_task(x, SIZE)[0].regions[0].motion.shift
    assert [r.motion.shift for r in found.regions] == [pytest.approx(shift, abs=0.01)] * 2
    assert (sum(r.mask for r in found.regions) == draw(parts, SIZE)).all()


def test_dragflow_regions_that_touch_are_cut_apart(tmp_path: Path) -> None:
    specs = (
        RegionSpec(box(10, 10, 20, 20), "relocation", (40, 40)),
        RegionSpec(box(21, 10, 30, 20), "relocation", (60, 40)),
    )
    notes = write_dragflow(DragInstruction(80, 60, specs), tmp_path, SIZE)
    assert len(notes) == 1 and "region 2 touches" in notes[0]
    assert [draw(r.shape, SIZE).sum() for r in read_any(tmp_path)[0].regions] == [121, 99]
    with pytest.raises(DragError, match="region 2 is covered"):
        write_dragflow(DragInstruction(80, 60, (specs[0], specs[0])), tmp_path, SIZE)


def test_what_dragflow_cannot_say_is_refused_or_noted(tmp_path: Path) -> None:
    shape = box(30, 20, 50, 40)
    with pytest.raises(DragError, match="scaled by"):
        write_dragflow(DragInstruction(regions=(RegionSpec(shape, "scale", scale=(2, 2)),)), tmp_path, SIZE)
    with pytest.raises(DragError, match="turns about its own centre"):
        write_dragflow(DragInstruction(regions=(RegionSpec(shape, "rotation", angle=30),)), tmp_path, SIZE)
    far = RegionSpec(shape, "rotation", angle=370, anchor=(40, 20))
    assert any("370 degrees" in n for n in write_dragflow(DragInstruction(regions=(far,)), tmp_path, SIZE))
    moved = RegionSpec(shape, "relocation", (45, 35))
    notes = write_dragflow(
        DragInstruction(regions=(moved,), source_prompt="a", target_prompt="b"), tmp_path, SIZE
    )
    assert any("prompt" in n for n in notes)


def test_dragflow_is_written_at_the_pictures_size_with_masks_from_files(tmp_path: Path) -> None:
    x = DragInstruction(40, 30, (RegionSpec(Shape(mask="m.png"), "relocation", (25, 15)),))
    mask = torch.zeros(60, 80)
    mask[10:21, 10:21] = 1
    notes = write_dragflow(x, tmp_path, SIZE, read_mask=lambda name: mask)
    assert "scaled to fit" in notes[0]
    back, _ = read_any(tmp_path)
    assert (back.width, back.height) == (80, 60) and back.regions[0].target == pytest.approx((50.5, 30.5))


def test_drag100_round_trip(tmp_path: Path) -> None:
    points = (PointSpec((12.3, 12), (37.4, 27.6)), PointSpec((0, -0.5), (79.4, 59)))
    x = DragInstruction(80, 60, points=points, editable="painted", painted=box(5, 5, 60, 50))
    assert write_drag100(x, tmp_path, SIZE) == ()
    raw = json.loads((tmp_path / "points.json").read_text())["points"]
    assert all(type(v) is int for p in raw for v in p)
    back, _ = read_any(tmp_path)
    for p, q in zip(x.points, back.points, strict=True):
        assert math.dist(p.start, q.start) < 1 and math.dist(p.target, q.target) < 1
    a, b = (build_task(v, SIZE)[0].editable for v in (x, back))
    assert a is not None and b is not None and (a == b).all()


def test_drag100_of_regions_is_one_handle_each_with_a_note(tmp_path: Path) -> None:
    x = DragInstruction(80, 60, (RegionSpec(box(10, 10, 20, 20), "relocation", (35, 25)),), editable="none")
    notes = write_drag100(x, tmp_path, SIZE)
    assert any("left out" in n for n in notes)
    back, _ = read_any(tmp_path)
    assert back.points == (PointSpec((15, 15), (35, 25)),) and back.editable == "painted"
    found, _ = build_task(back, SIZE)
    assert found.editable is not None and found.editable.all()

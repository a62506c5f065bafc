"""Foreign instruction folders: read into ours exactly, written back within a pixel, refused in one sentence
when broken.
"""

from __future__ import annotations

import json
import math
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from drag_core.bench.formats import read_any, write_drag100, write_dragflow
from drag_core.bench.outlines import components, inner_pixel, mask_picture, outlines, part_at
from drag_core.motion.geometry import apply, motion_matrix
from drag_core.motion.instruction import DragInstruction, PointSpec, RegionSpec, Shape, parse, to_json
from drag_core.motion.masks import centroid
from drag_core.motion.task import build_task, draw
from drag_core.motion.untrusted import MAX_BYTES
from drag_core.types import DragError, Grid

SIZE = Grid(60, 80)


def blank() -> NDArray[np.uint8]:
    return np.zeros((SIZE.height, SIZE.width), np.uint8)


def two_boxes() -> NDArray[np.uint8]:
    mask = blank()
    mask[10:21, 10:21] = 255
    mask[30:41, 50:71] = 255
    return mask


def save(mask: NDArray[np.uint8], path: Path) -> None:
    Image.fromarray(mask).save(path)


def dragflow(folder: Path, mask: NDArray[np.uint8], operations: Any = None, **more: Any) -> Path:
    folder.mkdir(exist_ok=True)
    save(mask, folder / "operation.png")
    Image.new("RGB", (SIZE.width, SIZE.height)).save(folder / "original_image.png")
    operations = operations or {
        "0": {"task": "transformation", "centroids": [[15, 15], [35, 25]], "anchors": None}
    }
    (folder / "instruction.json").write_text(json.dumps({"region_operations": operations} | more))
    return folder


def points_json(folder: Path, document: Any, **masks: NDArray[np.uint8]) -> Path:
    (folder / "points.json").write_text(json.dumps(document))
    for name, mask in masks.items():
        save(mask, folder / f"{name}.png")
    return folder


def shape_of(mask: NDArray[np.uint8]) -> Shape:
    return Shape(
        tuple(tuple((float(x), float(y)) for x, y in p) for p in outlines((mask > 0).astype(np.uint8)))
    )


def box(x0: float, y0: float, x1: float, y1: float) -> Shape:
    return Shape(polygons=(((x0, y0), (x1, y0), (x1, y1), (x0, y1)),))


masks = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(
    lambda size: st.lists(st.booleans(), min_size=size[0] * size[1], max_size=size[0] * size[1]).map(
        lambda bits: np.array(bits, np.uint8).reshape(size)
    )
)


@settings(max_examples=400, deadline=None)
@given(masks)
def test_outlines_draw_exactly_the_mask(mask: NDArray[np.uint8]) -> None:
    drawn = draw(shape_of(mask), Grid(*mask.shape))
    assert (drawn.numpy() == mask).all()
    assert all(len(p) >= 3 for p in outlines(mask))


def test_outlines_of_a_large_noisy_mask_take_bounded_time() -> None:
    mask = (np.random.default_rng(0).random((512, 512)) < 0.8).astype(np.uint8)
    start = time.process_time()
    polygons = outlines(mask)
    assert time.process_time() - start < 12
    assert (draw(Shape(tuple(tuple(map(tuple, p)) for p in polygons)), Grid(512, 512)).numpy() == mask).all()


def test_a_ring_with_a_dot_in_its_hole_is_exact() -> None:
    y, x = np.mgrid[:60, :80]
    far = np.hypot(x - 40, y - 30)
    mask = ((far < 25) & (far > 12) | (far < 4)).astype(np.uint8)
    assert (draw(shape_of(mask), SIZE).numpy() == mask).all()


@settings(max_examples=200, deadline=None)
@given(masks.filter(lambda m: bool(m.any())), st.floats(-5, 20), st.floats(-5, 20))
def test_the_part_at_a_point_contains_it_or_is_a_nearest(mask: NDArray[np.uint8], x: float, y: float) -> None:
    labels = components(mask)
    part = part_at(labels, (x, y))
    assert part.any() and (part <= mask).all() and len(np.unique(labels[part > 0])) == 1
    if 0 <= round(y) < mask.shape[0] and 0 <= round(x) < mask.shape[1] and mask[round(y), round(x)]:
        assert part[round(y), round(x)]
    centre = centroid(torch.from_numpy(part))
    ix, iy = inner_pixel(part, centre)
    assert part[iy, ix]


def test_specks_are_not_taken_for_the_nearest_part() -> None:
    mask = two_boxes() // 255
    mask[25, 25] = 1
    assert part_at(components(mask), (27, 25)).sum() in (121, 231)
    assert part_at(components(mask), (25, 25)).sum() == 1


PIXELS = [("L", 255), ("L", 1), ("L", 40), ("1", 1), ("RGB", (0, 255, 0)), ("RGBA", (255, 255, 255, 255))]


@pytest.mark.parametrize("mode, on", PIXELS)
def test_region_pictures_of_any_kind_are_read(tmp_path: Path, mode: str, on: Any) -> None:
    picture = Image.new(mode, (8, 6), (255, 255, 255, 0) if mode == "RGBA" else 0)
    picture.putpixel((3, 2), on)
    picture.save(tmp_path / "m.png")
    mask = mask_picture(tmp_path / "m.png")
    assert mask.sum() == 1 and mask[2, 3] == 1


def test_our_json_is_read_with_its_picture(tmp_path: Path) -> None:
    x = DragInstruction(80, 60, points=(PointSpec((1, 2), (3, 4)),))
    path = tmp_path / "cat.json"
    path.write_text(to_json(x))
    assert read_any(path) == (x, None)
    Image.new("RGB", (80, 60)).save(tmp_path / "cat.jpg")
    assert read_any(path) == (x, tmp_path / "cat.jpg")
    (tmp_path / "drag.json").write_text(to_json(x))
    Image.new("RGB", (80, 60)).save(tmp_path / "image.png")
    assert read_any(tmp_path) == (x, tmp_path / "image.png")


def test_our_document_under_a_foreign_name_is_ours(tmp_path: Path) -> None:
    x = DragInstruction(80, 60, points=(PointSpec((1, 2), (3, 4)),))
    for name in ("points.json", "instruction.json"):
        (tmp_path / name).write_text(to_json(x))
        assert read_any(tmp_path / name)[0] == x


def test_dragflow_is_read(tmp_path: Path) -> None:
    operations = {
        "0": {"task": "transformation", "centroids": [[15, 15], [35, 25]], "anchors": None},
        "1": {"task": "rotation", "centroids": [[60, 35], [40, 15]], "anchors": [40, 35]},
        "2": {"task": "deformation", "centroids": [[75, 35], [70, 30]]},
    }
    points = {"begin_points": [[12, 12]], "target_points": [[32, 22]]}
    prompts = {"background_prompt": "a cat.", "editing_prompt": "It jumps."}
    x, picture = read_any(
        dragflow(tmp_path / "a", two_boxes(), operations, point_operations=points, **prompts)
    )
    assert picture == tmp_path / "a" / "original_image.png" and (x.width, x.height, x.editable) == (
        80,
        60,
        "adaptive",
    )
    assert [r.task for r in x.regions] == ["relocation", "rotation", "deformation"]
    assert [r.target for r in x.regions] == [(35, 25), (40, 15), (70, 30)] and x.regions[1].anchor == (40, 35)
    assert x.points == (PointSpec((12, 12), (32, 22)),)
    assert (x.source_prompt, x.target_prompt) == ("a cat.", "a cat.It jumps.")
    drawn = [draw(r.shape, SIZE).numpy() for r in x.regions]
    whole = two_boxes() > 0
    assert ((drawn[0] + drawn[1]) == whole).all() and (
        drawn[2] == drawn[1]
    ).all()  # the third begins beside the second box
    found, notes = build_task(x, SIZE)
    assert notes == () and found.regions[0].motion.shift == (20, 10)
    assert found.regions[1].motion.angle == pytest.approx(-math.pi / 2)
    assert parse(to_json(x)) == x
    assert read_any(tmp_path / "a" / "instruction.json") == (x, picture)


def test_dragflows_paper_name_and_missing_parts_are_read(tmp_path: Path) -> None:
    operations = {"0": {"task": "relocation", "centroids": [[15, 15], [35, 25]], "anchors": None}}
    x, _ = read_any(
        dragflow(tmp_path / "a", two_boxes(), operations, point_operations=None, editing_prompt=None)
    )
    assert x.regions[0].task == "relocation" and x.points == ()
    folder = tmp_path / "b"
    folder.mkdir()
    points = {"begin_points": [[1, 1]], "target_points": [[9, 9]]}
    (folder / "instruction.json").write_text(json.dumps({"point_operations": points}))
    x, picture = read_any(folder)
    assert x.points == (PointSpec((1, 1), (9, 9)),) and (x.width, picture) == (None, None)


def test_drag100_is_read(tmp_path: Path) -> None:
    mask = two_boxes()
    mask[14:17, 14:17] = 0  # a hole
    x, picture = read_any(
        points_json(tmp_path, {"points": [[15, 12], [30, 40], [60, 35], [50, 20]]}, mask=mask)
    )
    assert x.points == (PointSpec((15, 12), (30, 40)), PointSpec((60, 35), (50, 20))) and picture is None
    assert (x.width, x.height, x.editable) == (80, 60, "painted")
    found, _ = build_task(x, SIZE)
    assert found.editable is not None and (found.editable.numpy() == (mask > 0)).all()
    Image.new("RGB", (80, 60)).save(tmp_path / "original.jpg")
    assert read_any(tmp_path)[1] == tmp_path / "original.jpg"


def test_drag100_without_a_mask_may_change_everywhere(tmp_path: Path) -> None:
    x, _ = read_any(points_json(tmp_path, {"points": [[15, 12], [30, 40]]}))
    assert x.editable == "none" and x.width is None
    x, _ = read_any(points_json(tmp_path, {"points": [[15, 12], [30, 40]]}, mask=blank()))
    assert x.editable == "none" and x.width == 80


def test_dragnext_is_read(tmp_path: Path) -> None:
    # a turn's three points and a move's two, interleaved as the user interface allows
    points = [[40, 35], [12, 12], [65, 35], [22, 17], [40, 10]]
    document = {"points": points, "rotation": [True, False, True, False, True]}
    editable = np.full((60, 80), 255, np.uint8)
    x, _ = read_any(
        points_json(tmp_path, document, handle_region_mask=two_boxes(), editable_region_mask=editable)
    )
    move, turn = x.regions
    assert move.task == "relocation" and move.target == (25, 20)  # the centroid moves as the handle does
    assert turn.task == "rotation" and turn.anchor == (40, 35) and turn.angle == pytest.approx(-90)
    assert [(p.start, p.target) for p in x.points] == [((12, 12), (22, 17)), ((65, 35), (40, 10))]
    found, notes = build_task(x, SIZE)
    assert notes == () and found.editable is not None and found.editable.all()
    assert apply(motion_matrix(found.regions[1].motion), (65, 35)) == pytest.approx((40, 10))
    assert (sum(r.mask for r in found.regions).numpy() == (two_boxes() > 0)).all()
    assert parse(to_json(x)) == x


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


def refused(path: Path, *values: str) -> None:
    for tries_left in (2, 1, 0):  # the clock of a busy machine: the best of three counts
        start = time.process_time()
        with pytest.raises(DragError) as error:
            read_any(path)
        if (took := time.process_time() - start) < 6:
            break
        assert tries_left, f"took {took:.1f} s"
    message = str(error.value)
    assert all(v in message for v in values), message
    assert len(message) < 600 and "\n" not in message


def test_pickles_are_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "opened",))

    (tmp_path / "meta_data.pkl").write_bytes(pickle.dumps(Trap()))
    for path in (tmp_path / "meta_data.pkl", tmp_path):
        refused(path, "pickled formats are not read by this release")
    assert not (tmp_path / "opened").exists()


def test_missing_and_unreadable_things_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.json", "none.json", "no such file")
    refused(tmp_path, "holds no drag instruction")
    (tmp_path / "broken.json").write_text("{")
    refused(tmp_path / "broken.json", "broken.json", "not JSON")
    (tmp_path / "long.json").write_bytes(b" " * (MAX_BYTES + 1))
    refused(tmp_path / "long.json", str(MAX_BYTES + 1))
    (tmp_path / "list.json").write_text("[1]")
    refused(tmp_path / "list.json", "list of 1")
    Image.new("RGB", (4, 4)).save(tmp_path / "picture.png")
    refused(tmp_path / "picture.png", "not JSON")


BOX = [[15, 15], [35, 25]]
BAD_FLOW: dict[str, tuple[Any, str]] = {
    "unknown task": ({"0": {"task": "teleport", "centroids": BOX}}, "teleport"),
    "no centroids": ({"0": {"task": "rotation"}}, "None"),
    "one centroid": ({"0": {"centroids": BOX[:1]}}, "[[15, 15]]"),
    "text centroid": ({"0": {"centroids": [["a", 1], [2, 3]]}}, "['a', 1]"),
    "bool centroid": ({"0": {"centroids": [[True, 1], [2, 3]]}}, "True"),
    "huge centroid": ({"0": {"centroids": [[10**300, 1], [2, 3]]}}, "1000"),
    "bad target": ({"0": {"centroids": [[15, 15], "x"]}}, "'x'"),
    "bad anchor": ({"0": {"centroids": BOX, "task": "rotation", "anchors": [[1, 2]]}}, "list of 1"),
    "operation as list": ({"0": [1]}, "None"),
    "operations as list": ([1], "[1]"),
    "too many": ({str(i): {"centroids": BOX} for i in range(300)}, "300 regions"),
}


@pytest.mark.parametrize("operations, value", BAD_FLOW.values(), ids=BAD_FLOW.keys())
def test_bad_dragflow_is_refused(tmp_path: Path, operations: Any, value: str) -> None:
    refused(dragflow(tmp_path / "a", two_boxes(), operations), "instruction.json", value)


def test_bad_dragflow_points_prompts_and_pictures_are_refused(tmp_path: Path) -> None:
    one_end = {"begin_points": [[1, 1]]}
    refused(
        dragflow(tmp_path / "a", two_boxes(), point_operations=one_end), "1 begin_points and 0 target_points"
    )
    refused(dragflow(tmp_path / "a", two_boxes(), point_operations={"begin_points": 3}), "begin_points is 3")
    refused(dragflow(tmp_path / "a", two_boxes(), background_prompt=3), "background_prompt is 3")
    refused(dragflow(tmp_path / "a", blank()), "region picture is empty")
    folder = dragflow(tmp_path / "a", two_boxes())
    data = (folder / "operation.png").read_bytes()
    for broken in (b"", b"not a picture", data[: len(data) // 2], data[:40] + b"\0\0\0\0" + data[44:]):
        (folder / "operation.png").write_bytes(broken)
        refused(folder, "operation.png")
    (folder / "operation.png").unlink()
    refused(folder, "operation.png")


def test_bad_points_are_refused(tmp_path: Path) -> None:
    for document, value in (
        ({"points": [[1, 1], [2, 2], [3, 3]]}, "3 entries"),
        ({"points": []}, "0 entries"),
        ({}, "0 entries"),
        ({"points": 5}, "points is 5"),
        ({"points": [[1, 1], ["x", 2]]}, "'x'"),
        ({"points": [[1, 1], [1]]}, "list of 1"),
        ({"points": [[1, 1]] * 5000}, "5000 entries"),
        ({"points": [[0, 0]] * 1_000_000}, "1000000 entries"),
        ([], "0 entries"),
    ):
        refused(points_json(tmp_path, document, mask=two_boxes()), "points.json", value)
    (tmp_path / "mask.png").write_bytes(b"nothing")
    refused(points_json(tmp_path, {"points": [[1, 1], [2, 2]]}), "mask.png")


def test_bad_dragnext_is_refused(tmp_path: Path) -> None:
    pictures = {"handle_region_mask": two_boxes(), "editable_region_mask": two_boxes()}
    for document, value in (
        ({"points": [[15, 15], [20, 20]], "rotation": [False]}, "2 points and 1 entries"),
        ({"points": [[15, 15], [20, 20]], "rotation": [0, 0]}, "true or false"),
        ({"points": [[15, 15], [20, 20]], "rotation": [True, True]}, "2 that turn"),
        ({"points": [[15, 15]], "rotation": [False]}, "1 points that move"),
        ({"points": [], "rotation": []}, "0 points that move"),
        ({"points": [[15, 15], [15, 15], [20, 20]], "rotation": [True] * 3}, "on the centre"),
        ({"points": [[15, None], [20, 20]], "rotation": [False] * 2}, "[15, None]"),
        ({"points": [[1, 1]] * 500_000, "rotation": [False] * 500_000}, "3073 points"),
        ({"points": [[15, 15], [20, 20]], "rotation": "no"}, "rotation is no"),
    ):
        refused(points_json(tmp_path, document, **pictures), "points.json", value)
    save(blank(), tmp_path / "handle_region_mask.png")
    refused(points_json(tmp_path, {"points": [[15, 15], [20, 20]], "rotation": [False] * 2}), "empty")
    (tmp_path / "handle_region_mask.png").unlink()
    refused(tmp_path, "handle_region_mask.png")


def test_folders_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DragError, match="can't be written"):
        write_drag100(mixed(), tmp_path / "file" / "folder", SIZE)

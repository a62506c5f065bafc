"""Foreign instruction folders are read into ours exactly."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from drag_core.bench.formats import read_any
from drag_core.bench.outlines import outlines
from drag_core.motion.geometry import apply, motion_matrix
from drag_core.motion.instruction import DragInstruction, PointSpec, Shape, parse, to_json
from drag_core.motion.task import build_task, draw
from drag_core.types import Grid

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

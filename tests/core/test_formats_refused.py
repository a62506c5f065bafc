"""Foreign instruction folders that are broken are refused in one sentence."""

from __future__ import annotations

import pickle
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from drag_core.bench.formats import read_any
from drag_core.bench.writers import write_drag100
from drag_core.motion.untrusted import MAX_BYTES
from drag_core.types import DragError
from tests.core.test_formats import SIZE, blank, dragflow, points_json, save, two_boxes
from tests.core.test_formats_written import mixed


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


def test_nothing_pickled_is_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "opened",))

    (tmp_path / "meta_data.pkl").write_bytes(pickle.dumps(Trap()))
    for path in (tmp_path / "meta_data.pkl", tmp_path):
        refused(path, "meta_data.pkl", "which is code")
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

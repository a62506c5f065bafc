"""DragEditor: what is drawn comes out as masks and regions, and whatever is wrong is one sentence."""

from __future__ import annotations

import json
import random
import runpy
import time
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import pytest
import torch
from drawing import BOX, MOVE, blocked, document, picture, sentence
from PIL import Image
from region_drag_editing.drag_core.types import DragError, Task
from region_drag_editing.nodes.editor import DragEditor
from region_drag_editing.nodes.unfinished import Unfinished

ROOT = Path(__file__).resolve().parents[3]
random_document = runpy.run_path(str(ROOT / "tests" / "core" / "documents.py"))["random_document"]


def run(drag: str, image: torch.Tensor | None = None) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The six outputs that were there first, and what the page is told."""
    out = DragEditor.execute(picture() if image is None else image, drag)
    return out.result[:6], out.ui


def test_an_empty_document_passes_the_picture_through() -> None:
    source = picture()
    (image, mask, editable, instruction, overlay, regions), shown = run("", source)
    assert image is source and instruction == ""
    assert mask.shape == editable.shape == (1, 60, 80) and not mask.any() and not editable.any()
    assert torch.equal(overlay, source)
    assert blocked(regions).startswith("in the drag editor nothing is marked")
    assert shown["drag_size"] == [80, 60] and shown["text"] == ("",)


def test_the_background_is_the_picture() -> None:
    _, shown = run("")
    (file,) = shown["drag_background"]
    assert file["type"] == "temp"
    place = Path(folder_paths.get_temp_directory(), file["subfolder"], file["filename"])
    kept = np.asarray(Image.open(place))
    assert np.abs(kept / 255 - picture()[0].numpy()).max() < 1 / 255


def test_one_region() -> None:
    drag = document(regions=[MOVE])
    (image, mask, editable, instruction, overlay, regions), shown = run(drag)
    assert instruction == drag
    assert mask.sum() == 100 and mask[0, 10:20, 10:20].all()
    assert isinstance(regions, Task) and regions.regions[0].motion.shift == (30, 10)
    assert not regions.regions[0].mask.is_inference()
    assert torch.equal(editable[0], regions.editable) and editable[0, 20:30, 40:50].all()
    assert not torch.equal(overlay, image) and shown["text"] == ("",)


def test_points_only() -> None:
    drag = document(points=[{"start": [30, 30], "target": [50, 30]}])
    (_, mask, editable, _, overlay, regions), _ = run(drag)
    assert not mask.any() and editable[0, 30, 40] == 1 and editable[0, 2, 2] == 0
    assert regions.handles[0].start == (30, 30) and not torch.equal(overlay, picture())


def test_a_painted_editable_mask_with_a_hole() -> None:
    whole, hole = [[0, 0], [59, 0], [59, 39], [0, 39]], [[50, 30], [59, 30], [59, 39], [50, 39]]
    editable = {"mode": "painted", "polygons": [whole], "holes": [hole]}
    (_, _, may, _, _, regions), _ = run(document(regions=[MOVE], editable=editable))
    assert may.sum() == 60 * 40 - 100 and torch.equal(regions.editable, may[0])
    (_, _, may, _, _, regions), _ = run(document(editable=editable))  # nothing marked: still shown
    assert may.sum() == 60 * 40 - 100 and isinstance(regions, Unfinished)


def test_everything_may_change() -> None:
    (_, _, may, _, _, regions), _ = run(document(regions=[MOVE], editable={"mode": "none"}))
    assert may.all() and regions.editable is None


def test_another_size_is_scaled_with_a_note() -> None:
    drag = document(regions=[MOVE])
    (_, mask, _, instruction, _, regions), shown = run(drag, picture(160, 120))
    assert instruction == drag and mask[0, 21:38, 21:38].all() and mask[0, :19].sum() == 0
    assert regions.regions[0].motion.shift == pytest.approx((60, 20), abs=0.6)
    assert shown["text"] == ("the drag was drawn on 80x60 and the picture is 160x120: it was scaled to fit",)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"regions": [MOVE | {"target": None, "label": "cat"}]}, "cat is a relocation without a target"),
        ({"regions": [MOVE, MOVE | {"task": "scale"}]}, "region 2 is a scale without factors"),
        ({"regions": [MOVE], "editable": {"mode": "painted"}}, "the editable mask is not painted"),
    ],
)
def test_a_draft_still_shows_the_picture(fields: dict[str, Any], words: str) -> None:
    drag = document(**fields)
    assert DragEditor.validate_inputs(drag=drag) is True
    (_, mask, _, _, _, regions), shown = run(drag)
    assert mask.sum() == 100 and words in blocked(regions) and shown["drag_background"]


def many(item: str, n: int) -> str:
    return ",".join([item] * n)


CORNERS = json.dumps(BOX)
BAD = {
    "not JSON": '{"regions": [',
    "NaN": document(regions=[MOVE]).replace("44.5", "NaN"),
    "1e999": document(regions=[MOVE]).replace("44.5", "1e999"),
    "deep": '{"x":' + "[" * 100_000 + "]" * 100_000 + "}",
    "10 MB": '{"x": "' + "a" * 10_000_000 + '"}',
    "a million regions": '{"regions": [' + many("{}", 1_000_000) + "]}",
    "a list": "[1]",
    "another version": '{"version": 2}',
    "an unknown task": document(regions=[MOVE | {"task": "<img src=x onerror=alert(1)>"}]),
    "coordinates as text": document(regions=[MOVE | {"target": ["1", "2"]}]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_documents_are_one_sentence_in_bounded_time(name: str) -> None:
    for tries_left in (2, 1, 0):  # the clock of a busy machine: the best of three counts
        start = time.process_time()
        with pytest.raises(DragError) as error:
            run(BAD[name])
        said = DragEditor.validate_inputs(drag=BAD[name])
        if (took := time.process_time() - start) < 6:
            break
        assert tries_left, f"{name} took {took:.1f} s"
    assert said == str(error.value) and sentence(said)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"regions": [MOVE | {"target": [500, 5]}]}, "outside the 80x60 picture"),
        ({"regions": [MOVE | {"polygons": [[[200, 200], [300, 200], [300, 300]]]}]}, "region 1 is empty"),
        ({"regions": [MOVE | {"mask": "part.png"}]}, "part.png"),
        ({"points": [{"start": [1, 1], "target": [-9, 1]}]}, "outside the 80x60 picture"),
    ],
)
def test_what_cannot_be_dragged_on_this_picture_is_one_sentence(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(DragError, match=words) as error:
        run(document(**fields))
    assert sentence(str(error.value))


def test_a_batch_is_refused() -> None:
    with pytest.raises(DragError, match="holds 2 pictures"):
        run("", torch.rand(2, 8, 8, 3))


def test_a_linked_text_is_checked_when_it_comes() -> None:
    assert DragEditor.validate_inputs() is True


def test_ten_thousand_random_documents_run_or_give_one_sentence() -> None:
    r, image, ran, took = random.Random(7), picture(), 0, []
    for _ in range(10_000):
        drag = random_document(r)
        seconds = []
        while not seconds or (seconds[-1] > 0.25 and len(seconds) < 20):  # a busy machine: the best of these
            start = time.process_time()
            try:
                run(drag, image)
                ran += not seconds
            except DragError as e:
                assert sentence(str(e)), (drag, e)
            seconds.append(time.process_time() - start)
        took.append(min(seconds))
    took.sort()
    print(f"{ran} of 10000 ran; median {1e3 * took[5000]:.1f} ms, slowest {1e3 * took[-1]:.1f} ms")
    assert 2000 < ran < 8000 and took[-1] <= 0.25  # a stall takes seconds; a loaded CI machine 62 ms

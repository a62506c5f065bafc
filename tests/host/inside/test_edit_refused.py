"""Drag Edit on what it refuses, before anything is encoded or told, and the prompts that it encodes."""

from __future__ import annotations

import json
import types
from typing import Any

import comfy.utils
import hookless
import pytest
import torch
from region_drag_editing.drag_core.types import DragError, Task
from region_drag_editing.nodes import DragCrop, DragEditor, RegionMaskAffine
from region_drag_editing.nodes import edit as edit_node
from region_drag_editing.nodes.host import edit, finish, pixels
from test_edit import edited, scene

WITH_DRAFT = {"recipe": "dragnext", "draft": torch.zeros(1, 256, 256, 3)}
NOT_YET = {"regions": Task(scene()[1].image, scene()[1].regions)}
MESSAGES: list[tuple[str, dict[str, Any]]] = [
    ("connect image, the one they were drawn on", NOT_YET),
    ("drawn on 256x256 and the picture is 64x64", {"image": torch.zeros(1, 64, 64, 3)}),
    ("the image input holds 2 pictures", {"image": torch.zeros(2, 256, 256, 3)}),
    ("recipe dragflow does not fit", {"recipe": "dragflow"}),
    ("makes a draft of its own, and draft or redraw is connected", WITH_DRAFT),
    ("there is no recipe 'custom'", {"recipe": "custom"}),
    ("the draft is 64x64 and the picture 256x256", {"draft": torch.zeros(1, 64, 64, 3)}),
    ("the vae has 4 latent channels", {"vae": types.SimpleNamespace(latent_channels=4)}),
    ("effort is 'quick'; it must be fast, normal or best", {"effort": "quick"}),
    ("count is 0; it must be from 1", {"count": 0}),
    ("side is 8 px; for this model it must be 0 or at least 16 px", {"side": 8}),
]  # fmt: skip


@pytest.mark.parametrize(("words", "change"), MESSAGES, ids=[m[0][:30] for m in MESSAGES])
def test_refused_before_any_step(words: str, change: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("it had begun")

    monkeypatch.setattr(comfy.utils, "ProgressBar", never)
    monkeypatch.setattr(pixels, "encoded", never)
    monkeypatch.setattr(edit, "encoded", never)
    monkeypatch.setattr(finish, "encoded", never)
    monkeypatch.setattr(edit_node, "prompts_for", never)
    with pytest.raises(DragError, match=words) as caught:
        edited(**({"regions": scene()[1]} | change))
    assert "\n" not in str(caught.value)


def test_an_unfinished_drawing_and_a_missing_prompt_are_told() -> None:
    image, regions, _ = scene()
    with torch.inference_mode():
        empty = DragEditor.execute(image, "").args[5]
    with pytest.raises(DragError, match="in the drag editor nothing is marked"):
        edited(empty)
    model = hookless.loaded("PixArt")
    with pytest.raises(DragError, match="the model needs a prompt: connect clip"):
        edited(regions, model=model, vae=hookless.PooledVae(model.model))
    points = '{"version": 1, "points": [{"start": [100, 100], "target": [110, 100]}]}'
    grown = {"task": "scale", "anchor": {"anchor": "middle"}, "scale_x": 1.5, "scale_y": 1.5}
    with torch.inference_mode():
        alone = DragEditor.execute(image, points).args[5]
        mask = torch.zeros(1, 256, 256)
        mask[:, 100:150, 100:150] = 1
        larger = RegionMaskAffine.execute(image=image, mask=mask, task=grown).args[0]
    for given, recipe in ((alone, "gooddrag"), (larger, "finish"), (larger, "dragnext")):
        with pytest.raises(DragError, match="all 3 pictures would be the same: set count to 1"):
            edited(given, recipe=recipe, count=3)


class Clip:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def tokenize(self, text: str) -> str:
        self.texts.append(text)
        return text

    def encode_from_tokens_scheduled(self, text: str) -> Any:
        return hookless.positive()


def test_the_editors_prompts_are_encoded() -> None:
    image, _, _ = scene()
    drag = {
        "version": 1,
        "regions": [{"polygons": [[[40, 40], [90, 40], [90, 90], [40, 90]]], "target": [120, 65]}],
        "prompts": {"source": "a cat", "target": "a cat on the right"},
    }
    model, clip = hookless.loaded("PixArt"), Clip()
    with torch.inference_mode():
        regions = DragEditor.execute(image, json.dumps(drag)).args[5]
    given = {"model": model, "vae": hookless.PooledVae(model.model), "side": 288}
    edited(regions, **given, clip=clip)
    assert clip.texts == ["a cat", "a cat on the right"] == list(regions.prompts)
    with torch.inference_mode():  # a crop knows its picture and its prompts
        task = DragCrop.execute(image, regions, 256).args[1]
    assert task.prompts == regions.prompts and task.picture.shape[-2:] == (
        task.image.height,
        task.image.width,
    )
    edited(task, **given, clip=clip)

"""Drag Edit: equal to the single nodes, on pictures of any size, and nothing else of the picture changes."""

from __future__ import annotations

import itertools
import json
import types
from functools import cache
from typing import Any

import comfy.utils
import hookless
import latent_preview
import pytest
import torch
from bounds import same
from comfy.cli_args import LatentPreviewMethod
from region_drag_editing.drag_core.recipes.presets import PRESETS
from region_drag_editing.drag_core.types import DragError, Task
from region_drag_editing.nodes import (
    DragCrop,
    DragEdit,
    DragEditor,
    DragExampleScene,
    DragFinish,
    DragInvert,
    DragOptimize,
    DragPasteBack,
    RegionMaskAffine,
)
from region_drag_editing.nodes.host.loaders import load_embedded
from region_drag_editing.nodes.host.sizes import side_of
from torch import Tensor

MOVED = {"task": "relocation", "target_x": 0.0, "target_y": 0.0}


@cache
def loaded(name: str = "embedded-sd") -> tuple[Any, Any, Any]:
    return load_embedded(name)


@cache
def scene(number: int = 0) -> tuple[Tensor, Task, Tensor]:
    """A lit scene, the drag on it, the exact result."""
    with torch.inference_mode():
        image, _, instruction, truth = DragExampleScene.execute("move", number, "lit").args
        return image, RegionMaskAffine.execute(image=image, instruction=instruction).args[0], truth


def drawn(width: int, height: int, channels: int = 3) -> tuple[Tensor, Task]:
    """A picture of soft waves, and a square in it that moves to the right."""
    y, x = torch.meshgrid(torch.linspace(0, 9, height), torch.linspace(0, 9, width), indexing="ij")
    image = torch.stack([torch.sin(x + k * y) / 2 + 0.5 for k in range(channels)], -1)[None]
    k = min(width, height) // 4
    image[:, k : 2 * k, k : 2 * k, :3] = torch.tensor([0.9, 0.2, 0.1])
    mask = torch.zeros(1, height, width)
    mask[:, k : 2 * k, k : 2 * k] = 1
    where = MOVED | {"target_x": 1.5 * k + 0.8 * k, "target_y": 1.5 * k}
    with torch.inference_mode():
        return image, RegionMaskAffine.execute(image=image, mask=mask, task=where).args[0]


def edited(regions: Any, name: str = "embedded-sd", **given: Any) -> tuple[Tensor, dict[str, Any]]:
    model, _, vae = loaded(name)
    with torch.inference_mode():
        out = DragEdit.execute(**({"regions": regions, "model": model, "vae": vae} | given)).args
    return out[0], json.loads(out[3])


def changed_outside(regions: Task, before: Tensor, after: Tensor) -> int:
    assert regions.editable is not None and after.shape[1:] == before.shape[1:]
    outside = regions.editable < 0.5
    return int((before != after)[:, outside].sum())


@pytest.mark.parametrize("name", list(PRESETS))
def test_auto_is_drag_finish_on_the_crop(name: str) -> None:
    """Its four calls; the thing's own pixels; each candidate is that seed's."""
    image, regions, _ = scene()
    model, positive, vae = loaded(name)
    pictures, report = edited(regions, name, seed=3, count=2)
    assert (report["recipe"], report["model_calls"], report["seeds"]) == ("finish", 8, [3, 4])
    for k in range(2):
        with torch.inference_mode():
            given = {"seed": 3 + k, "side": PRESETS[name].side}
            want = DragFinish.execute(model, positive, vae, image, regions, **given).args[0]
        assert same(pictures[k : k + 1], want)
    assert not torch.equal(pictures[0], pictures[1])
    assert changed_outside(regions, image, pictures) == 0


@pytest.mark.parametrize(
    ("name", "recipe", "keys", "count"),
    [("embedded-sd", "dragnext", "auto", 1), ("embedded-flux", "dragflow", "draft", 3)],
)
def test_a_papers_recipe_is_the_single_nodes(name: str, recipe: str, keys: Any, count: int) -> None:
    """Crop, encode, invert, drag, decode, paste back, each a node of its own; candidates, and a truth.

    The picture and its draft are inverted for the first; the others draw the hole anew.
    """
    image, regions, truth = scene()
    model, positive, vae = loaded(name)
    steps, strength = PRESETS[name].inversion
    with torch.inference_mode():
        small, task, crop, _ = DragCrop.execute(image, regions, PRESETS[name].side).args[:4]
        latent = {"samples": vae.encode(small)}
        path = DragInvert.execute(model, positive, latent, "auto", steps, strength, "auto", 1.0, "none").args[
            3
        ]
        first = edited(regions, name, recipe=recipe, count=count)
        out = DragOptimize.execute(
            model, positive, path, task, recipe, "ours", {"method": "region"}, "auto", "recipe", 0, 0,
            vae=vae, kv_of=keys,
        ).args[0]  # fmt: skip
        want = DragPasteBack.execute(image, vae.decode(out["samples"]), regions, crop).args[0]
    pictures, report = first
    assert same(pictures[:1], want)
    calls = [c["model_calls"] for c in report["candidates"]]
    levels = len(PRESETS[name].schedule.t) - 1
    assert len(set(calls)) == 1 and len(calls) == count and report["recipe"] == recipe
    assert report["model_calls"] - sum(calls) <= 2 * (levels + 1) + 4  # two inversions, a hole
    assert changed_outside(regions, image, pictures) == 0
    assert regions.editable is not None
    may = regions.editable > 0.5
    errors = [float(-10 * torch.log10((p - truth[0])[may].square().mean())) for p in pictures]
    print(name, [round(e, 1) for e in errors])
    assert min(errors) >= 23.5 and max(errors) - min(errors) < 1
    for a, b in itertools.combinations(range(count), 2):
        assert float((pictures[a] - pictures[b]).abs().max()) > 0.02


@pytest.mark.parametrize("size", [(600, 400), (451, 300), (512, 2048), (37, 1000), (4096, 3000)], ids=str)
def test_any_size_comes_back_at_its_size(size: tuple[int, int]) -> None:
    """The thing's own pixels arrive, also where the model is shown a tenth of them."""
    image, regions = drawn(*size)
    pictures, report = edited(regions)
    assert pictures.shape == image.shape and changed_outside(regions, image, pictures) == 0
    k = min(size) // 4
    at = (0, int(1.5 * k), int(2.3 * k))
    assert torch.allclose(pictures[at], image[0, int(1.5 * k), int(1.5 * k)], atol=2e-3)
    left = pictures[0, int(1.5 * k), k + 1]
    assert (left - torch.tensor([0.9, 0.2, 0.1])).abs().max() > 0.05  # the square is no longer there
    assert report["model_size"][0] % 16 == 0 and report["notes"]


def test_alpha_goes_with_the_thing() -> None:
    image, regions = drawn(320, 240, 4)
    image[..., 3] = 0.25
    image[:, 60:120, 60:120, 3] = 1.0
    pictures, _ = edited(regions, image=image)
    assert pictures.shape == (1, 240, 320, 4) and changed_outside(regions, image, pictures) == 0
    assert float(pictures[0, 90, 138, 3]) == 1.0 and float(pictures[0, 90, 64, 3]) < 0.3


def test_a_draft_of_ones_own() -> None:
    """On a picture whose sides fit no model, only what it changes is drawn."""
    image, regions = drawn(301, 223)
    draft = image.clone()
    draft[:, 60:90, 150:180] = 0.0
    pictures, report = edited(regions, draft=draft)
    assert report["recipe"] == "finish" and "a draft is given" in report["recipe_why"]
    assert not torch.equal(pictures, image) and changed_outside(regions, image, pictures) == 0


@pytest.mark.parametrize("name", list(hookless.CONFIGS))
def test_models_that_a_drag_has_no_hooks_for(name: str) -> None:
    model = hookless.loaded(name)
    image, regions = drawn(333, 251)
    vae = hookless.PooledVae(model.model)
    given = {"model": model, "vae": vae, "positive": hookless.positive(), "side": 288}
    pictures, report = edited(regions, **given)
    assert report["recipe"] == "finish" and changed_outside(regions, image, pictures) == 0
    with pytest.raises(DragError, match="drags work on Stable Diffusion"):
        edited(regions, **given, effort="best")


def test_points_go_by_a_papers_method() -> None:
    image, _, _ = scene()
    points = '{"version": 1, "points": [{"start": [100, 100], "target": [110, 100]}]}'
    with torch.inference_mode():
        regions = DragEditor.execute(image, points).args[5]
    pictures, report = edited(regions, effort="fast")
    assert report["recipe"] == "finish" and not torch.equal(pictures, image)
    with torch.inference_mode():
        near = points.replace("110", "103")
        regions = DragEditor.execute(image, near).args[5]
    _, report = edited(regions, recipe="gooddrag", effort="fast")
    assert report["recipe"] == "gooddrag" and "ran as its recipe says" in " ".join(report["notes"])


WITH_DRAFT = {"recipe": "dragnext", "draft": torch.zeros(1, 256, 256, 3)}
NOT_YET = {"regions": Task(scene()[1].image, scene()[1].regions)}
MESSAGES: list[tuple[str, dict[str, Any]]] = [
    ("connect image, the one they were drawn on", NOT_YET),
    ("drawn on 256x256 and the picture is 64x64", {"image": torch.zeros(1, 64, 64, 3)}),
    ("the image input holds 2 pictures", {"image": torch.zeros(2, 256, 256, 3)}),
    ("recipe dragflow does not fit", {"recipe": "dragflow"}),
    ("makes a draft of its own, and one is connected", WITH_DRAFT),
    ("the vae has 4 latent channels", {"vae": types.SimpleNamespace(latent_channels=4)}),
    ("effort is 'quick'; it must be fast, normal or best", {"effort": "quick"}),
    ("count is 0; it must be from 1", {"count": 0}),
    ("side is 8 px; it must be 0", {"side": 8}),
]  # fmt: skip


@pytest.mark.parametrize(("words", "change"), MESSAGES, ids=[m[0][:30] for m in MESSAGES])
def test_refused_before_any_step(words: str, change: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("the bar was told")

    monkeypatch.setattr(comfy.utils, "ProgressBar", never)
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
    with torch.inference_mode():
        alone = DragEditor.execute(image, points).args[5]
    with pytest.raises(DragError, match="all 3 pictures would be the same: set count to 1"):
        edited(alone, recipe="gooddrag", count=3)


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


@pytest.mark.parametrize(("recipe", "count"), [("auto", 3), ("dragflow", 2)])
def test_one_bar_with_the_picture_in_it(recipe: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It never goes back, and a preview is the picture with the crop in its place."""
    monkeypatch.setattr(latent_preview.args, "preview_method", LatentPreviewMethod.Latent2RGB)
    told: list[tuple[float, float]] = []
    shown: list[Any] = []

    def hook(value: float, total: float, preview: Any, node_id: Any = None) -> None:
        told.append((value, total))
        if preview is not None:
            shown.append(preview[1])

    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", hook)
    _, regions = drawn(900, 450)
    edited(regions, "embedded-flux", recipe=recipe, count=count)
    assert told == sorted(told) and len({total for _, total in told}) == 1 and told[-1][0] == told[-1][1]
    assert shown and {x.size for x in shown} == {(768, 384)}


def test_what_size_models_are_shown() -> None:
    assert side_of(loaded("embedded-sd")[0]) == side_of(loaded("embedded-flux")[0]) == 256
    assert side_of(hookless.loaded("PixArt")) == 1024

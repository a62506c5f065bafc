"""Drag Edit: equal to the single nodes, on pictures of any size, and nothing else of the picture changes."""

from __future__ import annotations

import itertools
import json
from functools import cache
from typing import Any

import hookless
import pytest
import torch
from bounds import same
from region_drag_editing.drag_core.pictures.draft import draft_of
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
from region_drag_editing.nodes.host import inversion, own_start
from region_drag_editing.nodes.host.loaders import load_embedded
from region_drag_editing.nodes.host.sizes import crop_for
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
    width, height = report["model_size"]
    assert width % 16 == 0 == height % 16 and 0.7 < width * height / 256**2 < 1.4


def test_alpha_goes_with_the_thing() -> None:
    """But not with a draft, which says nothing of it."""
    image, regions = drawn(320, 240, 4)
    image[..., 3] = 0.25
    image[:, 60:120, 60:120, 3] = 1.0
    pictures, _ = edited(regions, image=image)
    assert pictures.shape == (1, 240, 320, 4) and changed_outside(regions, image, pictures) == 0
    assert float(pictures[0, 90, 138, 3]) == 1.0 and float(pictures[0, 90, 64, 3]) < 0.3
    draft = image[..., :3].clone()
    draft[:, 80:100, 120:150] = 0.0
    pictures, _ = edited(regions, image=image, draft=draft)
    assert torch.equal(pictures[..., 3], image[..., 3])


def test_values_beyond_white_stay_where_nothing_may_change() -> None:
    image, regions = drawn(320, 240)
    image[0, 0, 0] = torch.tensor([1.5, -0.25, 2.0])
    pictures, _ = edited(regions, image=image)
    assert torch.equal(pictures[0, 0, 0], image[0, 0, 0]) and float(pictures[0, 60:120].max()) <= 1


def test_a_draft_of_ones_own_and_what_is_drawn_of_it() -> None:
    """On a picture whose sides fit no model: the draft stands where it differs, but for what is redrawn."""
    image, regions = drawn(301, 223)
    draft = image.clone()
    draft[:, 70:100, 115:145] = 0.0
    pictures, report = edited(regions, draft=draft)
    assert report["recipe"] == "finish" and "a draft is given" in report["recipe_why"]
    assert changed_outside(regions, image, pictures) == 0
    assert torch.equal(pictures[0, 74:96, 119:141], draft[0, 74:96, 119:141])
    left = (0, slice(65, 95), slice(60, 90))  # by the regions
    assert not torch.equal(pictures[left], image[left])
    mask = torch.zeros(1, 223, 301)
    mask[:, 70:100, 115:145] = 1
    pictures, _ = edited(regions, draft=draft, redraw=mask)
    assert torch.equal(pictures[left], image[left])
    assert float((pictures[0, 80:90, 125:135] - draft[0, 80:90, 125:135]).abs().max()) > 0.01


def bent() -> tuple[Tensor, Task]:
    """A bar held at two points and pulled down at the third: its middle leaves a hole above it."""
    image = torch.full((1, 256, 256, 3), 0.5)
    image[:, 120:136, 60:200] = 0.9
    points = [[[70, 128], [70, 128]], [[190, 128], [190, 128]], [[130, 128], [130, 178]]]
    drag = {
        "version": 1,
        "regions": [{"polygons": [[[60, 120], [200, 120], [200, 136], [60, 136]]], "target": [129.5, 127.5]}],
        "points": [{"start": a, "target": b} for a, b in points],
    }
    with torch.inference_mode():
        return image, RegionMaskAffine.execute(image=image, instruction=json.dumps(drag)).args[0]


def test_what_a_bent_thing_leaves_is_drawn() -> None:
    """The hole is that of the bend, not that of the region's own motion, which is none here."""
    image, regions = bent()
    model, positive, vae = loaded()
    with torch.inference_mode():
        out = DragFinish.execute(model, positive, vae, image, regions)
        report = json.loads(out.args[3])
        assert report["cells"][0] >= 20 and float(out.args[2][0, 128, 130]) > 0.9
    _, report = edited(regions)
    assert report["candidates"][0]["cells"][0] >= 20


def test_a_small_thing_is_drawn_enlarged_with_its_soft_edge() -> None:
    """BEYOND counts pixels of the picture: in a crop of twice the size the hole is as wide as the draft's."""
    image, regions = drawn(512, 512)
    mask = torch.zeros(1, 512, 512)
    mask[:, 200:240, 200:240] = 1
    with torch.inference_mode():
        regions = RegionMaskAffine.execute(
            image=image, mask=mask, task={"task": "relocation", "target_x": 300.0, "target_y": 220.0}
        ).args[0]
        made = draft_of(image[0].movedim(-1, 0), regions)
        crop = crop_for(loaded()[0], regions, 512)
        assert crop is not None and crop.scale > 1.5
        out = DragFinish.execute(*loaded(), image, regions, side=512)
    drawn_fully = out.args[2][0] > 0.99
    hole = made.hole * (regions.editable if regions.editable is not None else 1)
    assert float((drawn_fully * hole).sum() / hole.sum()) > 0.9


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
    """On FLUX what lies under them moves as a region, and leaves a hole that seeds fill."""
    image, _, _ = scene()
    points = '{"version": 1, "points": [{"start": [100, 100], "target": [103, 100]}]}'
    with torch.inference_mode():
        regions = DragEditor.execute(image, points).args[5]
    pictures, report = edited(regions, effort="fast")
    assert (report["recipe"], report["model_calls"]) == ("finish", 0) and not torch.equal(pictures, image)
    _, report = edited(regions, recipe="gooddrag", effort="fast")
    assert report["recipe"] == "gooddrag" and "ran as its recipe says" in " ".join(report["notes"])
    pictures, report = edited(regions, "embedded-flux", recipe="copy_paste", count=2)
    assert report["recipe"] == "copy_paste" and not torch.equal(pictures[0], pictures[1])


def test_candidates_of_a_recipe_are_their_seeds_own() -> None:
    """The picture of seed 4 is the same as the second of seed 3, and nothing is inverted for it again."""
    _, regions, _ = scene()
    given = {"recipe": "dragflow", "effort": "fast"}
    both, _ = edited(regions, "embedded-flux", seed=3, count=2, **given)
    calls: list[Any] = []
    with pytest.MonkeyPatch.context() as m:
        m.setattr(inversion, "walked", lambda *a, **k: calls.append(a))
        m.setattr(own_start, "walked", lambda *a, **k: calls.append(a))
        one, _ = edited(regions, "embedded-flux", seed=4, **given)
    assert same(one, both[1:]) and not calls


def test_the_largest_seed() -> None:
    _, report = edited(scene()[1], seed=2**64 - 1, count=2)
    assert report["seeds"] == [2**64 - 1, 0]

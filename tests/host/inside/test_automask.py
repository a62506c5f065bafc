"""DragAutoMask's feature sources, and DragCorrespondenceGuide in the host's own samplers."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import comfy.sample
import comfy.samplers
import pytest
import torch
from region_drag_editing.drag_core.features.correspondence import Correspondence
from region_drag_editing.drag_core.types import DragError, Grid, Handle, Task
from region_drag_editing.nodes import DragAutoMask, DragCorrespondenceGuide
from region_drag_editing.nodes.host.loaders import load_embedded
from torch import Tensor

SIDE = 128
PAIR = Handle((43.5, 51.5), (83.5, 67.5))
TASK = Task(Grid(SIDE, SIDE), handles=(PAIR,))
POINTS = json.dumps(
    {
        "version": 1,
        "image": {"width": SIDE, "height": SIDE},
        "points": [{"start": [40, 50], "target": [80, 50]}],
    }
)


def picture() -> Tensor:
    """A square on a plain ground, (1, H, W, 3)."""
    image = torch.full((1, SIDE, SIDE, 3), 0.3)
    image[:, 30:70, 20:60] = torch.tensor([0.9, 0.2, 0.1])
    return image


@pytest.fixture(scope="module")
def models() -> tuple[Any, Any, Any]:
    with torch.inference_mode():
        return load_embedded("embedded-sd")


def test_the_mask_follows_colour_or_a_models_features_and_says_which(models: tuple[Any, Any, Any]) -> None:
    pytest.importorskip(
        "skimage", reason="scikit-image is not in the host's Python: pip install scikit-image there"
    )
    model, positive, vae = models
    with torch.inference_mode():
        plain = DragAutoMask.execute(picture(), POINTS, 60)
        by_unet = DragAutoMask.execute(picture(), POINTS, 60, model=model, vae=vae, positive=positive)
        print("the UNet's features:", float(by_unet.args[0].mean()))
        tokens = torch.cat([torch.zeros(1, 1, 8), torch.randn(1, 256, 8)], 1)
        vision = SimpleNamespace(
            model_type="dinov2", encode_image=lambda image, crop: {"penultimate_hidden_states": tokens}
        )
        by_vision = DragAutoMask.execute(picture(), POINTS, 60, 0.0, clip_vision=vision)  # of noise
    for out, name in (
        (plain, "Lab colour"),
        (by_unet, "embedded UNet's features"),
        (by_vision, "dinov2 features (16x16)"),
    ):
        mask, drag, regions, preview, source = out.args
        assert name in source and name in out.ui["text"][0]
        assert mask.shape == (1, SIDE, SIDE) and 0 < mask.mean() < 0.9 and preview.shape[1:3] == (SIDE, SIDE)
        assert mask[0, 50, 40] == 1 and mask[0, 50, 80] == 1 and torch.equal(drag.editable, mask[0])
        assert drag.handles[0].region is not None and len(regions.regions) == 1 and not drag.regions
    square = torch.zeros(SIDE, SIDE)
    square[30:70, 20:60] = 1
    assert (plain.args[0][0] * square).sum() > 0.95 * square.sum()


def test_what_is_missing_is_said(models: tuple[Any, Any, Any]) -> None:
    with pytest.raises(DragError, match="follows from points and there is none"):
        DragAutoMask.execute(picture())
    with pytest.raises(DragError, match="the drag was drawn on 64x64 and this picture is 128x128"):
        DragAutoMask.execute(picture(), regions=Task(Grid(64, 64), handles=(PAIR,)))
    with pytest.raises(DragError, match="need its vae and positive too"):
        DragAutoMask.execute(picture(), POINTS, model=models[0])


@pytest.fixture(scope="module", params=["embedded-sd", "embedded-flux"])
def setup(request: pytest.FixtureRequest) -> dict[str, Any]:
    with torch.inference_mode():
        model, positive, vae = load_embedded(request.param)
        return {"model": model, "positive": positive, "latent": {"samples": vae.encode(picture())}}


def sample(setup: dict[str, Any], model: Any, sampler: str = "euler") -> Tensor:
    """Image to image at half the noise."""
    samples = setup["latent"]["samples"]
    with torch.inference_mode():
        noise = comfy.sample.prepare_noise(samples, 3)
        sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "simple", 8)[4:]
        kind, conds = comfy.samplers.sampler_object(sampler), [setup["positive"]] * 2
        return comfy.sample.sample_custom(model, noise, 1.0, kind, sigmas, *conds, samples, seed=1)


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m"])
def test_the_guide_lowers_its_loss_in_any_sampler_and_leaves_the_model_alone(
    setup: dict[str, Any], sampler: str
) -> None:
    """The clone is guided; the model that came in samples what it did before."""
    model, latent = setup["model"], setup["latent"]
    before = sample(setup, model, sampler)
    with torch.inference_mode():
        guided = DragCorrespondenceGuide.execute(model, latent, TASK, 0.5, 16, 0.0, 1.0).args[0]
        off = DragCorrespondenceGuide.execute(model, latent, TASK, 0.0, 16, 0.0, 1.0).args[0]
    after = sample(setup, guided, sampler)
    loss = Correspondence((PAIR,), TASK.image, 2, 0.1)
    clean = latent["samples"]
    a, b = (float(loss.loss(x.clone(), clean.clone())) for x in (before, after))
    print(f"CLoss {a:.3f} -> {b:.3f}, largest change {float((after - before).abs().max()):.3f}")
    assert b < a and float((after - before).abs().max()) > 1e-2
    assert torch.equal(sample(setup, model, sampler), before) and torch.equal(
        sample(setup, off, sampler), before
    )


def test_the_guide_says_what_does_not_fit(setup: dict[str, Any]) -> None:
    model, latent = setup["model"], setup["latent"]
    with pytest.raises(DragError, match="this drag has none"):
        DragCorrespondenceGuide.execute(model, latent, Task(TASK.image), 0.1, 16, 0.0, 1.0)
    with pytest.raises(DragError, match="was drawn on 256x256 and the latent is of a 128x128"):
        DragCorrespondenceGuide.execute(
            model, latent, Task(Grid(256, 256), handles=(PAIR,)), 0.1, 16, 0.0, 1.0
        )
    with pytest.raises(DragError, match="start must be below end"):
        DragCorrespondenceGuide.execute(model, latent, TASK, 0.1, 16, 0.5, 0.5)

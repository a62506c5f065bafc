"""Weights go to a card in inference mode, as when the host's own nodes ask for it. Made in inference mode by
a loader and moved outside it, they track no version: no node can use them until the model is loaded anew.
"""

from __future__ import annotations

from typing import Any

import comfy.model_management as mm
import pytest
import torch
from region_drag_editing.nodes import DragInvert, RegionMaskAffine
from region_drag_editing.nodes.host.adapters.subject import encode
from region_drag_editing.nodes.host.features import unet_features
from region_drag_editing.nodes.host.loaders import load_embedded
from region_drag_editing.nodes.host.own_start import start_of
from region_drag_editing.nodes.host.wish import DragChoices
from test_adapters_in_drags import encoder

PICTURE = torch.rand(1, 128, 128, 3, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether inference mode was on, at each time that the host was asked to load."""
    seen: list[bool] = []
    load = mm.load_models_gpu

    def watched(models: Any, *args: Any, **kw: Any) -> Any:
        if not all(m in [x.model for x in mm.current_loaded_models] for m in models):
            seen.append(torch.is_inference_mode_enabled())
        return load(models, *args, **kw)

    monkeypatch.setattr(mm, "load_models_gpu", watched)
    return seen


def test_an_automatic_mask_moves_the_model_as_the_host_does(loads: list[bool]) -> None:
    with torch.inference_mode():
        model, positive, vae = load_embedded("embedded-sd")
    mm.unload_all_models()
    with torch.inference_mode(False):
        found, _ = unet_features(model, positive, vae, PICTURE)
    assert loads and all(loads) and not found.is_inference()


def test_a_subject_moves_the_encoders_as_the_host_does(loads: list[bool]) -> None:
    siglip, dino = encoder("siglip_vision_model", 27, 384), encoder("dinov2", 30, 518)
    mm.unload_all_models()
    with torch.inference_mode():
        subject = encode(siglip, dino, PICTURE, None)
    assert loads and all(loads) and not subject.deep.is_inference()


def test_a_start_moves_the_model_as_the_host_does(loads: list[bool]) -> None:
    with torch.inference_mode():
        model, positive, vae = load_embedded("embedded-sd")
        latent = {"samples": vae.encode(PICTURE)}
        path = DragInvert.execute(model, positive, latent, "auto", 50, 0.4, "auto", 1.0, "none").args[3]
        mask = torch.zeros(1, 128, 128)
        mask[:, 24:56, 24:56] = 1
        motion = {"task": "relocation", "target_x": 80.0, "target_y": 60.0}
        regions = RegionMaskAffine.execute(PICTURE, motion, 1.0, "adaptive", "", mask).args[0]
        mm.unload_all_models()
        loads.clear()
        start = start_of(model, path, regions, DragChoices("dragnext"))
    assert start.draft is not None and start.calls > 0
    assert loads and all(loads)

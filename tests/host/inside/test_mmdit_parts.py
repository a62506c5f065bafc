"""FLUX.2, Chroma, SD3.5, Qwen-Image with a LoRA of the picture and CLoss as guide; not FLUX.1's adapters."""

from __future__ import annotations

from typing import Any

import comfy.sample
import comfy.samplers
import mmdit
import pytest
import tiny
import torch
from bounds import merged, same
from ip_adapters import load
from mmdit import NAMES, loaded, point
from region_drag_editing.drag_core.adapters.attention import Strength
from region_drag_editing.drag_core.features.correspondence import Correspondence
from region_drag_editing.drag_core.lora import Training, file_weights
from region_drag_editing.drag_core.types import DragError, Grid, Handle, Task
from region_drag_editing.nodes import DragCorrespondenceGuide
from region_drag_editing.nodes.host import lora as identity
from region_drag_editing.nodes.host import session
from region_drag_editing.nodes.host.adapters import ip_adapter
from region_drag_editing.nodes.host.shape import cell_of, core_shape, host_shape
from tiny import error
from torch import Tensor


def latent(name: str, seed: int = 6) -> Tensor:
    with torch.inference_mode():
        return host_shape(loaded(name).model, point(name, seed).clone())


@pytest.mark.parametrize("name", NAMES)
def test_an_identity_lora(name: str) -> None:
    """Every attention layer; what was beside the weights in training is in them afterwards, and comes off."""
    patcher = loaded(name)
    before = mmdit.output(patcher)
    with torch.inference_mode():  # as the executor runs a node
        trained = identity.train(
            patcher, tiny.positive(), latent(name), Training(steps=3, rank=4, rate=2e-2, batch=2)
        )
    layers = identity.layers_of(patcher.model)
    assert trained.lora.weights.keys() == layers.keys() and len(layers) >= 4
    assert len(file_weights(trained.lora)) == 3 * len(layers)
    patched = identity.with_lora(patcher, trained, 1.0)
    assert len(patched.patches) == len(layers)
    z, t = point(name, 5), 0.4

    def beside(backbone: Any, _: Tensor) -> Tensor:
        with identity.beside(layers, trained.lora.weights, {}), torch.no_grad():
            return backbone.predict(tiny.at(backbone, z), t)

    def inside(backbone: Any, _: Tensor) -> Tensor:
        return backbone.predict(tiny.at(backbone, z), t)

    with torch.inference_mode():
        a = tiny.run(
            patcher, tiny.positive(), latent(name), beside, session.SessionNeeds(gradients=True, whole=True)
        )
        b = tiny.run(patched, tiny.positive(), latent(name), inside)
        plain = tiny.run(patcher, tiny.positive(), latent(name), inside)
    print(name, len(layers), error(a, b), error(plain, b))
    assert error(a, b) <= merged(1e-5) and error(plain, b) > max(1e-3, 3 * merged(1e-5))
    assert same(mmdit.output(patcher), before)


@pytest.mark.parametrize("name", NAMES)
def test_a_guide(name: str) -> None:
    patcher, samples = loaded(name), latent(name)
    cell, (h, w) = cell_of(patcher.model), tiny.LATENT
    pair = Handle((0.3 * cell * w, 0.4 * cell * h), (0.6 * cell * w, 0.5 * cell * h))
    task = Task(Grid(cell * h, cell * w), (), (pair,))
    with torch.inference_mode():
        guided = DragCorrespondenceGuide.execute(
            patcher, {"samples": samples}, task, 1.0, 2 * cell, 0.0, 1.0
        ).args[0]
        noise = comfy.sample.prepare_noise(samples, 3)
        sigmas, kind = torch.tensor([0.6, 0.4, 0.2, 0.0]), comfy.samplers.sampler_object("euler")
        conds = [tiny.positive()] * 2
        before, after = (
            comfy.sample.sample_custom(m, noise, 1.0, kind, sigmas, *conds, samples, seed=1)
            for m in (patcher, guided)
        )
    assert before.shape == after.shape == samples.shape and torch.isfinite(after).all()
    loss = Correspondence((pair,), task.image, 2, 0.1)
    clean, a, b = (core_shape(patcher.model.process_latent_in(x.clone())) for x in (samples, before, after))
    print(name, float(loss.loss(a, clean)), float(loss.loss(b, clean)))
    assert loss.loss(b, clean) < loss.loss(a, clean) and (a - b).abs().max() > 1e-2


@pytest.mark.parametrize("kind", ["xlabs", "instantx"])
@pytest.mark.parametrize("name", NAMES)
def test_an_adapter_for_flux1_is_refused(
    name: str, kind: str, tmp_path_factory: Any, monkeypatch: Any
) -> None:
    import folder_paths

    for folder in (ip_adapter.FOLDERS, "clip_vision"):
        where = ([str(tmp_path_factory.mktemp(folder))], folder_paths.supported_pt_extensions)
        monkeypatch.setitem(folder_paths.folder_names_and_paths, folder, where)
    adapter = load(kind)
    with pytest.raises(DragError, match=f"is for FLUX.1 and this model is {name}: use an IP-Adapter pack"):
        ip_adapter.add_adapter(loaded(name), adapter, Strength(1.0), None, None, None)

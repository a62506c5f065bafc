"""FLUX.2, Chroma, SD3.5 and Qwen-Image through the nodes: a whole drag, patched models, a hook's strength."""

from __future__ import annotations

import json
from typing import Any

import comfy.model_detection
import comfy.model_patcher
import comfy.sample
import comfy.samplers
import mmdit
import pytest
import tiny
import torch
from bounds import same, within
from mmdit import NAMES, loaded, point
from region_drag_editing.drag_core.recipes.dragflow import TAPS as FLUX_TAPS
from region_drag_editing.drag_core.types import DragError
from region_drag_editing.nodes import (
    DragBackgroundHardConstraint,
    DragInvert,
    DragKVInject,
    DragOptimize,
    RegionMaskAffine,
)
from region_drag_editing.nodes.host.adapters.adapter import inject
from region_drag_editing.nodes.host.family import family_of
from region_drag_editing.nodes.host.shape import cell_of, core_shape, host_shape
from tiny import error
from torch import Tensor


def pictured(name: str) -> tuple[Tensor, Tensor]:
    """A picture of the size that the latent stands for, and a mask on it."""
    cell = cell_of(loaded(name).model)
    h, w = (s * cell for s in tiny.LATENT)
    mask = torch.zeros(1, h, w)
    mask[:, h // 4 : h // 2, w // 4 : w // 2] = 1
    return torch.rand(1, h, w, 3, generator=torch.Generator().manual_seed(8)), mask


def inverted(patcher: Any, samples: Tensor, steps: int, strength: float) -> Any:
    z = {"samples": samples}
    rest = ("auto", steps, strength, "auto", tiny.GUIDANCE, "auto")
    return DragInvert.execute(patcher, tiny.positive(), z, *rest).args[:4]


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_drag(name: str) -> None:
    patcher = loaded(name)
    before = mmdit.output(patcher)
    samples = host_shape(patcher.model, point(name, 6))
    picture, mask = pictured(name)
    h, w = mask.shape[-2:]
    with torch.inference_mode():
        noise, latent, sigmas, inversion = inverted(patcher, samples, 6, 0.67)
        task = {"task": "relocation", "target_x": 0.6 * w, "target_y": 0.5 * h}
        regions = RegionMaskAffine.execute(
            image=picture, mask=mask, task=task, weight=1.0, editable="adaptive", instruction=""
        ).args[0]
        method = {"method": "region", "iterations": 2, "hold": 1, "step": 100.0}
        given = (
            patcher,
            tiny.positive(),
            inversion,
            regions,
            "custom",
            "ours",
            method,
            "auto",
            "recipe",
            0,
            0,
        )
        out = DragOptimize.execute(*given).args
    facts = json.loads(out[4])
    family = family_of(patcher.model)
    assert facts["model"] == family.label == name
    assert facts["taps"] == [f"{t.block}:{t.site}" for t in family.ground().taps(FLUX_TAPS)]
    assert tuple(facts["kv_layers"]) == family.kv and facts["updates"] == 3
    edited = out[0]["samples"]
    assert edited.shape == samples.shape and torch.isfinite(edited).all()
    changed = core_shape((edited - samples).abs()).amax((0, 1))
    assert changed[:2].max() <= within(1e-4) < changed.max()  # above the editable box nothing moves
    started = out[3].generate_noise({"samples": samples})
    assert started.shape == samples.shape and out[1]["samples"].shape == samples.shape
    assert same(mmdit.output(patcher), before)


@pytest.mark.parametrize("name", NAMES)
def test_patched_models_for_stock_samplers(name: str) -> None:
    patcher = loaded(name)
    samples = host_shape(patcher.model, point(name, 6))
    mask = pictured(name)[1]
    with torch.inference_mode():
        noise, latent, sigmas, inversion = inverted(patcher, samples, 4, 0.75)
        kv = DragKVInject.execute(patcher, inversion, "auto", 0.0, 1.0).args[0]
        late = DragKVInject.execute(patcher, inversion, "auto", 0.999, 1.0).args[0]
        conds, kind = [tiny.positive()] * 2, comfy.samplers.sampler_object("euler")

        def sample(model: Any, shake: float = 0.0) -> Tensor:
            n = noise.generate_noise(latent)
            n = n + shake * torch.randn(n.shape, generator=torch.Generator().manual_seed(3))
            return comfy.sample.sample_custom(model, n, 1.0, kind, sigmas, *conds, samples, seed=1)

        plain_way, with_kv, unused = sample(patcher, 1.0), sample(kv, 1.0), sample(late, 1.0)
        assert error(with_kv, plain_way) > 1e-3 and same(unused, plain_way)
        outside = core_shape(samples)[..., :1, :]
        for source in ("trajectory", "reconstruction"):
            kept = DragBackgroundHardConstraint.execute(patcher, inversion, mask, source).args[0]
            got, plainly = (core_shape(sample(m, 1.0))[..., :1, :] for m in (kept, patcher))
            limit = within(1e-5) if source == "trajectory" else 0.7 * error(plainly, outside)
            assert error(got, outside) <= limit


@pytest.mark.parametrize("name", NAMES)
def test_a_hooks_strength(name: str) -> None:
    """SD3 runs no wrapper around its network: a strength would be ignored without a word."""
    patcher = loaded(name)
    adapted = patcher.clone()

    def attention(f: Any, q: Tensor, k: Tensor, v: Tensor, *args: Any, **kw: Any) -> Tensor:
        return f(q, k, 1.5 * v, *args, **kw)

    adapted.model_options["transformer_options"]["optimized_attention_override"] = attention
    off, on = mmdit.output(patcher), mmdit.output(adapted)
    assert error(on, off) > 1e-3
    if name == "Stable Diffusion 3":
        with pytest.raises(DragError, match="set scale to 1 and the range to 0 - 1"):
            inject(patcher, adapted, 0.5, (0.0, 1.0), True)
        return
    half = mmdit.output(inject(patcher, adapted, 0.5, (0.0, 1.0), True))
    assert error(half, off) > 1e-3 and error(half, on) > 1e-3

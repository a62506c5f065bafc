"""However a run ends, the model is as it was before."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import pytest
import tiny
import torch
from bounds import same
from region_drag_editing.drag_core.trajectory.kvcache import KVPlain
from region_drag_editing.drag_core.types import FeatureTap, KVRecord
from region_drag_editing.nodes.host.backbones import grad
from torch import Tensor

RUNS = 200
TAPS = {"flux": (FeatureTap("double.0"), FeatureTap("single.0", "norm1")), "unet": tiny.UNET_TAPS}


class Failure(Exception):
    pass


PLACES = ("before", "in forward", "before backward", "in backward")


def ending(how: str, place: str, checkpoint: bool, whole: bool) -> Callable[[Any, Tensor], None]:
    """A body that ends as asked at one place of a gradient pass."""

    def stop(*args: Any, **kw: Any) -> None:
        if how == "error":
            raise Failure
        if how == "interrupt":
            mm.interrupt_current_processing(True)
            mm.throw_exception_if_processing_interrupted()

    def body(backbone: Any, _: Tensor) -> None:
        kind = "flux" if hasattr(backbone.net, "double_blocks") else "unet"
        t = tiny.FLOW_T if kind == "flux" else tiny.NOISE_T
        channels = backbone.call.model.latent_format.latent_channels
        z = tiny.at(backbone, tiny.noise(1, channels, *tiny.LATENT, seed=3))
        backbone.checkpoint = checkpoint
        z.requires_grad_()
        with torch.no_grad():
            names = backbone.blocks if kind == "flux" else backbone.attentions
            backbone.predict(z, t, KVRecord(KVPlain(), tuple(names)))
        if place == "before":
            stop()
        if place == "in forward" and how == "interrupt":
            mm.interrupt_current_processing(True)  # the host's next layer raises it
        elif place == "in forward" and how == "error":
            patches = backbone.call.options["transformer_options"].setdefault("patches", {})
            patches["attn1_patch"] = [stop]  # another pack's, say
        maps, _ = backbone.features(z, t, TAPS[kind], stop=not whole)
        if place == "before backward":
            stop()
        loss = torch.stack([m.square().mean() for m in maps]).sum()
        if place == "in backward" and how == "interrupt" and checkpoint and kind == "flux":
            mm.interrupt_current_processing(True)  # met by a block that runs again
        elif place == "in backward":
            maps[0].register_hook(stop)
        torch.autograd.grad(loss, z)
        assert how == "success"

    return body


def test_runs_that_end_in_any_way(tmp_path: Path) -> None:
    dice = random.Random(0)
    flux = tiny.load_flux(tiny.flux_weights(128, 1), tmp_path / "flux.safetensors", torch.float32)
    patchers = {"flux": flux, "unet": tiny.load_unet(tiny.unet_weights(), torch.float32)}
    before = {k: tiny.output(p) for k, p in patchers.items()}
    training, seen = mm.in_training, Counter[tuple[str, str, str]]()
    raised = {"success": None, "error": Failure, "interrupt": mm.InterruptProcessingException}
    for _ in range(RUNS):
        kind, how, place = dice.choice(list(patchers)), dice.choice(list(raised)), dice.choice(PLACES)
        patcher, wanted = patchers[kind], raised[how]
        net = patcher.model.diffusion_model
        with nullcontext() if wanted is None else pytest.raises(wanted):
            body = ending(how, place, dice.random() < 0.5, dice.random() < 0.5)
            tiny.in_session(patcher, body, TAPS[kind])
        seen[kind, how, "" if wanted is None else place] += 1
        assert grad.replaced(net) == [] and tiny.hooks(net) == 0 and mm.in_training == training
        assert "patches" not in patcher.model_options["transformer_options"]
        assert not mm.processing_interrupted()
        assert same(tiny.output(patcher), before[kind])
    print({" ".join(k): n for k, n in sorted(seen.items())})
    assert len(seen) == 2 * (1 + 2 * len(PLACES))

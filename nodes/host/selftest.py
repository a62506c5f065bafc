"""One tiny pass before a model's first drag: are its gradients right, and are all hooks reached?

Nothing tells when a host update or another pack makes a gradient silently wrong; this does, in a fraction of
a step.
"""

from __future__ import annotations

import logging
from typing import Any

import comfyui_version
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ...drag_core.types import DragError, FeatureTap, KVCache, KVInject, KVRecord
from .call import owners_of

SIDE = 16  # latent cells
STEP, SLACK = 0.05, 0.03  # of the finite difference: its length, and what curvature and rounding may take
_passed: set[tuple[Any, ...]] = set()


def self_test(
    backbone: Any,
    t: float,
    taps: tuple[FeatureTap, ...],
    kv_blocks: tuple[str, ...] = (),
    again: bool = False,
) -> None:
    """Once per host version, model class, set of patches, taps and K/V layers; raises what is wrong.

    The gradient of a plain loss with and without checkpoints must agree, be finite and not zero, and in
    float32 agree with a finite difference along itself, which finds what both share; every K/V layer must
    have been reached. Needs frozen() open.
    """
    owners = owners_of(backbone.call.options["transformer_options"])
    model = backbone.call.model
    key = (comfyui_version.__version__, type(model), type(model.diffusion_model), owners, taps, kv_blocks)
    if key in _passed and not again:
        return
    channels = model.latent_format.latent_channels
    dtype = model.get_dtype_inference()
    z = torch.randn(1, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    z = z.to(backbone.call.device)
    if kv_blocks:
        cache = KVCache()
        backbone.hits.clear()
        with torch.no_grad():
            early = kv_blocks == backbone.reached(kv_blocks, taps)
            backbone.features(z, t, taps, KVRecord(cache, kv_blocks), stop=early)
        if lost := [b for b in kv_blocks if b not in backbone.hits]:
            raise DragError(
                f"the K/V hooks of {', '.join(lost)} were not reached{_whose(owners)}: connect the model "
                "before it"
            )
        kv = KVInject(cache, kv_blocks)
    else:
        kv = None
    plain = _gradient(backbone, z, t, taps, kv, False)
    remembered = _gradient(backbone, z, t, taps, kv, True)
    size = float(plain.norm())
    if not torch.isfinite(plain).all() or size == 0:
        raise DragError(
            f"the gradient through this model is {'zero' if size == 0 else 'not finite'} in the "
            f"self-test{_whose(owners)}: connect the model without it, or load it in another precision"
        )
    error = float((plain - remembered).norm()) / size
    if dtype == torch.float32:
        along = plain / size
        with torch.no_grad():
            ahead, behind = (_loss(backbone, z + h * along, t, taps, kv) for h in (STEP, -STEP))
        slope = float(ahead - behind) / (2 * STEP)
        error = max(error, abs(slope / size - 1) - SLACK)
    if error > (1e-4 if dtype == torch.float32 else 2e-2):
        raise DragError(
            f"the gradient through this model is wrong by {error:.1%} in the self-test{_whose(owners)}: "
            "connect the model without it, or report it with your ComfyUI version "
            f"{comfyui_version.__version__}"
        )
    logging.info("drag: self-test passed, gradients agree to %.1e", error)
    _passed.add(key)


def _gradient(
    backbone: Any, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: Any, remember: bool
) -> Tensor:
    x = z.clone().requires_grad_()
    before, by_block = backbone.checkpoint, backbone.by_block
    try:
        backbone.checkpoint = remember and by_block
        if remember and not by_block:

            def whole(y: Tensor) -> tuple[Tensor, ...]:
                return tuple(backbone.features(y, t, taps, kv)[0])

            maps = list(checkpoint(whole, x, use_reentrant=False, preserve_rng_state=False))
            loss = _square(maps)
        else:
            loss = _loss(backbone, x, t, taps, kv)
        (gradient,) = torch.autograd.grad(loss, x)
    finally:
        backbone.checkpoint = before
    return gradient.float()


def _loss(backbone: Any, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: Any) -> Tensor:
    return _square(backbone.features(z, t, taps, kv)[0])


def _square(maps: list[Tensor]) -> Tensor:
    return torch.stack([m.square().mean() for m in maps]).sum()


def _whose(owners: tuple[str, ...]) -> str:
    others = [o for o in owners if "drag" not in o]
    return f" (patches on it: {', '.join(others)})" if others else ""


def forget() -> None:
    """For tests: every model is new again."""
    _passed.clear()

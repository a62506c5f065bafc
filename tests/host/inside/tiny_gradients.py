"""Gradients of a drag's loss on the models of tiny.py, and float64 wherever one passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import comfy.ldm.flux.layers
import torch
from region_drag_editing.drag_core.types import KV, FeatureTap
from tiny import FLOW_T, FLUX_TAPS, LATENT, NOISE_T, UNET_TAPS, Asked, Got, at, in_session, noise
from torch import Tensor


@contextmanager
def float64_throughout() -> Iterator[None]:
    """The host rounds FLUX's rotations, and the host and ours round outputs, to float32 whatever the model's
    precision: not while open, wherever a gradient passes.
    """
    to_float, rope = torch.Tensor.float, comfy.ldm.flux.layers.rope

    def exact(x: Tensor, *args: Any, **kw: Any) -> Tensor:
        return x if x.dtype == torch.float64 and x.requires_grad else to_float(x, *args, **kw)

    def table(places: Tensor, dim: int, theta: int) -> Tensor:
        rates = theta ** -torch.linspace(0, (dim - 2) / dim, dim // 2, dtype=torch.float64)
        rates = rates.to(places.device)
        a = places.double()[..., None] * rates
        return torch.stack([a.cos(), -a.sin(), a.sin(), a.cos()], -1).unflatten(-1, (2, 2))

    try:
        torch.Tensor.float, comfy.ldm.flux.layers.rope = exact, table  # type: ignore[method-assign]
        yield
    finally:
        torch.Tensor.float, comfy.ldm.flux.layers.rope = to_float, rope  # type: ignore[method-assign]


def gradient(
    backbone: Any, asked: Asked, t: float, taps: tuple[FeatureTap, ...], kv: KV = None, stop: bool = True
) -> Got:
    """Inside a body of session.run."""
    z = at(backbone, asked.z).clone().requires_grad_()
    maps, prediction = backbone.features(z, t, taps, kv, stop=stop)
    loss = asked.loss(maps, prediction)
    (g,) = torch.autograd.grad(loss, z)
    end = None if prediction is None else prediction.detach()
    maps = [m.detach() for m in maps]
    leaves = [x.clone().requires_grad_() for x in (*maps, *([] if end is None else [end]))]
    again = asked.loss(leaves[: len(maps)], None if end is None else leaves[-1])
    pulls = torch.autograd.grad(again, leaves, allow_unused=True)
    pulls = [torch.zeros_like(x) if p is None else p for p, x in zip(pulls, leaves, strict=True)]
    return Got(maps, end, float(loss.detach()), g, pulls)


def gradients(
    patcher: Any,
    taps: tuple[FeatureTap, ...] | None = None,
    checkpoint: tuple[bool, ...] = (False, True),
    see: Callable[[Any], Any] = lambda backbone: None,
    inference: bool = True,
) -> list[Tensor]:
    """Of one and the same drag's loss, without checkpoints and with them (where there are any)."""

    def body(backbone: Any, _: Tensor) -> list[Tensor]:
        by_block = hasattr(backbone.net, "double_blocks")
        t, usual = (FLOW_T, FLUX_TAPS) if by_block else (NOISE_T, UNET_TAPS)
        z = at(backbone, noise(1, patcher.model.latent_format.latent_channels, *LATENT, seed=3))
        wanted = taps or usual
        with torch.no_grad():
            shapes = [m.shape for m in backbone.features(z, t, wanted)[0]]
        asked = Asked(z, [noise(*s, seed=7 + i) for i, s in enumerate(shapes)])
        out = []
        for on in checkpoint:
            backbone.checkpoint = on
            out.append(gradient(backbone, asked, t, wanted).gradient)
        see(backbone)
        return out

    found: list[Tensor] = in_session(patcher, body, taps or FLUX_TAPS, inference)
    assert all(not g.is_inference() and g.norm() > 0 for g in found)
    return found

"""Gradients of a network that computes in float16, whose smallest would vanish and largest overflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class _Up(torch.autograd.Function):
    """Identity whose backward multiplies all gradients by one power of two.

    It brings the largest near 1. Inside a network they grow (377 times in the embedded UNet), and float16
    ends at 65504.
    """

    @staticmethod
    def forward(ctx: Any, box: dict[str, Tensor], *maps: Tensor) -> tuple[Tensor, ...]:
        ctx.box = box
        return tuple(m.view_as(m) for m in maps)

    @staticmethod
    def backward(ctx: Any, *gs: Any) -> tuple[Any, ...]:
        largest = torch.stack([g.abs().amax() for g in gs if g is not None]).amax().float()
        ctx.box["scale"] = torch.exp2(-torch.ceil(torch.log2(largest.clamp(1e-30, 1e30))))
        return (None, *(None if g is None else g * ctx.box["scale"].to(g) for g in gs))


class _Down(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, box: dict[str, Tensor]) -> Tensor:
        ctx.box = box
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        return g / ctx.box["scale"].to(g), None


def amplified(x: Tensor, box: dict[str, Tensor]) -> Tensor:
    """Returns x with its gradient scaled for float16; `unscaled` takes it back where the gradient arrives."""
    out: Tensor = _Up.apply(box, x)[0]  # type: ignore[no-untyped-call]
    return out


def unscaled(x: Tensor, box: dict[str, Tensor]) -> Tensor:
    """Returns x, its gradient without the scale of `amplified`.

    A backward before this one has left the scale in `box`.
    """
    out: Tensor = _Down.apply(x, box)  # type: ignore[no-untyped-call]
    return out


def scaled(x: Tensor) -> tuple[Tensor, Callable[[list[Tensor]], list[Tensor]]]:
    """Scales the gradients of a model that computes in float16, where they would underflow.

    Returns x (float32) to give the model, and what its float32 outputs must pass. Between the two every
    gradient is larger by one exact power of two. Needs no sync.
    """
    if not (torch.is_grad_enabled() and x.requires_grad):
        return x, lambda maps: maps
    box: dict[str, Tensor] = {}

    def finish(maps: list[Tensor]) -> list[Tensor]:
        return list(_Up.apply(box, *maps))  # type: ignore[no-untyped-call]

    return unscaled(x, box), finish

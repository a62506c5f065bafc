"""Tensors in half their bytes: 8-bit numbers with a factor a row."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

FP8 = torch.float8_e4m3fn
LARGEST = 448.0  # of e4m3


@dataclass(frozen=True)
class Packed:
    """A tensor as it is kept: itself, or 8-bit numbers with a factor for each row of the last axis."""

    x: Tensor
    factor: Tensor | None = None

    @property
    def parts(self) -> tuple[Tensor, ...]:
        return (self.x,) if self.factor is None else (self.x, self.factor)

    def open(self, like: Tensor) -> Tensor:
        if self.factor is None:
            return self.x.to(like)
        return self.x.to(device=like.device, dtype=like.dtype) * self.factor.to(like)


def pack(x: Tensor, eight_bit: bool) -> Packed:
    """Largest error of an element: 2^-4 of itself, on average a fortieth."""
    if not eight_bit:
        return Packed(x)
    factor = (x.abs().amax(-1, keepdim=True).float() / LARGEST).clamp_min(1e-30).to(torch.bfloat16)
    return Packed((x.float() / factor.float()).clamp(-LARGEST, LARGEST).to(FP8), factor)

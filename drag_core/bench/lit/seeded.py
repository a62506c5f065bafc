"""Numbers that a seed has: the same on every device and in every batch."""

from __future__ import annotations

import torch
from torch import Tensor

BITS = 0xFFFFFFFF


def _stirred(x: Tensor) -> Tensor:
    for _ in range(2):
        x = ((x ^ (x >> 16)) * 0x45D9F3B) & BITS
    return x ^ (x >> 16)


def uniforms(seeds: Tensor, stream: int, count: int) -> Tensor:
    """Computes (N, count) numbers in [0, 1) of whole-number seeds (N,).

    A counter hash in whole numbers of (seed, stream, index); streams are independent of each other.
    """
    index = torch.arange(count, device=seeds.device)
    base = _stirred((seeds.long() * 0x9E3779B1 + stream * 0x85EBCA6B) & BITS)
    return (_stirred((base[:, None] + index * 0x27D4EB2F) & BITS) >> 8).float() / 2**24


def lerp(chance: Tensor, low: float, high: float) -> Tensor:
    """Spreads numbers in [0, 1) over [low, high)."""
    return low + (high - low) * chance


def choose(chance: Tensor, options: int) -> Tensor:
    """Turns numbers in [0, 1) into whole ones below `options`."""
    return (chance * options).long().clamp(max=options - 1)

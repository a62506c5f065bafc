"""Colours: (N, 3) of N things or places, or maps (N, 3, H, W), in [0, 1]."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=512)
def colour(code: str, device: torch.device | str = "cpu") -> Tensor:
    """Reads the hex code of a colour, as (1, 3)."""
    return torch.tensor([[int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)]], device=device)


def hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Computes the colours (N, 3) of hue, saturation and value, each (N,)."""
    k = (5 - 2 * torch.arange(3, device=hue.device) + hue[:, None] * 6) % 6
    return value[:, None] * (1 - saturation[:, None] * torch.minimum(k, 4 - k).clamp(0, 1))


def mix(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Mixes two colours or maps of colours: `share` (N, H, W) of b, the rest of a."""
    a = a[:, :, None, None] if a.ndim == 2 else a
    b = b[:, :, None, None] if b.ndim == 2 else b
    return a + (b - a) * share[:, None]

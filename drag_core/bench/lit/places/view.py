"""What a place is drawn on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..colours import colour, hsv
from ..noise import CLOUDS, noise
from ..seeded import lerp
from ..shapes import as_map


@dataclass(frozen=True)
class View:
    """N places of one kind: across and down in [0, 1] (N, H, W), uniforms (N, 44), the horizon (N,)."""

    across: Tensor
    down: Tensor
    chance: Tensor
    horizon: Tensor

    def __call__(self, i: int, low: float, high: float) -> Tensor:
        """Returns a proportion (N,) in [low, high): uniform number `i`."""
        return lerp(self.chance[:, i], low, high)

    @property
    def deep(self) -> Tensor:
        """How near to the eye the ground is: 0 at the horizon and above, 1 at the lower border."""
        return ((self.down - as_map(self.horizon)) / (1 - as_map(self.horizon))).clamp(0, 1)

    def hsv(
        self, i: int, hue: tuple[float, float], saturation: tuple[float, float], value: tuple[float, float]
    ) -> Tensor:
        """Computes a colour (N, 3) from these ranges: uniform numbers `i` to i + 2."""
        return hsv(self(i, *hue) % 1, self(i + 1, *saturation), self(i + 2, *value))

    def noise(self, i: int, across: float, down: float, channel: int = CLOUDS) -> Tensor:
        """Reads the tile at so many periods a picture, from where uniform numbers `i` and i + 1 say."""
        x, y = as_map(self.chance[:, i]), as_map(self.chance[:, i + 1])
        return noise(self.across * across + x, self.down * down + y, channel)

    def flag(self, i: int, share: float) -> Tensor:
        """Returns 1 in this share of the places, (N, 1, 1): uniform number `i`."""
        return as_map((self.chance[:, i] < share).float())

    def colour(self, code: str) -> Tensor:
        """Reads the hex code of a colour, as (1, 3)."""
        return colour(code, self.across.device)


def below(v: View, edge: Tensor, width: float = 0.006) -> Tensor:
    """Returns 1 under the line down = edge."""
    return ((v.down - edge) / width + 0.5).clamp(0, 1)


def rectangle(v: View, x0: Tensor, y0: Tensor, x1: Tensor, y1: Tensor) -> Tensor:
    """Returns 1 inside an upright rectangle."""
    cx, cy, hx, hy = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2
    d = torch.maximum((v.across - as_map(cx)).abs() - as_map(hx), (v.down - as_map(cy)).abs() - as_map(hy))
    return (0.5 - d * 200).clamp(0, 1)


def ridge(v: View, i: int, scale: float) -> Tensor:
    """Returns a wavy line over x, in about [-1, 1]: uniform number `i`."""
    row = as_map(v.chance[:, i])
    return (noise(v.across * scale + row, 0 * v.across + row * 7, CLOUDS) - 0.5) * 3

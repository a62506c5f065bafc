"""How things of one kind look, and what several kinds are drawn with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .canvas import Canvas
from .colours import mix
from .noise import MOTTLE, noise
from .seeded import lerp
from .shapes import as_map, disc

TEXTURES = ("plain", "stripes", "checks", "dots", "waves", "mottle")


@dataclass(frozen=True)
class Look:
    """Of N things: uniforms (N, 16), colours (N, 3), number of the texture (N,) and its frequency (N,)."""

    chance: Tensor
    main: Tensor
    accent: Tensor
    dark: Tensor
    light: Tensor
    texture: Tensor
    frequency: Tensor

    def __call__(self, i: int, low: float, high: float) -> Tensor:
        """Returns a proportion (N,) in [low, high): uniform number `i`."""
        return lerp(self.chance[:, i], low, high)


def pattern(c: Canvas, look: Look, strength: float = 1.0, squeeze: float = 1.0) -> Tensor:
    """Paints (N, 3, H, W): main with accent in the thing's texture, squeezed across by `squeeze`."""
    u, v = c.across * squeeze if squeeze != 1.0 else c.across, c.down
    f = as_map(look.frequency) * math.pi
    textures = (
        torch.zeros_like(u),
        torch.tanh(3 * (f * u).sin()),
        torch.tanh(4 * (f * u).sin() * (f * v).sin()),
        torch.tanh(5 * ((f * 1.3 * u).cos() * (f * 1.3 * v).cos() - 0.35)),
        torch.tanh(3 * (f * v + 0.8 * (f * u).sin()).sin()),
        (noise(u * 0.11 + as_map(look.chance[:, 15]), v * 0.11, MOTTLE) - 0.5) * 3,
    )
    of_each = torch.stack(textures, 1)[torch.arange(len(u), device=u.device), look.texture]
    share = torch.where(as_map(look.texture == 0), of_each, (0.5 + 0.5 * of_each).clamp(0, 1)) * strength
    return mix(look.main, look.accent, share)


def eye(c: Canvas, x: float | Tensor, y: float | Tensor, radius: float, gaze: float = 0.25) -> None:
    """Draws an eye at (x, y) that looks to the right by `gaze` of its radius."""
    c.fill(disc(c.at, x, y, radius), c.colour("fbfaf4"), 0.2, 0.6)
    c.fill(disc(c.at, x + gaze * radius, y, radius * 0.55), c.colour("17151c"), 0, 0)
    c.fill(disc(c.at, x + (gaze - 0.25) * radius, y - 0.25 * radius, radius * 0.2), c.colour("ffffff"), 0, 0)

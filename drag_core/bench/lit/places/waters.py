"""The sea, a beach, under water."""

from __future__ import annotations

import torch
from torch import Tensor

from ..colours import hsv, mix
from ..noise import CLOUDS, GRAIN, MOTTLE, noise
from ..shapes import as_map, smooth
from .landscapes import sky
from .view import View, below, ridge

SHORE = (32, 0.1, 0.2)  # how far below the horizon a beach begins: uniform number, range


def waves(v: View, i: int, water: Tensor, foam: Tensor) -> Tensor:
    """Draws water with its swell, from the horizon down."""
    deep = v.deep
    far = 1.6 / (0.12 + deep)
    swell = (
        noise(v.across * far * 0.09 + as_map(v.chance[:, i]), far * 0.42 + as_map(v.chance[:, i + 1]), MOTTLE)
        - 0.5
    )
    tone = mix(water, water * 0.62, deep) + 0.34 * swell[:, None] * (0.4 + 0.6 * deep[:, None])
    return mix(tone, foam, smooth(swell, 0.14, 0.36) * 0.5)


def sea(v: View) -> Tensor:
    """Draws the open sea, sometimes with an island."""
    water = v.hsv(20, (0.48, 0.6), (0.45, 0.7), (0.55, 0.8))
    rgb = mix(sky(v), waves(v, 24, water, v.colour("ffffff")), below(v, as_map(v.horizon), 0.004))
    far = as_map(v.horizon) - 0.05 * (ridge(v, 26, 0.3) - as_map(v(27, 0.0, 0.7))) - 0.004
    island = below(v, far) * (1 - below(v, as_map(v.horizon), 0.004)) * v.flag(28, 0.5)
    return mix(rgb, v.hsv(29, (0.3, 0.6), (0.15, 0.35), (0.45, 0.65)), island)


def beach(v: View) -> Tensor:
    """Draws sand before the sea."""
    rgb = sea(v)
    shore = as_map(v.horizon + v(*SHORE)) + 0.025 * ridge(v, 33, 0.4)
    sand = v.hsv(34, (0.09, 0.13), (0.25, 0.42), (0.82, 0.95))
    grains = 0.06 * (v.noise(36, 1.3, 2.0, GRAIN) - 0.5) + 0.1 * (v.noise(37, 0.5, 1.5) - 0.5)
    rgb = mix(rgb, v.colour("ffffff"), smooth((v.down - shore + 0.012).abs(), 0.016, 0.008))
    wet = smooth(v.down - shore, 0.06, 0.0) * 0.2
    return mix(rgb, sand[:, :, None, None] * (1 - wet[:, None]) + grains[:, None], below(v, shore))


def under_water(v: View) -> Tensor:
    """Draws the sea from inside: rays of light, weeds, bubbles, a floor of sand."""
    hue = v(1, 0.47, 0.62)
    top, low = hsv(hue, v(2, 0.35, 0.6), v(3, 0.75, 0.95)), hsv(hue + 0.04, v(2, 0.7, 0.9), v(4, 0.25, 0.45))
    rgb = mix(top, low, v.down)
    slant = v.across + v.down * as_map(v(5, -0.5, 0.5))
    rays = smooth(
        noise(slant * 0.6 + as_map(v.chance[:, 6]), 0 * slant + as_map(v.chance[:, 7]), CLOUDS), 0.5, 0.75
    )
    rgb = rgb + 0.16 * (rays * (1 - v.down))[:, None]
    floor = as_map(v.horizon) + 0.03 * ridge(v, 8, 0.3)
    sand = mix(v.colour("d8c79a"), hsv(hue, v(2, 0.3, 0.4), v(3, 0.5, 0.6)), 0.45 + 0 * v.across)
    sand = sand + (0.2 * (v.noise(9, 0.6, 2.2, MOTTLE) - 0.5))[:, None]
    rgb = mix(rgb, sand, below(v, floor, 0.012))
    for n in range(4):
        x0, top = v(12 + n, 0.03, 0.97), v(16 + n, 0.35, 0.75)
        bend = as_map(x0) + 0.018 * (v.down * 22 + 40 * as_map(v.chance[:, 12 + n])).sin()
        wide = 0.022 * smooth(v.down, 0.0, 0.5) * smooth(v.down - as_map(top), -0.01, 0.15)
        weed = (
            ((wide - (v.across - bend).abs()) * 200).clamp(0, 1)
            * (v.down > as_map(top))
            * v.flag(20 + n, 0.5)
        )
        green = hsv(v(24 + n, 0.25, 0.45), v(2, 0.5, 0.7), v(4, 0.35, 0.6))
        rgb = mix(rgb, green, weed * (1 - below(v, floor + 0.05)))
    for n in range(6):
        x, y = as_map(v.chance[:, 28 + n]), as_map(v(33 + n, 0.05, 0.8))
        away = torch.hypot(v.across - x, v.down - y) - 0.006 - 0.012 * as_map(v.chance[:, 10])
        rgb = mix(rgb, v.colour("eafaff"), smooth(away.abs(), 0.006, 0.002) * 0.7)
    return rgb

"""Skies, hills, leaves and the night."""

from __future__ import annotations

import torch
from torch import Tensor

from ..colours import hsv, mix
from ..noise import CELLS, MOTTLE, noise
from ..shapes import as_map, smooth
from .view import View, below, ridge


def sky(v: View, i: int = 1) -> Tensor:
    """Draws one of five moods of day, clouds, sometimes a sun: uniform numbers `i` to i + 9."""
    tops = torch.cat([v.colour(k) for k in ("4d92d9", "6fb3e0", "5a77b8", "8aa4c8", "3f7fc4")])
    lows = torch.cat([v.colour(k) for k in ("cfe6f5", "e8f1ec", "f6c89a", "e9dfd6", "bfe0f0")])
    pick = (v.chance[:, i] * 5).long().clamp(max=4)
    rgb = mix(tops[pick], lows[pick], (v.down / as_map(v.horizon).clamp_min(0.3)).clamp(0, 1))
    sx, sy, size = v(i + 1, 0.1, 0.9), v(i + 2, 0.08, 0.3), v(i + 3, 0.03, 0.07)
    away = torch.hypot(v.across - as_map(sx), v.down - as_map(sy))
    sun = v.flag(i + 4, 0.4)
    rgb = mix(rgb, v.colour("fff3cf"), (1 - away / 0.35).clamp(0, 1) ** 2 * 0.5 * sun)
    rgb = mix(rgb, v.colour("fffbe6"), ((as_map(size) - away) * 150).clamp(0, 1) * sun)
    cloud = v.noise(i + 5, 0.55, 1.3) + 0.25 * (v.noise(i + 6, 1.9, 3.6) - 0.5)
    cover = smooth(cloud, 0.56, 0.72) * v.flag(i + 7, 0.7) * as_map(v(i + 8, 0.5, 1.0))
    return mix(rgb, v.colour("ffffff"), cover * 0.9)


def landscape(v: View) -> Tensor:
    """Draws meadows before two rows of hills, sometimes with flowers or a track."""
    rgb, hue = sky(v), v(20, 0.2, 0.38)
    haze = v.colour("c8dbe6")
    for n, (lift, size, pale) in enumerate(((0.1, 0.09, 0.6), (0.05, 0.06, 0.35))):
        hill = hsv(hue + 0.05 * (1 - n), v(21 + n, 0.3, 0.5), v(23 + n, 0.45, 0.65))
        edge = as_map(v.horizon - lift) - size * ridge(v, 25 + n, 0.35 + 0.3 * n)
        shade = 0.12 * (v.noise(26, 1.5, 3.0, MOTTLE) - 0.5)
        rgb = mix(rgb, mix(hill, haze, 0 * v.across + pale) + shade[:, None], below(v, edge))
    deep = v.deep
    distant, close = (
        hsv(hue, v(28, 0.4, 0.6), v(29, 0.62, 0.8)),
        hsv(hue + 0.02, v(28, 0.5, 0.7), v(29, 0.4, 0.55)),
    )
    grass = mix(distant, close, deep)
    far = 3.0 / (0.25 + deep)
    blades = noise(v.across * far * 0.4 + as_map(v.chance[:, 30]), far * 0.6, MOTTLE) - 0.5
    grass = grass + (0.15 * blades * (0.25 + deep) + 0.1 * (v.noise(31, 0.8, 1.6) - 0.5))[:, None]
    rgb = mix(rgb, grass, below(v, as_map(v.horizon) + 0.012 * ridge(v, 32, 0.3)))
    dots = smooth(noise(v.across * far * 0.2 + as_map(v.chance[:, 33]), far * 0.3, CELLS), 0.1, 0.05)
    blossom = v.hsv(34, (0.0, 1.0), (0.2, 0.6), (0.9, 1.0))
    rgb = mix(rgb, blossom, dots * smooth(deep, 0.08, 0.2) * v.flag(37, 0.45))
    bend = 0.12 * (deep * 5 + as_map(v.chance[:, 38]) * 6).sin()
    track = (v.across - as_map(v(38, 0.2, 0.8)) - bend).abs() - 0.02 - 0.13 * deep
    return mix(rgb, v.colour("d9c39a"), smooth(track, 0.012, -0.012) * (deep > 0).float() * v.flag(39, 0.35))


def night(v: View) -> Tensor:
    """Draws three rows of dark hills under moon and stars, sometimes with snow."""
    hue = v(1, 0.58, 0.74)
    top, low = hsv(hue, v(2, 0.6, 0.85), v(3, 0.1, 0.25)), hsv(hue + 0.05, v(4, 0.35, 0.6), v(5, 0.35, 0.6))
    rgb = mix(top, low, (v.down / as_map(v.horizon)).clamp(0, 1))
    stars = smooth(v.noise(6, 0.6, 0.6, CELLS), 0.075, 0.03)
    rgb = mix(rgb, v.colour("fdf6d8"), stars * 0.9)
    mx, my, size = v(8, 0.12, 0.88), v(9, 0.08, 0.3), v(10, 0.05, 0.085)
    away = torch.hypot(v.across - as_map(mx), v.down - as_map(my))
    rgb = mix(rgb, v.colour("fdf2c8"), (1 - away / 0.3).clamp(0, 1) ** 2 * 0.35)
    moon = ((as_map(size) - away) * 150).clamp(0, 1)
    aside = torch.hypot(v.across - as_map(mx + 0.03), v.down - as_map(my - 0.012))
    bite = ((as_map(size) - aside) * 150).clamp(0, 1) * v.flag(11, 0.5)
    rgb = mix(rgb, v.colour("fbf1c4"), (moon - bite).clamp(0, 1))
    snow = v.flag(12, 0.5)
    for n in range(3):
        edge = as_map(v.horizon) + 0.1 * (n - 1) - 0.06 * ridge(v, 14 + n, 0.35)
        dark = hsv(hue, v(17, 0.25, 0.6), v(18, 0.16, 0.3) + 0.06 * n)
        white = hsv(hue, v(17, 0.06, 0.2), v(18, 0.6, 0.7) + 0.08 * n)
        grain = 1 + 0.16 * (v.noise(20 + n, 1.2, 2.4, MOTTLE) - 0.5)
        rgb = mix(rgb, mix(dark, white, snow + 0 * v.across) * grain[:, None], below(v, edge))
    return rgb


def foliage(v: View) -> Tensor:
    """Draws leaves before leaves."""
    hue = v(1, 0.2, 0.42)
    dark, bright = hsv(hue, v(2, 0.5, 0.7), v(3, 0.18, 0.3)), hsv(hue, v(2, 0.4, 0.6), v(4, 0.35, 0.55))
    rgb = mix(dark, bright, v.noise(5, 0.6, 0.6))
    for n, (scale, value) in enumerate(((0.6, 0.5), (0.45, 0.7), (0.32, 0.9))):
        cell = v.noise(8 + 2 * n, scale, scale, CELLS) + 0.25 * (v.noise(9 + n, 1.0, 1.0) - 0.5)
        leaf = smooth(cell, 0.34, 0.24) * smooth(v.noise(12 + n, 0.7, 0.7), 0.4, 0.5)
        tone = hsv(hue + 0.03 * (n - 1), v(16 + n, 0.45, 0.7), v(19 + n, 0.6, 0.9) * value)
        rgb = mix(rgb, tone[:, :, None, None] * (1.1 - cell)[:, None], leaf)
    light = v.noise(23, 0.35, 0.35)
    return rgb * (0.75 + 0.5 * light)[:, None]

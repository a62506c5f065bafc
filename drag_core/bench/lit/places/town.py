"""Streets and walls."""

from __future__ import annotations

import torch
from torch import Tensor

from ..colours import hsv, mix
from ..noise import GRAIN, MOTTLE, noise
from ..shapes import as_map, smooth
from .landscapes import sky
from .view import View, below


def bricks(v: View) -> Tensor:
    """Draws a wall of bricks behind a pavement."""
    f = as_map(v(1, 5.0, 8.5))
    row = (v.down * f * 1.8).floor()
    across = v.across * f * 0.9 + 0.5 * (row % 2)
    bx, by = across % 1, (v.down * f * 1.8) % 1
    tone = (
        noise(across.floor() * 0.173 + as_map(v.chance[:, 2]), row * 0.117 + as_map(v.chance[:, 3]), GRAIN)
        - 0.5
    )
    base = v.hsv(4, (0.0, 0.08), (0.2, 0.6), (0.5, 0.8))
    rough = v.noise(7, 0.7, 0.7, MOTTLE) - 0.5
    brick = base[:, :, None, None] * (1 + 0.7 * tone + 0.25 * rough)[:, None]
    joint = torch.maximum(smooth((bx - 0.5).abs(), 0.42, 0.48), smooth((by - 0.5).abs(), 0.36, 0.46))
    rgb = mix(brick, v.hsv(9, (0.05, 0.15), (0.02, 0.15), (0.6, 0.85)), joint)
    pavement = (
        v.hsv(12, (0.0, 1.0), (0.02, 0.12), (0.5, 0.75))[:, :, None, None]
        + (0.08 * (v.noise(15, 1.3, 2.2, GRAIN) - 0.5))[:, None]
    )
    edge = as_map(v.horizon)
    from_left = v.flag(16, 0.5)
    rgb = rgb * (0.85 + 0.3 * v.across * from_left + 0.3 * (1 - v.across) * (1 - from_left))[:, None]
    return mix(rgb, pavement * (1 - 0.3 * smooth(v.down - edge, 0.03, 0.0))[:, None], below(v, edge, 0.005))


def street(v: View) -> Tensor:
    """Draws two rows of houses behind a pavement and a road."""
    rgb = sky(v)
    for n, (wide, low, high) in enumerate(((0.13, 0.1, 0.34), (0.19, 0.02, 0.26))):
        column = (v.across / wide + as_map(v.chance[:, 20 + n])).floor()
        key = noise(
            column * 0.137 + as_map(v.chance[:, 22 + n]), 0 * v.across + as_map(v.chance[:, 24]), GRAIN
        )
        top = as_map(v.horizon) - low - (high - low) * ((key - 0.3) * 2.5).clamp(0, 1)
        tone = hsv((v.chance[:, 26] + 0.1 * n) % 1, v(27, 0.1, 0.35), v(28, 0.5, 0.7) + 0.15 * (1 - n))
        fx, fy = (v.across / wide * 3.0 + 3 * as_map(v.chance[:, 20 + n])) % 1, ((v.down - top) * 17) % 1
        pane = (
            smooth((fx - 0.5).abs(), 0.34, 0.2) * smooth((fy - 0.5).abs(), 0.34, 0.2) * (v.down - top > 0.025)
        )
        front = tone[:, :, None, None] * (0.8 + 0.5 * (key - 0.5) + 0.15 * (column % 2))[:, None]
        lit = noise(column * 0.31 + (fx * 0), ((v.down - top) * 17).floor() * 0.21, GRAIN) > 0.55
        glass = mix(v.colour("34465c"), v.colour("f7df9a"), lit.float())
        rgb = mix(rgb, mix(front, glass, pane * 0.8), below(v, top, 0.004))
    edge = as_map(v.horizon)
    deep = v.deep
    pavement = (
        v.colour("b9b4ab")[:, :, None, None] * (1 + 0.08 * (v.noise(29, 1.3, 2.6, GRAIN) - 0.5))[:, None]
    )
    road = v.colour("62646b")[:, :, None, None] * (1 + 0.1 * (v.noise(30, 1.3, 2.6, GRAIN) - 0.5))[:, None]
    dash = smooth((deep - 0.72).abs(), 0.03, 0.02) * (((v.across * 5 + as_map(v.chance[:, 31])) % 1) < 0.55)
    road = mix(road, v.colour("f0ead2"), dash)
    return mix(rgb, mix(pavement, road, below(v, edge + 0.3 * (1 - edge))), below(v, edge))

"""Rooms, tables and a studio."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..colours import mix
from ..noise import GRAIN, MOTTLE, noise
from ..shapes import as_map, smooth
from .view import View, below, rectangle, ridge


def planks(v: View, i: int, base: Tensor) -> Tensor:
    """Draws a wooden floor or table from the horizon down, its boards towards the eye."""
    deep = v.deep
    across = (v.across - 0.5) / (0.55 + 0.75 * deep) * as_map(v(i, 3.5, 6.0))
    board = across.floor()
    tone = (board * 0.37 + as_map(v.chance[:, i + 1])) % 1
    along = 1.0 / (0.35 + deep)
    grain = noise(across * 0.22 + tone, along * 0.2 + tone * 3, MOTTLE) - 0.5
    seam = smooth((across - board - 0.5).abs(), 0.44, 0.5)
    return base[:, :, None, None] * (0.92 + 0.14 * (tone - 0.5) + 0.24 * grain - 0.3 * seam)[:, None]


def wall(v: View, i: int) -> Tensor:
    """Draws paint, stripes or dots, lit from one side."""
    base = v.hsv(i, (0.0, 1.0), (0.08, 0.42), (0.68, 0.95))
    second = base * 0.9 + 0.06
    f = as_map(v(i + 3, 7.0, 12.0)) * math.pi
    kind, side = v.chance[:, i + 4], torch.sign(v.chance[:, i + 5] - 0.5)
    stripes = torch.tanh(4 * (f * v.across).sin()) * 0.5 + 0.5
    dots = smooth((f * 1.2 * v.across).cos() * (f * 1.2 * v.down).cos(), 0.55, 0.75)
    paper = torch.where(as_map(kind < 0.25), stripes, torch.where(as_map(kind < 0.45), dots, 0 * stripes))
    light = 0.9 + 0.18 * (v.across - 0.5) * as_map(side) * 2 - 0.1 * v.down
    return mix(base, second, paper) * light[:, None] + (0.05 * (v.noise(i + 6, 0.5, 0.5) - 0.5))[:, None]


def room(v: View) -> Tensor:
    """Draws a wall, a floor, sometimes a window or a painting."""
    rgb = wall(v, 1)
    x0, y0 = v(9, 0.06, 0.6), v(10, 0.06, 0.16)
    x1, y1 = x0 + v(11, 0.2, 0.34), y0 + v(12, 0.22, 0.32)
    window, picture = v.flag(13, 0.45), v.flag(13, 0.8) - v.flag(13, 0.45)
    frame, pane = rectangle(v, x0 - 0.018, y0 - 0.018, x1 + 0.018, y1 + 0.018), rectangle(v, x0, y0, x1, y1)
    upright, level = v.across - as_map((x0 + x1) / 2), v.down - as_map((y0 + y1) / 2)
    bars = (upright.abs() < 0.007) | (level.abs() < 0.007)
    height = ((v.down - as_map(y0)) / as_map(y1 - y0)).clamp(0, 1)
    outside = mix(v.colour("8fc3ea"), v.colour("e6f3f5"), height)
    outside = mix(outside, v.colour("7fae6b"), below(v, as_map(y1 - 0.07) - 0.02 * ridge(v, 14, 0.6)))
    rgb = mix(rgb, v.colour("fbf9f2"), frame * window)
    rgb = mix(rgb, outside, pane * window * (1 - bars.float()))
    art = mix(
        v.hsv(15, (0, 1), (0.3, 0.7), (0.5, 0.9)),
        v.hsv(18, (0, 1), (0.3, 0.7), (0.5, 0.9)),
        smooth(v.noise(21, 0.9, 0.9), 0.42, 0.55),
    )
    rgb = mix(rgb, v.colour("6a4a2e"), frame * picture)
    rgb = mix(rgb, art, pane * picture)
    edge = as_map(v.horizon)
    rgb = mix(rgb, v.colour("f4efe4"), below(v, edge - 0.035, 0.005))
    wood = planks(v, 24, v.hsv(26, (0.04, 0.11), (0.3, 0.6), (0.5, 0.8)))
    carpet = v.hsv(30, (0, 1), (0.2, 0.55), (0.4, 0.75))
    carpet = mix(carpet, v.colour("ffffff"), 0.1 * v.noise(33, 2.0, 2.0, GRAIN))
    rgb = mix(rgb, torch.where(v.flag(35, 0.7)[:, None] > 0, wood, carpet), below(v, edge, 0.005))
    return rgb * (1 - 0.25 * smooth((v.down - edge).abs(), 0.02, 0.0) * (v.down > edge))[:, None]


def table(v: View) -> Tensor:
    """Draws a table of wood or with a cloth before a wall."""
    rgb = wall(v, 1) * 0.92
    deep = v.deep
    wood = planks(v, 10, v.hsv(12, (0.05, 0.1), (0.35, 0.65), (0.45, 0.8)))
    f = as_map(v(16, 3.2, 5.5)) * math.pi
    across = (v.across - 0.5) / (0.5 + 0.8 * deep)
    down = torch.log(0.45 + deep)
    checks = (torch.tanh(4 * (f * across * 1.3).sin()) + torch.tanh(4 * (f * down * 0.9).sin())) * 0.25 + 0.5
    cloth = mix(v.colour("fbf7ee"), v.hsv(17, (0.0, 1.0), (0.4, 0.75), (0.55, 0.85)), checks * 0.85)
    top = torch.where(v.flag(20, 0.55)[:, None] > 0, wood, cloth)
    rgb = mix(rgb, top * (0.85 + 0.2 * deep)[:, None], below(v, as_map(v.horizon), 0.005))
    shade = smooth(v.down - as_map(v.horizon), -0.03, 0.0) * (v.down < as_map(v.horizon))
    return rgb * (1 - 0.3 * shade)[:, None]


def studio(v: View) -> Tensor:
    """Draws a plain sweep of paper or cloth."""
    base = v.hsv(1, (0.0, 1.0), (0.15, 0.6), (0.55, 0.92))
    away = torch.hypot(v.across - as_map(v(4, 0.3, 0.7)), v.down - as_map(v(5, 0.2, 0.5)))
    rgb = mix(base * 1.08, base * 0.72, smooth(away, 0.1, 0.9))
    f = as_map(v(6, 5.0, 10.0)) * math.pi
    angle = as_map(v(7, 0.0, math.pi))
    a, b = v.across * angle.cos() + v.down * angle.sin(), v.down * angle.cos() - v.across * angle.sin()
    kind = v.chance[:, 8]
    stripe = torch.tanh(3 * (f * a).sin())
    plaid = 0.5 * (torch.tanh(3 * (f * a).sin()) + torch.tanh(3 * (f * b).sin()))
    dots = smooth((f * a).cos() * (f * b).cos(), 0.4, 0.6)
    mottle = (v.noise(9, 0.35, 0.35, MOTTLE) - 0.5) * 2
    cloth = torch.where(as_map(kind < 0.42), dots, mottle)
    cloth = torch.where(as_map(kind < 0.15), stripe, torch.where(as_map(kind < 0.3), plaid, cloth))
    return rgb * (1 + as_map(v(11, 0.03, 0.14)) * cloth)[:, None]

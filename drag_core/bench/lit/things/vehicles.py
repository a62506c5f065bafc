"""What people go by."""

from __future__ import annotations

import math

import torch

from ..canvas import Canvas
from ..colours import mix
from ..look import Look, pattern
from ..shapes import as_map, blend, box, capsule, convex, disc, ellipse, petal, smooth


def car(c: Canvas, look: Look) -> None:
    """Draws a car; a wheel turns."""
    cabin = convex(c.at, (-0.42, -0.42), (0.25, -0.42), (0.55, 0.05), (-0.7, 0.05)) - 0.05
    body = box(c.at, 0.0, 0.18, 0.97, 0.23, 0.0, 0.14)
    stripe = smooth((c.down - 0.2).abs(), 0.06, 0.04) * as_map((look.chance[:, 0] > 0.5).float())
    c.fill(blend(cabin, body, 0.06), mix(look.main, look.accent, stripe), bevel=0.3)
    glass = c.colour("bcdcec")
    c.fill(convex(c.at, (-0.38, -0.36), (-0.08, -0.36), (-0.08, 0.02), (-0.56, 0.02)), glass, 0.4, 0.6)
    c.fill(convex(c.at, (0.0, -0.36), (0.22, -0.36), (0.45, 0.02), (0.0, 0.02)), glass, 0.4, 0.6)
    c.fill(ellipse(c.at, 0.9, 0.13, 0.07, 0.09), c.colour("fff2b8"), 0.3)
    c.fill(ellipse(c.at, -0.92, 0.13, 0.05, 0.08), c.colour("d8402f"), 0.3)
    for x, moves in ((-0.52, False), (0.52, True)):
        c.fill(disc(c.at, x, 0.4, 0.25), c.colour("24242b"))
        if moves:
            with c.part(x, 0.4):
                _wheel(c, x)
        else:
            _wheel(c, x)


def _wheel(c: Canvas, x: float) -> None:
    c.fill(disc(c.at, x, 0.4, 0.15), c.colour("d5d8dd"), 0.6)
    for t in (0.0, math.pi / 2):
        c.fill(box(c.at, x, 0.4, 0.14, 0.022, t + 0.3), c.colour("6c7077"), 0, 0)


def boat(c: Canvas, look: Look) -> None:
    """Draws a sailing boat; its sail swings."""
    wood = c.colour("8a5a35")
    c.fill(capsule(c.at, 0.0, 0.5, 0.0, -0.95, 0.035), wood)
    with c.part(0.0, 0.4):
        sail = convex(c.at, (0.06, -0.85), (0.72, 0.32), (0.06, 0.32))
        c.fill(sail, pattern(c, look, 0.9), 0.6, bevel=0.4)
    jib = convex(c.at, (-0.06, look(0, -0.7, -0.4)), (-0.06, 0.32), (-0.55, 0.32))
    c.fill(jib, look.light, 0.6, bevel=0.4)
    c.fill(convex(c.at, (0.02, -0.98), (0.3, -0.9), (0.02, -0.8)), look.accent, 0.3)
    hull = convex(c.at, (-0.98, 0.46), (0.98, 0.46), (0.62, 0.88), (-0.6, 0.88)) - 0.03
    band = smooth((c.down - 0.55).abs(), 0.06, 0.04)
    c.fill(hull, mix(look.main, look.light, band), bevel=0.3)


def balloon(c: Canvas, look: Look) -> None:
    """Draws a hot-air balloon; its basket swings."""
    for x in (-0.13, 0.13):
        c.fill(capsule(c.at, x * 1.6, 0.4, x, 0.78, 0.022), look.dark, 0, 0)
    with c.part(0.0, 0.42):
        c.fill(capsule(c.at, 0.0, 0.45, 0.0, 0.78, 0.022), look.dark, 0, 0)
        c.fill(box(c.at, 0.0, 0.86, 0.17, 0.12, 0.0, 0.03), c.colour("a8703a"))
        c.fill(box(c.at, 0.0, 0.76, 0.19, 0.03, 0.0, 0.02), c.colour("7a4a22"), 0.3)
    d = blend(disc(c.at, 0.0, -0.3, 0.69), ellipse(c.at, 0.0, 0.25, 0.3, 0.26), 0.3)
    around = c.across / (0.7 - 0.35 * (c.down + 0.3).square()).clamp_min(0.1)
    gores = torch.tanh(4 * (around.clamp(-1, 1).asin() * as_map(look(0, 4.5, 8.5))).sin())
    belt = smooth((c.down + 0.25).abs(), 0.16, 0.13) * as_map((look.chance[:, 1] > 0.5).float())
    c.fill(d, mix(look.main, look.accent, (0.5 + 0.5 * gores) * (1 - belt)), bevel=0.6)


def rocket(c: Canvas, look: Look) -> None:
    """Draws a rocket; its flame swings."""
    with c.part(0.0, 0.55):
        c.fill(petal(c.at, 0.0, 0.4, 0.0, 1.0, look(0, 0.35, 0.5)), c.colour("f28a2b"), 0, 0)
        c.fill(petal(c.at, 0.0, 0.45, 0.0, 0.82, 0.38), c.colour("ffe27a"), 0, 0)
    c.fill(convex(c.mirrored, (0.2, 0.05), (0.56, 0.45), (0.5, 0.72), (0.15, 0.5)) - 0.02, look.accent)
    d = torch.maximum(petal(c.at, 0.0, -1.02, 0.0, 1.2, look(1, 0.28, 0.36)), c.down - 0.58)
    nose = smooth(c.down, -0.46, -0.49) + smooth(c.down, 0.42, 0.45)
    c.fill(d, mix(look.light, look.main, nose.clamp(0, 1)), bevel=0.35)
    c.fill(disc(c.at, 0.0, -0.15, 0.19), look.dark, 0.5)
    c.fill(disc(c.at, 0.0, -0.15, 0.135), c.colour("9fd8f0"), 0.7)

"""What children play with, letters and stars."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..canvas import Canvas
from ..colours import mix
from ..look import Look, pattern
from ..seeded import choose
from ..shapes import as_map, box, capsule, convex, disc, ellipse, petal, polar, ring, smooth, union

TOP, FOOT = -0.75, 0.75
# Strokes from (x, y) to (x, y).
STROKES = {
    "A": ((-0.6, 0.8, 0, -0.8), (0, -0.8, 0.6, 0.8), (-0.35, 0.25, 0.35, 0.25)),
    "B": (
        (-0.5, TOP, -0.5, FOOT),
        (-0.5, TOP, 0.4, -0.4),
        (0.4, -0.4, -0.5, 0),
        (-0.5, 0, 0.5, 0.4),
        (0.5, 0.4, -0.5, FOOT),
    ),
    "E": ((-0.5, TOP, -0.5, FOOT), (-0.5, TOP, 0.5, TOP), (-0.5, 0, 0.35, 0), (-0.5, FOOT, 0.5, FOOT)),
    "H": ((-0.5, TOP, -0.5, FOOT), (0.5, TOP, 0.5, FOOT), (-0.5, 0, 0.5, 0)),
    "K": ((-0.5, TOP, -0.5, FOOT), (-0.4, 0, 0.5, TOP), (-0.4, 0, 0.5, FOOT)),
    "M": ((-0.65, FOOT, -0.6, TOP), (-0.6, TOP, 0, 0.3), (0, 0.3, 0.6, TOP), (0.6, TOP, 0.65, FOOT)),
    "R": ((-0.5, TOP, -0.5, FOOT), (-0.5, TOP, 0.45, -0.38), (0.45, -0.38, -0.5, 0), (-0.2, 0, 0.5, FOOT)),
    "T": ((0, TOP, 0, FOOT), (-0.65, TOP, 0.65, TOP)),
    "X": ((-0.6, TOP, 0.6, FOOT), (-0.6, FOOT, 0.6, TOP)),
    "Z": ((-0.55, TOP, 0.55, TOP), (0.55, TOP, -0.55, FOOT), (-0.55, FOOT, 0.55, FOOT)),
    "4": ((0.2, FOOT, 0.2, TOP), (0.2, TOP, -0.6, 0.3), (-0.6, 0.3, 0.6, 0.3)),
    "7": ((-0.5, TOP, 0.5, TOP), (0.5, TOP, -0.1, FOOT)),
}


def letter(c: Canvas, look: Look) -> None:
    """Draws a letter or digit."""
    longest = max(len(s) for s in STROKES.values())
    filled_up = [[*s, *(s[-1:] * (longest - len(s)))] for s in STROKES.values()]
    table = torch.tensor(filled_up, device=c.alpha.device)
    strokes = table[choose(look.chance[:, 0], len(STROKES))]
    thick = look(1, 0.14, 0.22)
    d: Tensor | None = None
    for i in range(longest):
        ax, ay, bx, by = strokes[:, i].unbind(1)
        stroke = capsule(c.at, ax, ay, bx, by, thick)
        d = stroke if d is None else union(d, stroke)
    assert d is not None
    c.fill(d, pattern(c, look, 0.9), 1.3, bevel=0.16)


def star(c: Canvas, look: Look) -> None:
    """Draws a star, often with a face."""
    r, angle = polar(c.at, 0.0, 0.05)
    points = as_map(choose(look.chance[:, 0], 3).float() + 5)
    sector = 2 * math.pi / points
    a = (angle + math.pi / 2 + sector / 2) % sector - sector / 2
    x, y = r * a.cos(), r * a.sin().abs()
    inner = as_map(look(1, 0.42, 0.58))
    px, py = inner * (sector / 2).cos(), inner * (sector / 2).sin()
    d = ((x - 1) * py - y * (px - 1)) / torch.hypot(px - 1, py)
    c.fill(d - 0.02, mix(look.main, look.accent, smooth(r, 0.2, 0.9)), 1.2, bevel=0.4)
    face = look.chance[:, 2] > 0.4
    paint = c.colour("2a2028")
    for x0 in (-0.15, 0.15):
        c.fill(ellipse(c.at, x0, -0.02, 0.045, 0.075), paint, 0, 0, opacity=face.float())
    c.fill(torch.maximum(ring(c.at, 0.0, 0.1, 0.13, 0.022), 0.12 - c.down), paint, 0, 0, opacity=face.float())


def key(c: Canvas, look: Look) -> None:
    """Draws a key."""
    bow = torch.maximum(disc(c.at, -0.58, 0.0, 0.4), -disc(c.at, -0.64, 0.0, look(0, 0.15, 0.22)))
    shaft = box(c.at, 0.35, 0.0, 0.6, 0.085, 0.0, 0.03)
    teeth = union(
        box(c.at, 0.86, 0.2, 0.07, look(1, 0.14, 0.24), 0.0, 0.02),
        box(c.at, 0.62, 0.17, 0.07, look(2, 0.1, 0.22), 0.0, 0.02),
    )
    c.fill(
        union(bow, shaft, teeth), mix(look.main, look.light, smooth(c.down, 0.3, -0.4) * 0.5), 1.6, bevel=0.12
    )


def kite(c: Canvas, look: Look) -> None:
    """Draws a kite; its tail swings."""
    with c.part(0.0, 0.3):
        wave = c.across - 0.09 * (c.down * 9).sin()
        c.fill(torch.maximum(wave.abs() - 0.022, (c.down - 0.62).abs() - 0.36), look.dark, 0, 0)
        for y in (0.6, 0.78, 0.95):
            x = 0.09 * math.sin(y * 9)
            left, right = (petal(c.at, x, y, x + side, y - 0.05, 0.5) for side in (-0.17, 0.17))
            c.fill(union(left, right), look.accent, 0.5)
    w = look(0, 0.5, 0.66)
    d = convex(c.at, (0.0, -1.0), (w, -0.4), (0.0, 0.42), (-w, -0.4))
    quarter = ((c.across > 0) ^ (c.down > -0.4)).float()
    c.fill(d, mix(look.main, look.accent, quarter), bevel=0.3)
    cross = union(capsule(c.at, 0.0, -0.98, 0.0, 0.4, 0.02), capsule(c.at, -w, -0.4, w, -0.4, 0.02))
    c.fill(cross, look.dark, 0, 0)


def ball(c: Canvas, look: Look) -> None:
    """Draws a ball."""
    r, angle = polar(c.at, -0.15, -0.2)
    beach = as_map(look.chance[:, 0] < 0.6)
    sectors = torch.tanh(6 * (angle * 3 + (r * 1.2)).sin()) * 0.5 + 0.5
    tone = torch.where(beach[:, None], mix(look.main, look.light, sectors * (r > 0.16)), pattern(c, look))
    c.fill(disc(c.at, 0.0, 0.0, 0.92), tone, 1.2, bevel=0.85)
    c.fill(ellipse(c.at, -0.35, -0.45, 0.13, 0.2, 0.8), c.colour("ffffff"), 0, 0, opacity=0.4, soft=9.0)


def cone(c: Canvas, look: Look) -> None:
    """Draws an ice cream; its top scoop swings."""
    f = as_map(look(0, 11.0, 15.0))
    rising, falling = (torch.tanh(4 * (f * way).sin()) for way in (c.across + c.down, c.across - c.down))
    waffle = (rising * falling * 0.5 + 0.5) * 0.5
    brown, pale = c.colour("e0a458"), c.colour("a86a2a")
    c.fill(convex(c.at, (-0.42, 0.0), (0.42, 0.0), (0.02, 0.98), (-0.02, 0.98)), mix(brown, pale, waffle))
    c.fill(disc(c.at, 0.22, -0.25, 0.33), look.accent, bevel=0.3)
    c.fill(disc(c.at, -0.22, -0.25, 0.33), look.light, bevel=0.3)
    with c.part(0.0, -0.3):
        c.fill(disc(c.at, 0.0, -0.58, 0.35), look.main, bevel=0.3)
        c.fill(disc(c.at, 0.1, -0.9, 0.1), c.colour("cf2e3f"), bevel=0.1)

"""Trees, plants and fruit."""

from __future__ import annotations

import torch

from ..canvas import Canvas
from ..colours import mix
from ..look import Look
from ..noise import CELLS, CLOUDS, noise
from ..seeded import choose
from ..shapes import as_map, blend, box, capsule, convex, disc, ellipse, petal, polar, smooth, union


def tree(c: Canvas, look: Look) -> None:
    """Draws a tree; a branch swings."""
    bark = c.colour("6d4a2f")
    c.fill(capsule(c.at, 0.0, 0.94, 0.02, -0.1, 0.13, 0.08), bark)
    c.fill(capsule(c.at, 0.0, 0.3, -0.35, -0.05, 0.06, 0.04), bark)
    right, low = as_map(look.chance[:, 1]), as_map(look.chance[:, 2])
    grain = noise(c.across * 0.16 + right, c.down * 0.16 + low, CELLS)
    green = mix(look.main, look.light, (0.55 - grain * 0.9 - 0.35 * c.down).clamp(0, 0.75))
    with c.part(0.0, 0.25):
        c.fill(capsule(c.at, 0.0, 0.25, 0.45, -0.02, 0.055, 0.035), bark)
        c.fill(disc(c.at, 0.58, -0.1, look(3, 0.24, 0.3)), green, 0.8, 0.7)
    crown = disc(c.at, 0.0, -0.6, 0.38)
    for x, y, r in ((-0.45, -0.3, 0.35), (0.38, -0.42, 0.36), (-0.08, -0.22, 0.4), (-0.28, -0.6, 0.33)):
        crown = blend(crown, disc(c.at, x, y, r), 0.06)
    wavy = crown + 0.03 * (grain - 0.5) * 2
    fruit = noise(c.across * 0.22 + as_map(look.chance[:, 4]), c.down * 0.22, CELLS) < 0.16
    ripe = (fruit & as_map(look.chance[:, 5] > 0.6))[:, None]
    c.fill(wavy, torch.where(ripe, look.accent[:, :, None, None], green), bevel=0.4)


def pine(c: Canvas, look: Look) -> None:
    """Draws a pine, often with snow."""
    c.fill(box(c.at, 0.0, 0.82, 0.1, 0.16), c.colour("6b4630"))
    for i, (y, w) in enumerate(((0.7, 0.62), (0.3, 0.5), (-0.08, 0.37))):
        d = (
            convex(c.at, (0.0, y - 0.95 + 0.1 * i), (w, y), (-w, y))
            - 0.02
            + 0.035 * (c.across * 14).sin().abs()
        )
        drift = noise(c.across * 0.2 + as_map(look.chance[:, 0]), c.down * 0.2, CLOUDS)
        snow = smooth(drift - c.down * 0.3 + y * 0.3, 0.62, 0.7)
        c.fill(d, mix(look.main, look.light, snow * as_map(look(1, 0.1, 0.9))))
    with c.part(0.0, -0.9):
        c.fill(disc(c.at, 0.0, -0.88, 0.09), c.colour("ffd54a"))


def flower(c: Canvas, look: Look) -> None:
    """Draws a flower; a leaf swings."""
    green = c.colour("4d9a4a")
    bend = look(0, -0.15, 0.15)
    c.fill(capsule(c.at, bend, 0.98, 0.0, -0.3, 0.04), green)
    c.fill(petal(c.at, bend * 0.6, 0.72, 0.62, look(1, 0.2, 0.45), 0.28), green)
    with c.part(bend * 0.5, 0.55):
        c.fill(petal(c.at, bend * 0.5, 0.58, -0.62, look(2, 0.05, 0.35), 0.3), green)
    r, angle = polar(c.at, 0.0, -0.4)
    petals = as_map(choose(look.chance[:, 3], 5).float() + 5)
    d = (r - 0.42 - 0.15 * (petals * angle).cos()) * 0.75
    c.fill(d, mix(look.main, look.accent, smooth(r, 0.5, 0.15) * 0.8), bevel=0.25)
    c.fill(disc(c.at, 0.0, -0.4, look(4, 0.16, 0.22)), c.colour("f7c83b"))


def mushroom(c: Canvas, look: Look) -> None:
    """Draws a mushroom; its cap swings."""
    c.fill(capsule(c.at, 0.0, 0.8, look(0, -0.08, 0.08), 0.0, 0.24, 0.16), c.colour("f4ead6"))
    with c.part(0.0, 0.1):
        c.fill(ellipse(c.at, 0.0, 0.02, 0.72, 0.16), c.colour("d9c8a8"), 0.6)
        dome = torch.hypot(c.across / 0.95, (c.down - 0.05) / as_map(look(1, 0.75, 0.98))) - 1
        cap = torch.maximum(dome, (c.down - 0.06))
        x, y = as_map(look.chance[:, 2]), as_map(look.chance[:, 3])
        spots = noise(c.across * 0.17 + x, c.down * 0.17 + y, CELLS) < 0.3
        c.fill(cap * 0.85, mix(look.main, look.light, spots.float()), bevel=0.5)


def leaf(c: Canvas, look: Look) -> None:
    """Draws a leaf; its stalk swings."""
    with c.part(-0.55, 0.0):
        c.fill(capsule(c.at, -1.0, look(0, -0.15, 0.2), -0.5, 0.0, 0.04, 0.03), look.dark)
    wide = look(1, 0.35, 0.6)
    d = petal(c.at, -0.7, 0.0, 1.0, 0.0, wide)
    veins = (c.across - c.down.abs() * 0.9) * as_map(look(2, 4.5, 7.0))
    line = smooth((veins % 1 - 0.5).abs(), 0.1, 0.04) * 0.6
    line = torch.maximum(line, smooth(c.down.abs(), 0.035, 0.015))
    darker = mix(look.main, look.dark, 0.18 + 0 * c.across)
    tone = torch.where((c.down > 0)[:, None], darker, look.main[:, :, None, None])
    c.fill(d, mix(tone, look.light, line * 0.7), bevel=0.3)


def cactus(c: Canvas, look: Look) -> None:
    """Draws a cactus in its pot; an arm swings."""
    green = c.colour("4f9d5d")
    rib = mix(green, green * 0.75, torch.tanh(3 * (c.across * 30).sin()) * 0.5 + 0.5)
    with c.part(0.15, 0.1):
        right = capsule(c.at, 0.5, 0.05, 0.52, look(0, -0.5, -0.2), 0.12)
        c.fill(union(capsule(c.at, 0.1, 0.1, 0.5, 0.05, 0.12), right), rib)
    left = capsule(c.at, -0.48, 0.15, -0.5, look(1, -0.3, -0.05), 0.11)
    c.fill(union(capsule(c.at, -0.1, 0.25, -0.48, 0.15, 0.11), left), rib)
    c.fill(capsule(c.at, 0.0, 0.5, 0.0, -0.62, 0.21), rib, bevel=0.2)
    r, angle = polar(c.at, 0.0, -0.82)
    c.fill(r - 0.1 - 0.05 * (angle * 5).cos(), look.accent, 0.6)
    c.fill(convex(c.at, (-0.46, 0.5), (0.46, 0.5), (0.34, 0.95), (-0.34, 0.95)) - 0.03, look.main)
    c.fill(box(c.at, 0.0, 0.48, 0.53, 0.09, 0.0, 0.03), look.main)


def apple(c: Canvas, look: Look) -> None:
    """Draws an apple or a pear; its stalk swings."""
    pear = look.chance[:, 0] > 0.6
    round_ = blend(disc(c.mirrored, 0.3, 0.1, 0.56), ellipse(c.at, 0.0, 0.45, 0.45, 0.42), 0.2)
    long = blend(disc(c.at, 0.0, 0.35, 0.58), disc(c.at, 0.0, -0.32, 0.32), 0.35)
    d = torch.where(as_map(pear), long, round_)
    with c.part(0.0, -0.45):
        c.fill(capsule(c.at, 0.0, -0.4, 0.1, -0.85, 0.045, 0.035), c.colour("5d3d22"))
        c.fill(petal(c.at, 0.06, -0.65, 0.6, look(1, -0.98, -0.75), 0.35), c.colour("5caa48"))
    blush = smooth(torch.hypot(c.across - 0.35, c.down - 0.1), 0.7, 0.1)
    c.fill(d, mix(look.main, look.accent, blush * 0.6), 1.2, bevel=0.6)
    c.fill(ellipse(c.at, -0.33, -0.08, 0.1, 0.18, 0.4), c.colour("ffffff"), 0, 0, opacity=0.45, soft=8.0)

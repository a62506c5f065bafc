"""A person and a robot."""

from __future__ import annotations

import torch

from ..canvas import Canvas
from ..look import Look, eye, pattern
from ..seeded import choose
from ..shapes import box, capsule, convex, disc, ellipse, ring

SKINS = ("f3cfae", "d9a47a", "a56b43", "6e4429")


def figure(c: Canvas, look: Look) -> None:
    """Draws a person; one arm swings."""
    skins = torch.cat([c.colour(x) for x in SKINS])
    skin, hair = skins[choose(look.chance[:, 0], len(SKINS))], look.dark
    step, arm = look(1, 0.05, 0.3), look(2, -0.1, 0.4)
    for side in (-1.0, 1.0):
        c.fill(capsule(c.at, 0.1 * side, 0.25, step * side, 0.86, 0.1, 0.07), look.accent)
        c.fill(ellipse(c.at, step * side + 0.05, 0.93, 0.13, 0.065), look.dark)
    c.fill(capsule(c.at, -0.2, -0.22, -0.42, arm + 0.05, 0.075, 0.06), look.main)
    c.fill(disc(c.at, -0.44, arm + 0.1, 0.075), skin)
    with c.part(0.2, -0.24):
        c.fill(capsule(c.at, 0.2, -0.24, 0.55, look(3, -0.6, 0.1), 0.075, 0.06), look.main)
        c.fill(disc(c.at, 0.59, look(3, -0.65, 0.12), 0.08), skin)
    c.fill(box(c.at, 0.0, -0.4, 0.07, 0.1), skin, 0.3)
    c.fill(convex(c.at, (-0.2, -0.3), (0.2, -0.3), (0.24, 0.3), (-0.24, 0.3)) - 0.05, pattern(c, look, 0.8))
    c.fill(disc(c.at, 0.0, -0.69, 0.285), hair, 0.6)
    c.fill(ellipse(c.at, 0.02, -0.63, 0.23, 0.23), skin)
    c.fill(torch.maximum(disc(c.at, 0.0, -0.69, 0.28), c.down + 0.76), hair, 0.3, 0)
    for x in (-0.07, 0.12):
        c.fill(disc(c.at, x, -0.63, 0.03), c.colour("201a1e"), 0, 0)
    smile = torch.maximum(ring(c.at, 0.025, -0.6, 0.1, 0.017), -(c.down + 0.55))
    c.fill(smile, c.colour("a33a3a"), 0, 0)


def robot(c: Canvas, look: Look) -> None:
    """Draws a robot; one arm swings."""
    steel = c.colour("5f6672")
    for s in (-1.0, 1.0):
        c.fill(capsule(c.at, 0.2 * s, 0.5, 0.22 * s, 0.85, 0.075), steel)
        c.fill(box(c.at, 0.24 * s, 0.92, 0.16, 0.065, 0.0, 0.04), look.dark)
    c.fill(capsule(c.at, -0.45, -0.02, -0.7, 0.4, 0.075), steel)
    with c.part(0.45, -0.02):
        c.fill(capsule(c.at, 0.45, -0.02, 0.8, look(0, -0.5, 0.3), 0.075), steel)
        c.fill(disc(c.at, 0.82, look(0, -0.53, 0.34), 0.12), look.accent)
    c.fill(box(c.at, 0.0, 0.2, 0.45, 0.38, 0.0, 0.08), look.main)
    c.fill(box(c.at, 0.0, 0.2, 0.25, 0.18, 0.0, 0.04), look.light, 0.4)
    for i, code in enumerate(("e0483e", "f2c53d", "57b26a")):
        c.fill(disc(c.at, -0.14 + 0.14 * i, 0.2, 0.05), c.colour(code), 0.5)
    c.fill(capsule(c.at, 0.0, -0.7, 0.0, -0.9, 0.025), steel, 0, 0)
    c.fill(disc(c.at, 0.0, -0.93, 0.07), look.accent)
    c.fill(box(c.at, 0.0, -0.47, look(1, 0.32, 0.42), 0.27, 0.0, 0.1), look.main)
    for x in (-0.16, 0.16):
        eye(c, x, -0.5, 0.1, 0.1)
    c.fill(box(c.at, 0.0, -0.3, 0.16, 0.03, 0.0, 0.02), look.dark, 0, 0)

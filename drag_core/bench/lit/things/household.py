"""A house and what stands in it."""

from __future__ import annotations

import math

import torch

from ..canvas import Canvas
from ..colours import mix
from ..look import Look, pattern
from ..shapes import as_map, blend, box, capsule, convex, disc, ellipse, polar, ring, smooth, union


def lamp(c: Canvas, look: Look) -> None:
    """Draws a desk lamp; its upper arm swings."""
    lean = look(0, -0.25, 0.1)
    c.fill(box(c.at, 0.0, 0.93, 0.5, 0.075, 0.0, 0.07), look.dark)
    ex = lean - 0.3
    c.fill(capsule(c.at, 0.0, 0.88, ex, 0.12, 0.055), look.accent)
    with c.part(ex, 0.12):
        c.fill(capsule(c.at, ex, 0.12, ex + 0.55, -0.55, 0.05), look.accent)
        x, y = as_map(ex) + 0.62, -0.55
        glow = (1 - ((c.across - x - 0.16).square() + (c.down - y - 0.42).square()).sqrt() / 0.5).clamp(0, 1)
        c.fill(ellipse(c.at, ex + 0.78, -0.2, 0.17, 0.13, 0.4), c.colour("fff3b0"), 0.2, 0.2)
        shade = convex(c.at, (ex + 0.5, -0.78), (ex + 0.78, -0.84), (ex + 1.08, -0.28), (ex + 0.42, -0.06))
        c.fill(shade, mix(look.main, look.light, glow * 0.4), bevel=0.35)
    c.fill(disc(c.at, ex, 0.12, 0.095), look.dark)


def cup(c: Canvas, look: Look) -> None:
    """Draws a cup; its spoon swings."""
    c.fill(ring(c.at, 0.62, 0.12, look(0, 0.24, 0.3), 0.06), look.main)
    w = look(1, 0.4, 0.55)
    d = convex(c.at, (-0.64, -0.42), (0.64, -0.42), (w, 0.82), (-w, 0.82)) - 0.06
    c.fill(d, pattern(c, look, 0.9), bevel=0.45)
    c.fill(ellipse(c.at, 0.0, -0.44, 0.7, 0.17), look.light)
    c.fill(ellipse(c.at, 0.0, -0.41, 0.6, 0.115), c.colour("6b3f26"), 0.4)
    with c.part(0.0, -0.4):
        c.fill(capsule(c.at, 0.1, -0.4, 0.42, -0.95, 0.04, 0.05), c.colour("cfd3d8"))


def clock(c: Canvas, look: Look) -> None:
    """Draws a clock; its minute hand swings."""
    bells = (look.chance[:, 0] > 0.5).float()
    c.fill(capsule(c.mirrored, 0.45, 0.7, 0.62, 0.95, 0.07), look.dark, opacity=bells)
    c.fill(disc(c.mirrored, 0.52, -0.72, 0.25), look.accent, opacity=bells)
    c.fill(disc(c.at, 0.0, 0.0, 0.88), look.main, 1.2, bevel=0.12)
    c.fill(disc(c.at, 0.0, 0.0, 0.72), c.colour("fbf8ee"), 0.25)
    r, angle = polar(c.at, 0.0, 0.0)
    t = (angle * 6 / math.pi + 0.5) % 1 - 0.5
    tick = torch.maximum((t.abs() * r * math.pi / 6) - 0.025, (r - 0.62).abs() - 0.06)
    c.fill(tick, c.colour("33323a"), 0, 0)
    hour = look.chance[:, 1] * 2 * math.pi
    c.fill(capsule(c.at, 0.0, 0.0, 0.36 * hour.cos(), 0.36 * hour.sin(), 0.045), c.colour("33323a"), 0, 0)
    with c.part(0.0, 0.0):
        c.fill(capsule(c.at, 0.0, 0.0, 0.0, -0.55, 0.04, 0.03), c.colour("c23b35"), 0, 0)
    c.fill(disc(c.at, 0.0, 0.0, 0.07), look.dark, 0.3)


def chair(c: Canvas, look: Look) -> None:
    """Draws a chair; its back swings."""
    for x in (-0.42, 0.34):
        c.fill(capsule(c.at, x + 0.14, 0.2, x + 0.16, 0.72, 0.05), look.dark, 0.5)
    with c.part(-0.38, 0.12):
        back = box(c.at, -0.4, -0.42, 0.085, 0.56, -0.1, 0.05)
        c.fill(back, look.main)
        for y in (-0.75, -0.45, -0.15):
            c.fill(box(c.at, -0.34, y, 0.1, 0.05, -0.1, 0.03), look.accent, 0.6)
    seat = convex(c.at, (-0.42, 0.02), (0.42, 0.02), (0.58, 0.24), (-0.5, 0.24)) - 0.04
    c.fill(seat, pattern(c, look, 0.8))
    for x in (-0.44, 0.5):
        c.fill(capsule(c.at, x, 0.26, x * 1.08, 0.92, 0.06, 0.045), look.main)


def bottle(c: Canvas, look: Look) -> None:
    """Draws a bottle; its cap swings."""
    belly = box(c.at, 0.0, 0.38, look(0, 0.32, 0.44), 0.58, 0.0, 0.12)
    body = blend(belly, box(c.at, 0.0, -0.45, 0.14, 0.4), 0.3)
    gleam = smooth((c.across + 0.2).abs(), 0.08, 0.03) * 0.5
    c.fill(body, mix(look.main, look.light, gleam), 1.2, bevel=0.3)
    paper = pattern(c, look, 0.7, 1.3) * 0.4 + 0.55
    c.fill(box(c.at, 0.0, 0.42, look(0, 0.3, 0.42), 0.27), paper, 0.5)
    with c.part(0.0, -0.8):
        c.fill(box(c.at, 0.0, -0.88, 0.17, 0.11, 0.0, 0.04), look.accent)


def umbrella(c: Canvas, look: Look) -> None:
    """Draws an umbrella; its handle swings."""
    grey = c.colour("55565f")
    c.fill(capsule(c.at, 0.0, -0.9, 0.0, 0.75, 0.032), grey)
    with c.part(0.0, 0.6):
        hook = torch.maximum(ring(c.at, 0.14, 0.78, 0.14, 0.045), 0.76 - c.down)
        c.fill(hook, c.colour("a9682f"))
    top = look(0, -0.72, -0.6)
    dome = (torch.hypot(c.across, (c.down - 0.1) / as_map(-(top - 0.1))) - 1) * 0.75
    scallop = c.down - 0.1 + 0.11 * (c.across * math.pi * 2.5).cos().abs() - 0.08
    lift = (1 - ((c.down - 0.1) / as_map(top - 0.1)).clamp(0, 1) ** 2).sqrt().clamp_min(0.15)
    rib = torch.tanh(5 * ((c.across / lift).clamp(-1, 1) * math.pi * 2.5).sin()) * 0.5 + 0.5
    c.fill(torch.maximum(dome, scallop), mix(look.main, look.accent, rib), bevel=0.4)


def house(c: Canvas, look: Look) -> None:
    """Draws a house; its door turns in its frame."""
    w = look(0, 0.6, 0.78)
    c.fill(box(c.at, look(1, 0.25, 0.42), -0.6, 0.1, 0.26), c.colour("9a4f3d"))
    courses = (torch.tanh(6 * (c.down * 15).sin()) * 0.5 + 0.5) * 0.18
    c.fill(box(c.at, 0.0, 0.45, w, 0.5), mix(look.light, look.main, 0.25 + courses))
    tiles = (torch.tanh(4 * (c.down * 14).sin()) * 0.5 + 0.5) * 0.35
    roof = convex(c.at, (0.0, look(2, -0.95, -0.8)), (w + 0.2, 0.0), (-w - 0.2, 0.0))
    c.fill(roof, mix(look.accent, look.dark, tiles), 0.7)
    pane = c.colour("bfe3f2")
    for x in (-0.38, 0.4):
        c.fill(box(c.at, x, 0.4, 0.17, 0.17), c.colour("fffdf5"), 0.3)
        c.fill(box(c.at, x, 0.4, 0.125, 0.125), pane, 0.4, 0.5)
        cross = union(box(c.at, x, 0.4, 0.015, 0.14), box(c.at, x, 0.4, 0.14, 0.015))
        c.fill(cross, c.colour("fffdf5"), 0, 0)
    c.fill(box(c.at, 0.02, 0.65, 0.15, 0.3), look.dark, 0.4)
    with c.part(-0.1, 0.65):
        c.fill(box(c.at, 0.02, 0.65, 0.13, 0.29), look.accent)
        c.fill(disc(c.at, 0.1, 0.67, 0.025), c.colour("ffd86b"), 0, 0)

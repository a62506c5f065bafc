"""Animals."""

from __future__ import annotations

import math

import torch

from ..canvas import Canvas
from ..colours import mix
from ..look import Look, eye, pattern
from ..shapes import Plane, as_map, blend, capsule, convex, disc, ellipse, petal, polar, ring, smooth, union


def bird(c: Canvas, look: Look) -> None:
    """Draws a bird; its wing swings."""
    fat = look(0, 0.38, 0.5)
    c.fill(petal(c.at, -0.98, look(1, -0.15, 0.3), -0.1, 0.1, 0.22), look.accent)
    c.fill(capsule(c.at, 0.0, 0.4, 0.03, 0.9, 0.035), look.dark)
    c.fill(capsule(c.at, 0.18, 0.4, 0.22, 0.9, 0.035), look.dark)
    body = blend(ellipse(c.at, 0.02, 0.12, 0.62, fat, -0.25), disc(c.at, 0.55, -0.34, 0.3), 0.18)
    belly = smooth(c.down - 0.35 * c.across, 0.05, 0.35)
    c.fill(convex(c.at, (0.74, -0.48), (1.0, -0.3), (0.74, -0.22)), c.colour("f2a531"))
    c.fill(body, mix(look.main, look.light, belly))
    with c.part(0.18, -0.02):
        c.fill(petal(c.at, 0.3, -0.04, -0.7, look(2, 0.02, 0.3), look(3, 0.34, 0.44)), pattern(c, look, 0.6))
    eye(c, 0.62, -0.4, 0.085)


def snake(c: Canvas, look: Look) -> None:
    """Draws a snake; its head swings."""
    wave, high = look(0, 3.6, 5.2), look(1, 0.2, 0.34)
    x = c.across.clamp(-0.95, 0.55)
    f, a = as_map(wave), as_map(high)
    phase = f * x + 0.6
    slope = (1 + (a * f * phase.cos()) ** 2).sqrt()
    end = torch.hypot(c.across - x, c.down - a * phase.sin())
    radius = 0.05 + 0.11 * ((x + 0.95) / 0.6).clamp(0, 1) ** 0.7
    tube = torch.where((c.across - x).abs() > 0, end, (c.down - a * phase.sin()).abs() / slope) - radius
    bands = torch.tanh(4 * (as_map(look.frequency) * 9 * x).sin()) * 0.5 + 0.5
    c.fill(tube, mix(look.main, look.accent, bands), bevel=0.12)
    hy = high * (wave * 0.55 + 0.6).sin()
    with c.part(0.5, hy):
        c.fill(capsule(c.at, 0.86, hy, 1.08, hy, 0.02), c.colour("d8304a"), 0, 0)
        c.fill(capsule(c.at, 0.58, hy, 0.78, hy, 0.175, 0.12), look.main)
        eye(c, 0.7, hy - 0.08, 0.06)


def fish(c: Canvas, look: Look) -> None:
    """Draws a fish; its tail swings."""
    with c.part(-0.5, 0.0):
        top = petal(c.at, -0.42, 0.02, -0.98, -0.42, 0.35)
        c.fill(union(top, petal(c.at, -0.42, -0.02, -0.98, 0.42, 0.35)), look.accent)
    c.fill(petal(c.at, -0.3, -0.25, 0.35, look(0, -0.75, -0.55), 0.45), look.accent)
    c.fill(petal(c.at, 0.0, 0.25, -0.25, look(1, 0.55, 0.7), 0.4), look.accent)
    body = petal(c.at, -0.72, 0.0, 0.98, 0.0, look(2, 0.42, 0.6))
    f = as_map(look.frequency) * 7
    scales = ((f * c.across + (f * c.down).cos()).sin() > 0.5).float() * 0.35
    scales = scales + smooth(c.down, -0.1, -0.35) * 0.6
    stripes = torch.tanh(4 * (f * c.across * 0.8).sin()) * 0.5 + 0.5
    share = torch.where(as_map(look.texture) < 3, scales, stripes) * smooth(c.across, 0.5, 0.4)
    c.fill(body, mix(look.main, look.accent, share), bevel=0.35)
    c.fill(petal(c.at, 0.2, 0.05, -0.2, 0.18, 0.4), look.light, 0.6)
    c.fill(capsule(c.at, 0.8, 0.14, 0.92, 0.06, 0.016), look.dark, 0, 0)
    eye(c, 0.6, -0.1, 0.1)


def cat(c: Canvas, look: Look) -> None:
    """Draws a cat's face; one ear swings."""
    inner = c.colour("f0a8a8")
    c.fill(convex(c.at, (-0.72, -0.9), (-0.1, -0.5), (-0.68, -0.1)) - 0.04, look.main)
    c.fill(convex(c.at, (-0.66, -0.76), (-0.3, -0.52), (-0.62, -0.3)), inner, 0.3, 0.4)
    with c.part(0.42, -0.35):
        c.fill(convex(c.at, (0.72, -0.9), (0.68, -0.1), (0.1, -0.5)) - 0.04, look.main)
        c.fill(convex(c.at, (0.66, -0.76), (0.62, -0.3), (0.3, -0.52)), inner, 0.3, 0.4)
    stripes = smooth(c.down, -0.2, -0.3) * (torch.tanh(4 * (c.across * 16).cos()) * 0.5 + 0.5)
    stripes = stripes * smooth(c.across.abs(), 0.34, 0.3)
    c.fill(
        ellipse(c.at, 0.0, 0.08, 0.88, look(0, 0.66, 0.78)), mix(look.main, look.accent, stripes), bevel=0.5
    )
    c.fill(ellipse(c.at, 0.0, 0.38, 0.42, 0.3), look.light, 0.4, 0)
    for x in (-0.36, 0.36):
        c.fill(ellipse(c.at, x, -0.02, 0.17, 0.19), c.colour("e9dc6a"), 0.3)
        c.fill(ellipse(c.at, x, -0.02, look(1, 0.05, 0.12), 0.16), c.colour("131318"), 0, 0)
        c.fill(disc(c.at, x - 0.05, -0.09, 0.035), c.colour("ffffff"), 0, 0)
    c.fill(convex(c.at, (-0.1, 0.2), (0.1, 0.2), (0.0, 0.33)) - 0.015, c.colour("d9626b"), 0.4)
    for x in (-0.12, 0.12):
        mouth = torch.maximum(ring(c.at, x, 0.38, 0.12, 0.018), 0.38 - c.down)
        c.fill(mouth, c.colour("4a2a2e"), 0, 0)
    for y in (0.28, 0.42):
        c.fill(capsule(c.mirrored, 0.3, 0.36, 1.0, y + (y - 0.35) * 1.5, 0.02, 0.014), look.dark, 0, 0)


def butterfly(c: Canvas, look: Look) -> None:
    """Draws a butterfly; one pair of wings swings."""

    def wings(at: Plane) -> None:
        upper = ellipse(at, 0.5, -0.36, look(0, 0.42, 0.5), 0.36, -0.55)
        lower = ellipse(at, 0.4, 0.36, look(1, 0.3, 0.38), 0.3, 0.6)
        d = blend(upper, lower, 0.05)
        spots = smooth(torch.hypot(at.across - 0.58, at.down + 0.42), 0.2, 0.16)
        spots = spots + smooth(torch.hypot(at.across - 0.42, at.down - 0.4), 0.15, 0.12)
        edge = smooth(d, -0.11, -0.07)
        tone = mix(look.main, look.accent, spots.clamp(0, 1))
        c.fill(d, mix(tone, look.dark, edge), 0.6)

    wings(c.at)
    with c.part(0.0, 0.0):
        wings(Plane(-c.across, c.down))
    for s in (-1.0, 1.0):
        c.fill(capsule(c.at, 0.0, -0.5, 0.2 * s, -0.9, 0.026), look.dark, 0, 0)
    c.fill(capsule(c.at, 0.0, -0.45, 0.0, 0.55, 0.1, 0.055), look.dark)


def snail(c: Canvas, look: Look) -> None:
    """Draws a snail; its head swings."""
    foot = capsule(c.at, -0.9, 0.72, 0.65, 0.68, 0.07, 0.17)
    with c.part(0.66, 0.45):
        for x in (0.66, 0.82):
            c.fill(capsule(c.at, x, 0.1, x + 0.1, -0.35, 0.04), look.light)
            c.fill(disc(c.at, x + 0.1, -0.37, 0.065), look.dark)
        c.fill(capsule(c.at, 0.66, 0.6, 0.75, 0.12, 0.17, 0.15), look.light)
        c.fill(capsule(c.at, 0.76, 0.26, 0.86, 0.24, 0.018), look.dark, 0, 0)
        c.fill(disc(c.at, 0.76, 0.1, 0.035), c.colour("1c181c"), 0, 0)
    c.fill(foot, look.light)
    r, angle = polar(c.at, -0.15, 0.1)
    turn = (r * as_map(look(0, 3.2, 4.6)) - angle / (2 * math.pi)) % 1
    spiral = smooth((turn - 0.5).abs(), 0.28, 0.36)
    c.fill(r - 0.62, mix(look.main, look.accent, spiral), 1.1, bevel=0.5)


def owl(c: Canvas, look: Look) -> None:
    """Draws an owl; one wing swings."""
    c.fill(convex(c.mirrored, (0.5, -0.98), (0.6, -0.4), (0.1, -0.62)) - 0.03, look.main)
    c.fill(ellipse(c.at, 0.0, 0.1, look(0, 0.58, 0.68), 0.82), look.main, bevel=0.5)
    scale = (((c.down * 9).floor() % 2) * 0.5 + c.across * 5) % 1
    dots = smooth(torch.hypot(scale - 0.5, (c.down * 9) % 1 - 0.5), 0.42, 0.3)
    c.fill(ellipse(c.at, 0.0, 0.4, 0.4, 0.46), mix(look.light, look.accent, dots * 0.7), 0.5)
    c.fill(petal(c.at, -0.5, -0.15, -0.42, 0.8, 0.28), look.dark)
    with c.part(0.5, -0.1):
        c.fill(petal(c.at, 0.5, -0.15, 0.42, 0.8, 0.28), look.dark)
    for x in (-0.26, 0.26):
        c.fill(disc(c.at, x, -0.33, 0.28), look.accent, 0.6)
        eye(c, x, -0.33, 0.2, 0.0)
    c.fill(convex(c.at, (-0.09, -0.2), (0.09, -0.2), (0.0, 0.0)) - 0.015, c.colour("f0a22e"), 0.6)

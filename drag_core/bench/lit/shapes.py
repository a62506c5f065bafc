"""Signed distances of simple shapes, negative inside; lengths in the thing's own unit, its half extent.

A shape's numbers are one for all N things, or one for each of them (N,).
"""

from __future__ import annotations

import math
from typing import NamedTuple, overload

import torch
from torch import Tensor

Value = Tensor | float


class Plane(NamedTuple):
    """Where the pixels lie in a thing's own coordinates: to the right and down, maps (N, H, W)."""

    across: Tensor
    down: Tensor


@overload
def as_map(x: Tensor) -> Tensor: ...
@overload
def as_map(x: float) -> float: ...
def as_map(x: Value) -> Value:
    """Gives a number of each thing (N,) the shape (N, 1, 1), for arithmetic with maps (N, H, W)."""
    return x[:, None, None] if isinstance(x, Tensor) and x.ndim == 1 else x


def smooth(x: Tensor, low: float, high: float) -> Tensor:
    """Rises smoothly from 0 at `low` to 1 at `high`; falls where high is the lower."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def _turned(at: Plane, cx: Value, cy: Value, turn: Value) -> Plane:
    """Returns the coordinates seen from (cx, cy), turned by `turn`."""
    x, y = at.across - as_map(cx), at.down - as_map(cy)
    if isinstance(turn, float) and turn == 0.0:
        return Plane(x, y)
    angle = as_map(turn)
    c, s = (angle.cos(), angle.sin()) if isinstance(angle, Tensor) else (math.cos(angle), math.sin(angle))
    return Plane(c * x + s * y, c * y - s * x)


def polar(at: Plane, cx: Value, cy: Value) -> Plane:
    """Returns distance from (cx, cy) and angle around it."""
    x, y = at.across - as_map(cx), at.down - as_map(cy)
    return Plane(torch.hypot(x, y), torch.atan2(y, x))


def ellipse(at: Plane, cx: Value, cy: Value, rx: Value, ry: Value, turn: Value = 0.0) -> Tensor:
    """Measures to an ellipse of half axes (rx, ry)."""
    x, y = _turned(at, cx, cy, turn)
    rx, ry = as_map(rx), as_map(ry)
    k = torch.hypot(x / rx, y / ry)
    return k * (k - 1) / torch.hypot(x / rx**2, y / ry**2).clamp_min(1e-3)


def disc(at: Plane, cx: Value, cy: Value, radius: Value) -> Tensor:
    """Measures to a disc."""
    return torch.hypot(at.across - as_map(cx), at.down - as_map(cy)) - as_map(radius)


def ring(at: Plane, cx: Value, cy: Value, radius: Value, width: Value) -> Tensor:
    """Measures to a circle's line, `width` to each side."""
    return disc(at, cx, cy, radius).abs() - as_map(width)


def capsule(
    at: Plane, ax: Value, ay: Value, bx: Value, by: Value, ra: Value, rb: Value | None = None
) -> Tensor:
    """Measures to a limb from a to b whose radius goes from ra to rb."""
    ax, ay, bx, by, ra = as_map(ax), as_map(ay), as_map(bx), as_map(by), as_map(ra)
    u, v = at
    dx, dy = bx - ax, by - ay
    k = (((u - ax) * dx + (v - ay) * dy) / (dx * dx + dy * dy + 1e-9)).clamp(0, 1)
    radius = ra if rb is None else ra + (as_map(rb) - ra) * k
    return torch.hypot(u - ax - k * dx, v - ay - k * dy) - radius


def box(
    at: Plane, cx: Value, cy: Value, hx: Value, hy: Value, turn: Value = 0.0, rounding: float = 0.0
) -> Tensor:
    """Measures to a rectangle of half sides (hx, hy), its corners rounded."""
    x, y = _turned(at, cx, cy, turn)
    qx, qy = x.abs() - as_map(hx) + rounding, y.abs() - as_map(hy) + rounding
    return torch.hypot(qx.clamp_min(0), qy.clamp_min(0)) + torch.maximum(qx, qy).clamp(max=0) - rounding


def convex(at: Plane, *corners: tuple[Value, Value]) -> Tensor:
    """Measures to a convex polygon, its corners clockwise on the screen."""
    out: Tensor | None = None
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        dx, dy = as_map(bx) - as_map(ax), as_map(by) - as_map(ay)
        length = (dx * dx + dy * dy) ** 0.5 + 1e-9
        d = ((at.across - as_map(ax)) * dy - (at.down - as_map(ay)) * dx) / length
        out = d if out is None else torch.maximum(out, d)
    assert out is not None
    return out


def petal(at: Plane, ax: Value, ay: Value, bx: Value, by: Value, width: Value) -> Tensor:
    """Measures to two arcs that meet in points a and b, each `width` of their half distance wide."""
    ax, ay, bx, by, q = as_map(ax), as_map(ay), as_map(bx), as_map(by), as_map(width)
    u, v = at
    dx, dy = (bx - ax) / 2, (by - ay) / 2
    half = (dx * dx + dy * dy) ** 0.5
    x = ((u - ax - dx) * dx + (v - ay - dy) * dy) / half**2
    y = ((v - ay - dy) * dx - (u - ax - dx) * dy) / half**2
    r = (1 + q * q) / (2 * q)
    return (torch.hypot(x, y.abs() + (r - q)) - r) * half


def blend(a: Tensor, b: Tensor, width: Value) -> Tensor:
    """Unites two distances, smoothly over `width`."""
    h = (0.5 + 0.5 * (b - a) / as_map(width)).clamp(0, 1)
    return b + (a - b) * h - as_map(width) * h * (1 - h)


def union(*distances: Tensor) -> Tensor:
    """Unites distances."""
    out = distances[0]
    for d in distances[1:]:
        out = torch.minimum(out, d)
    return out

"""The object families of the generated scenes.

Each has its signed distance, texture and parts in local coordinates (u, v).
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

FAMILIES = ("ellipse", "box", "flower", "leaf", "face", "letter", "figure")
TEXTURES = ("plain", "stripes", "checks", "dots", "radial")
Segment = tuple[float, float, float, float]
LETTERS: dict[str, tuple[Segment, ...]] = {
    "A": ((-0.6, 0.8, 0, -0.8), (0, -0.8, 0.6, 0.8), (-0.35, 0.25, 0.35, 0.25)),
    "E": ((-0.5, -0.75, -0.5, 0.75), (-0.5, -0.75, 0.5, -0.75), (-0.5, 0, 0.35, 0), (-0.5, 0.75, 0.5, 0.75)),
    "F": ((-0.5, -0.75, -0.5, 0.75), (-0.5, -0.75, 0.5, -0.75), (-0.5, 0, 0.35, 0)),
    "H": ((-0.5, -0.75, -0.5, 0.75), (0.5, -0.75, 0.5, 0.75), (-0.5, 0, 0.5, 0)),
    "K": ((-0.5, -0.75, -0.5, 0.75), (-0.4, 0, 0.5, -0.75), (-0.4, 0, 0.5, 0.75)),
    "L": ((-0.45, -0.75, -0.45, 0.75), (-0.45, 0.75, 0.55, 0.75)),
    "T": ((0, -0.75, 0, 0.75), (-0.65, -0.75, 0.65, -0.75)),
    "X": ((-0.6, -0.75, 0.6, 0.75), (-0.6, 0.75, 0.6, -0.75)),
    "Z": ((-0.55, -0.75, 0.55, -0.75), (0.55, -0.75, -0.55, 0.75), (-0.55, 0.75, 0.55, 0.75)),
}


class Look(Protocol):
    @property
    def aspect(self) -> float: ...
    @property
    def shape(self) -> float: ...
    @property
    def colour(self) -> tuple[float, float, float]: ...
    @property
    def accent(self) -> tuple[float, float, float]: ...
    @property
    def texture(self) -> str: ...
    @property
    def frequency(self) -> float: ...


def smooth_edge(distance: Tensor, width: float) -> Tensor:
    """Computes the coverage in [0, 1] of a signed distance (pixels, negative inside)."""
    return (0.5 - distance / width).clamp(0, 1)


def _segment(u: Tensor, v: Tensor, s: Segment, radius: float) -> Tensor:
    ax, ay, bx, by = s
    dx, dy = bx - ax, by - ay
    k = (((u - ax) * dx + (v - ay) * dy) / max(dx * dx + dy * dy, 1e-9)).clamp(0, 1)
    return torch.hypot(u - ax - k * dx, v - ay - k * dy) - radius


def _limbs(shape: float) -> tuple[Segment, ...]:
    """Makes arms and legs of the articulated figure; `shape` swings them."""
    arm, leg = -0.9 + 1.8 * shape, 0.25 + 0.35 * shape
    hand = (0.25 + 0.6 * math.cos(arm), -0.1 + 0.6 * math.sin(arm))
    return (
        (0.2, -0.1, *hand),
        (-0.2, -0.1, -hand[0], hand[1]),
        (0.12, 0.35, leg, 0.85),
        (-0.12, 0.35, -leg, 0.85),
    )


def outline(kind: str, u: Tensor, v: Tensor, look: Look) -> Tensor:
    """Computes the signed distance in units of the thing's size, negative inside."""
    a = look.aspect
    if kind == "ellipse":
        return (torch.hypot(u, v / a) - 1) * a
    if kind == "face":
        return (torch.hypot(u, v / 0.85) - 1) * 0.85
    if kind == "box":
        return (torch.maximum(u.abs() / 0.85, v.abs() / (0.85 * a)) - 1) * 0.85 * a
    if kind == "flower":
        depth = 0.15 + 0.15 * look.shape
        petals = 3 + int(look.shape * 3.99)
        return torch.hypot(u, v) - (1 - depth) * (1 + depth * torch.cos(petals * torch.atan2(v, u)))
    if kind == "leaf":
        q = 0.35 + a * 0.4
        r = (1 + q * q) / (2 * q)
        return torch.maximum(torch.hypot(u, v - (r - q)), torch.hypot(u, v + (r - q))) - r
    if kind == "letter":
        strokes = sorted(LETTERS)[int(look.shape * 8.99)]
        return torch.stack([_segment(u, v, s, 0.2) for s in LETTERS[strokes]]).amin(0)
    if kind == "figure":
        parts = [_segment(u, v, s, 0.12) for s in _limbs(look.shape)]
        parts += [torch.hypot(u, v + 0.62) - 0.3, _segment(u, v, (0.0, -0.15, 0.0, 0.3), 0.27)]
        return torch.stack(parts).amin(0)
    raise ValueError(f"unknown object family {kind!r}; families: {', '.join(FAMILIES)}")


def _texture(u: Tensor, v: Tensor, look: Look) -> Tensor:
    f = look.frequency * math.pi
    if look.texture == "stripes":
        return 0.5 + 0.5 * torch.tanh(3 * torch.sin(f * u * 1.3))
    if look.texture == "checks":
        return 0.5 + 0.5 * torch.tanh(4 * torch.sin(f * u) * torch.sin(f * v))
    if look.texture == "dots":
        return 0.5 + 0.5 * torch.tanh(5 * (torch.cos(f * u) * torch.cos(f * v) - 0.35))
    if look.texture == "radial":
        return torch.hypot(u, v).clamp(0, 1)
    return torch.zeros_like(u)


def _blend(image: Tensor, coverage: Tensor, colour: tuple[float, float, float]) -> Tensor:
    return image * (1 - coverage) + torch.tensor(colour)[:, None, None] * coverage


def paint(kind: str, u: Tensor, v: Tensor, pixels: float, look: Look) -> tuple[Tensor, Tensor]:
    """Computes colour (3, h, w) and signed distance in pixels (h, w).

    pixels: size of one local unit.
    """
    d = outline(kind, u, v, look) * pixels
    m = _texture(u, v, look)
    base, accent = (torch.tensor(k)[:, None, None] for k in (look.colour, look.accent))
    if kind == "face":  # a plain skin, so that eyes and mouth read
        m = torch.zeros_like(u)
        base = base * 0.5 + torch.tensor([0.5, 0.42, 0.3])[:, None, None]
    image = base * (1 - m) + accent * m
    if kind == "leaf":
        image = image * (1 - 0.45 * smooth_edge(v.abs() * pixels - 1.5, 1.5))
    if kind == "figure":
        image = _blend(image, smooth_edge((torch.hypot(u, v + 0.62) - 0.3) * pixels, 1.4), (0.95, 0.8, 0.65))
    if kind == "face":
        for x in (-0.35, 0.35):
            image = _blend(
                image, smooth_edge((torch.hypot(u - x, v + 0.22) - 0.17) * pixels, 1.4), (0.97, 0.97, 0.97)
            )
            image = _blend(
                image,
                smooth_edge((torch.hypot(u - x - 0.03, v + 0.22) - 0.09) * pixels, 1.4),
                (0.05, 0.05, 0.1),
            )
        mouth = smooth_edge(((torch.hypot(u, v - 0.1) - 0.4).abs() - 0.07) * pixels, 1.4) * (v > 0.22)
        image = _blend(image, mouth, (0.6, 0.1, 0.1))
    image = image * (1.0 - 0.28 * (u * 0.5 + v * 0.7 + 0.15).clamp(-0.6, 1))
    rim = smooth_edge((d + 1.5).abs() - 1.5, 1.2)
    return image * (1 - 0.35 * rim), d

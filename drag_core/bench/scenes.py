"""Generated scenes with known answers: deterministic by seed, rendered in torch from signed distances.

A scene is a background and one to two things; every thing is drawn in its own coordinates (u, v), so moving,
turning or stretching it moves its texture and shading too, and the edited scene is the exact truth. Only the
topmost thing is edited.
"""

from __future__ import annotations

import colorsys
import math
import random
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..motion.geometry import motion_matrix
from ..types import AffineMotion, Point
from .shapes import FAMILIES, TEXTURES, paint, smooth_edge

Colour = tuple[float, float, float]
BACKGROUNDS = ("gradient", "horizon", "waves", "plaid")
HELD_OUT = 1_000_000  # seeds from here on are never trained on
DEVELOPMENT = 1_500_000  # from here on presets may be tuned, never on those from HELD_OUT on


@dataclass(frozen=True)
class Thing:
    """One object: `size` is its half extent in pixels, `shape` in [0, 1] varies the family's parts."""

    kind: str
    centre: Point
    size: float
    angle: float
    aspect: float
    shape: float
    colour: Colour
    accent: Colour
    texture: str
    frequency: float
    shadow: float = 0.0
    motions: tuple[AffineMotion, ...] = ()


@dataclass(frozen=True)
class Backdrop:
    kind: str
    first: Colour
    second: Colour
    angle: float
    frequency: float
    phase: tuple[float, float, float]
    amplitude: float
    horizon: float


@dataclass(frozen=True)
class Scene:
    seed: int
    size: int
    backdrop: Backdrop
    things: tuple[Thing, ...]


def _colour(r: random.Random, value: tuple[float, float], saturation: tuple[float, float]) -> Colour:
    return colorsys.hsv_to_rgb(r.random(), r.uniform(*saturation), r.uniform(*value))


def _distance(a: Point, b: Point) -> float:
    return math.hypot(a[0] - b[0], a[1] - b[1])


def sample_scene(seed: int, size: int = 256, families: tuple[str, ...] = FAMILIES) -> Scene:
    """Draws the scene of `seed`: size x size pixels, objects 80-130 px of 256 across."""
    r = random.Random(seed)
    unit = size / 256
    backdrop = Backdrop(
        kind=r.choices(BACKGROUNDS, (0.3, 0.3, 0.3, 0.1))[0],
        first=_colour(r, (0.15, 0.95), (0.05, 0.5)),
        second=_colour(r, (0.15, 0.95), (0.05, 0.5)),
        angle=r.uniform(0, 2 * math.pi),
        frequency=r.uniform(0.025, 0.07) / unit,
        phase=(r.uniform(0, 6.28), r.uniform(0, 6.28), r.uniform(0, 6.28)),
        amplitude=r.uniform(0.03, 0.09),
        horizon=r.uniform(0.4, 0.7),
    )
    mean = [(a + b) / 2 for a, b in zip(backdrop.first, backdrop.second, strict=True)]
    things: list[Thing] = []
    for _ in range(r.choices((1, 2), (0.65, 0.35))[0]):
        for _ in range(30):
            s = r.uniform(40, 65) * unit
            centre = (r.uniform(s + 6, size - s - 6), r.uniform(s + 6, size - s - 6))
            if all(_distance(centre, t.centre) > 0.8 * (s + t.size) for t in things):
                break
        for _ in range(20):
            colour = _colour(r, (0.35, 1.0), (0.35, 0.95))
            if sum(abs(a - b) for a, b in zip(colour, mean, strict=True)) > 0.7:
                break
        things.append(
            Thing(
                kind=r.choice(families),
                centre=centre,
                size=s,
                angle=r.uniform(0, 2 * math.pi),
                aspect=r.uniform(0.55, 0.85),
                shape=r.random(),
                colour=colour,
                accent=_colour(r, (0.25, 1.0), (0.35, 0.95)),
                texture=r.choice(TEXTURES),
                frequency=r.uniform(1.1, 1.9),
                shadow=r.uniform(0.1, 0.2) if r.random() < 0.15 else 0.0,
            )
        )
    return Scene(seed, size, backdrop, tuple(things))


def local_to_image(thing: Thing) -> Tensor:
    """Computes (3, 3): the thing's own (u, v), unit = its size, to image pixels."""
    c, s, k = math.cos(thing.angle), math.sin(thing.angle), thing.size
    x, y = thing.centre
    matrix = torch.tensor([[k * c, -k * s, x], [k * s, k * c, y], [0, 0, 1]], dtype=torch.float64)
    for motion in thing.motions:
        matrix = motion_matrix(motion) @ matrix
    return matrix


def place(thing: Thing) -> Point:
    """Computes where the thing's centre is after its motions."""
    m = local_to_image(thing)
    return float(m[0, 2]), float(m[1, 2])


def _draw(thing: Thing, size: int) -> tuple[tuple[slice, slice], Tensor, Tensor, Tensor | None]:
    """Draws one thing: window, colour (3, h, w), coverage (h, w) and shadow coverage."""
    matrix = local_to_image(thing)
    reach_x = 1.3 * float(matrix[0, :2].norm()) + 6
    reach_y = 1.3 * float(matrix[1, :2].norm()) + 6
    x, y = place(thing)
    xs = slice(max(0, int(x - reach_x)), max(0, min(size, int(x + reach_x) + 1)))
    ys = slice(max(0, int(y - reach_y)), max(0, min(size, int(y + reach_y) + 1)))
    inverse = torch.linalg.inv(matrix).float()
    gx = torch.arange(xs.start, xs.stop, dtype=torch.float32)[None, :]
    gy = torch.arange(ys.start, ys.stop, dtype=torch.float32)[:, None]
    u = inverse[0, 0] * gx + inverse[0, 1] * gy + inverse[0, 2]
    v = inverse[1, 0] * gx + inverse[1, 1] * gy + inverse[1, 2]
    pixels = math.sqrt(abs(float(torch.linalg.det(matrix[:2, :2]))))
    colour, distance = paint(thing.kind, u, v, pixels, thing)
    shadow = None
    if thing.shadow:
        drop = inverse[:2, :2] @ torch.tensor([0.06 * pixels, 0.09 * pixels])
        _, below = paint(thing.kind, u - drop[0], v - drop[1], pixels, thing)
        shadow = thing.shadow * smooth_edge(below, 0.12 * pixels)
    return (ys, xs), colour, smooth_edge(distance, 1.4), shadow


def render_backdrop(b: Backdrop, size: int) -> Tensor:
    """Draws the backdrop, (3, size, size) in [0, 1]."""
    x = torch.arange(size, dtype=torch.float32)[None, :]
    y = torch.arange(size, dtype=torch.float32)[:, None]
    c, s, unit = math.cos(b.angle), math.sin(b.angle), size / 256
    across = ((x - size / 2) * c + (y - size / 2) * s) / size + 0.5
    if b.kind == "horizon":
        line = b.horizon * size + 8 * unit * torch.sin(x * 0.025 / unit + b.phase[0])
        mix = smooth_edge(line - y, 2.0)
    else:
        mix = across.clamp(0, 1)
    if b.kind == "waves":
        ripple = b.amplitude * torch.sin(b.frequency * (x * s + y * c) * 2 + b.phase[0])
    elif b.kind == "plaid":
        across_x, across_y = (
            torch.sin(x * b.frequency * 1.5 + b.phase[0]),
            torch.sin(y * b.frequency * 1.5 + b.phase[1]),
        )
        ripple = 0.7 * b.amplitude * (across_x + across_y)
    else:
        ripple = 0.05 * torch.sin(x * 0.02 / unit + b.phase[1]) * torch.sin(y * 0.025 / unit + b.phase[2])
    first, second = (torch.tensor(k)[:, None, None] for k in (b.first, b.second))
    return (first * (1 - mix) + second * mix + ripple).clamp(0, 1)


def render(scene: Scene) -> Tensor:
    """Draws the picture, (3, size, size) in [0, 1]."""
    image = render_backdrop(scene.backdrop, scene.size)
    for thing in scene.things:
        (ys, xs), colour, coverage, shadow = _draw(thing, scene.size)
        part = image[:, ys, xs]
        if shadow is not None:
            part = part * (1 - shadow)
        image[:, ys, xs] = part * (1 - coverage) + colour * coverage
    return image.clamp(0, 1)


def thing_mask(scene: Scene, index: int = -1) -> Tensor:
    """Masks the pixels that thing `index` covers by more than half, drawn as if topmost.

    Returns (size, size) in {0, 1}.
    """
    mask = torch.zeros(scene.size, scene.size)
    (ys, xs), _, coverage, _ = _draw(scene.things[index], scene.size)
    mask[ys, xs] = (coverage > 0.5).float()
    return mask


def move_top(scene: Scene, motion: AffineMotion) -> Scene:
    """Returns the scene with its topmost thing moved: the truth of a drag."""
    top = scene.things[-1]
    return replace(scene, things=(*scene.things[:-1], replace(top, motions=(*top.motions, motion))))


def without_top(scene: Scene) -> Scene:
    """Returns the scene with its topmost thing removed, for measuring what is left of it."""
    return replace(scene, things=scene.things[:-1])

"""The scenes of seeds: a place, a thing on top of it, none to two others further back."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from .affine import identity
from .belonging import APART, REACH, RIM, feet, heights, kind_in, margin, spot_in
from .colours import hsv
from .look import TEXTURES
from .places.table import ROWS
from .scene import SIZE, Scenes, Things
from .seeded import choose, lerp, uniforms
from .spots import FLAT, GROUND, WATER
from .things.table import KINDS, NAMES

PRESENT = (0.3, 0.45)  # how often the things further back are there
SIZES = ((24, 42), (24, 42), (42, 66))  # half extents, px of 256; the last is on top
NEAR = ((0.12, 0.5), (0.12, 0.5), (0.45, 1.0))  # where things stand between horizon and lower border
TILT = (0.04, 0.08, 0.3, 0.35, 0.3)  # by spot: how far from upright, in rad
TRIES = 12
ROOMY = 0.85  # of the room there is: so that a thing can move up and down in it


def sample(seeds: Tensor, size: int = SIZE) -> Scenes:
    """Draws the scenes of whole-number seeds (B,), on the seeds' device; the same ones in every size."""
    r = uniforms(seeds, 1, 16)
    weights = torch.tensor([p.weight for p in ROWS], device=seeds.device).cumsum(0)
    place = (r[:, :1] * weights[-1] > weights).sum(1).clamp(max=len(ROWS) - 1)
    spans = torch.tensor([p.horizon for p in ROWS], device=seeds.device)[place]
    horizon = spans[:, 0] + (spans[:, 1] - spans[:, 0]) * r[:, 1]
    slant = lerp(r[:, 2], 0.35, 0.8) * torch.sign(r[:, 3] - 0.5)
    light = torch.stack([slant, -(1 - slant**2).sqrt()], 1)
    ink, relief, tint = lerp(r[:, 4], 0.1, 0.5), lerp(r[:, 5], 0.16, 0.36), 1 + (r[:, 6:9] - 0.5) * 0.12
    s = Scenes(seeds, SIZE, place, uniforms(seeds, 2, 44), horizon, light, ink, relief, tint, ())
    top = _thing(s, len(PRESENT), ())
    behind: tuple[Things, ...] = ()
    for slot, share in enumerate(PRESENT):
        thing = _thing(s, slot, (top, *behind))
        behind = (*behind, replace(thing, present=thing.present & (r[:, 9 + slot] < share)))
    return _resized(replace(s, things=(*behind, top)), size)


def _resized(s: Scenes, size: int) -> Scenes:
    unit = size / s.size
    things = tuple(replace(t, centre=(t.centre + 0.5) * unit - 0.5, size=t.size * unit) for t in s.things)
    return replace(s, size=size, things=things)


def _thing(s: Scenes, slot: int, others: tuple[Things, ...]) -> Things:
    """Draws the things of a slot, away from the others; `present` says whether they are far enough."""
    r = uniforms(s.seed, 10 + slot, 64)
    kind = kind_in(s.place, r[:, :3])
    spot = spot_in(s.place, kind, r[:, 33])
    size = _size(s, slot, spot, feet(kind), r[:, 3])
    centre, apart = _centre(s, slot, spot, feet(kind) * size, size, r[:, 4:28], others)
    mirrored = (r[:, 30] < 0.5) & (kind != NAMES.index("letter"))
    reach = torch.tensor([k.swing for k in KINDS.values()], device=kind.device)[kind]
    return Things(
        present=apart >= APART,
        kind=kind,
        spot=spot,
        centre=centre,
        size=size,
        angle=_angle(kind, spot, r[:, 28:30]),
        mirror=torch.where(mirrored, -1.0, 1.0),
        swing=(r[:, 31] * 2 - 1) * reach * 0.4,
        chance=uniforms(s.seed, 20 + slot, 16),
        colours=_colours(s.place, kind, r[:, 36:53]),
        texture=choose(r[:, 32], len(TEXTURES)),
        after=identity(centre),
    )


def _size(s: Scenes, slot: int, spot: Tensor, foot: Tensor, chance: Tensor) -> Tensor:
    """Draws sizes in pixels; no larger than what finds room between the upper border and its lowest place."""
    _, lowest = heights(s, spot, torch.zeros_like(foot))
    return torch.minimum(lerp(chance, *SIZES[slot]), (lowest - RIM) / (REACH + foot) * ROOMY)


def _centre(
    s: Scenes, slot: int, spot: Tensor, foot: Tensor, size: Tensor, chance: Tensor, others: tuple[Things, ...]
) -> tuple[Tensor, Tensor]:
    """Draws the middles (B, 2), of several tries the farthest from the others; how far that is (B,)."""
    k = chance.view(len(s), TRIES, 2)
    edge = margin(size, s.size)[:, None]
    x = edge + k[:, :, 0] * (s.size - 1 - 2 * edge)
    high, low = (v[:, None] for v in heights(s, spot, foot))
    standing = ((spot == GROUND) | (spot == WATER))[:, None]
    depth = torch.where(standing, lerp(k[:, :, 1], *NEAR[slot]), k[:, :, 1])
    low = torch.maximum(low, edge)
    high = torch.where(standing, high, edge)
    y = torch.maximum(high + (low - high) * depth, edge)
    candidates = torch.stack([x, y], 2)
    apart = torch.full_like(x, 9.0)
    for other in others:
        away = (candidates - other.centre[:, None]).norm(dim=2) / (size + other.size)[:, None]
        apart = torch.where(other.present[:, None], torch.minimum(apart, away), apart)
    best = apart.argmax(1)
    rows = torch.arange(len(s), device=best.device)
    return candidates[rows, best], apart[rows, best]


def _angle(kind: Tensor, spot: Tensor, chance: Tensor) -> Tensor:
    """Draws turns, in rad: little for what stands, any for what lies and has no side that is up."""
    any_turn = torch.tensor([k.any_turn for k in KINDS.values()], device=kind.device)[kind]
    most = torch.tensor(TILT, device=kind.device)[spot]
    flat = any_turn & (spot == FLAT)
    most = torch.where(flat, torch.where(chance[:, 0] < 0.4, math.pi, 0.4), most)
    return (chance[:, 1] * 2 - 1) * most


def _colours(place: Tensor, kind: Tensor, chance: Tensor) -> Tensor:
    """Draws main, accent, dark and light (B, 4, 3); main stands out best of three from the place's tone."""
    rules = torch.tensor([k.colour for k in KINDS.values()], device=kind.device)[kind]
    low, high = rules.unbind(2)
    tries = [low + (high - low) * chance[:, 3 * i : 3 * i + 3] for i in range(3)]
    paints = torch.stack([hsv(t[:, 0] % 1, t[:, 1], t[:, 2]) for t in tries], 1)
    tone = torch.tensor([p.tone for p in ROWS], device=place.device)[place]
    best = (paints - tone[:, None]).abs().sum(2).argmax(1)
    rows = torch.arange(len(kind), device=kind.device)
    main, hue, k = paints[rows, best], torch.stack(tries, 1)[rows, best, 0], chance
    accent = hsv((hue + lerp(k[:, 9], 0.08, 0.6)) % 1, lerp(k[:, 10], 0.45, 0.85), lerp(k[:, 11], 0.6, 0.95))
    dark = hsv((hue + 0.05) % 1, lerp(k[:, 12], 0.3, 0.6), lerp(k[:, 13], 0.16, 0.34))
    pale = hsv((hue + 0.05 * (k[:, 14] - 0.5)) % 1, lerp(k[:, 15], 0.05, 0.22), lerp(k[:, 16], 0.88, 0.98))
    return torch.stack([main, accent, dark, pale], 1)

"""What is done to the things on top: they move, turn, are scaled, or their part swings about its joint."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...types import DragError
from .affine import about, compose, shifting, turning
from .belonging import APART, feet, heights, margin
from .joints import far_end, joint_of
from .layers import Layer, on_picture
from .scene import SIZE, Scenes
from .seeded import choose, lerp, uniforms
from .spots import GROUND, WATER
from .things.table import KINDS, NAMES

EDITS = ("move", "turn", "scale", "part")
STEPS = 24  # tries of a move
SHORTEST, LONGEST = 44, 88  # px of 256: how far one goes
NEAR = 0.25  # of the way from the horizon to the lower border: what stands or floats is not moved farther off
BACK = 0.3  # of a step across: how far one goes up and down the picture on ground and water


@dataclass(frozen=True)
class Motions:
    """One motion a scene, in float64.

    `shift` (B, 2), then `angle` (B,) and `scale` (B, 2) about `anchor` (B, 2); `matrix` (B, 2, 3) says the
    same: pixels of the thing or part to their new place. `swing` (B,): the turn of the part in the thing's
    own sense; `handle` (B, 2): a point of the thing that shows the motion; `fits` (B,): whether it stays
    where it belongs, and shows.
    """

    shift: Tensor
    angle: Tensor
    scale: Tensor
    anchor: Tensor
    matrix: Tensor
    swing: Tensor
    handle: Tensor
    fits: Tensor


def _stands(s: Scenes) -> Tensor:
    """Whether the thing on top stands or floats, (B,)."""
    return (s.top.spot == GROUND) | (s.top.spot == WATER)


def _still(s: Scenes) -> Motions:
    centre = s.top.centre.double()
    zero, none, one = torch.zeros_like(centre[:, 0]), torch.zeros_like(centre), torch.ones_like(centre)
    swing = torch.zeros_like(s.top.swing)
    return Motions(none, zero, one, centre, shifting(none), swing, centre, s.top.present)


def _move(s: Scenes, chance: Tensor) -> Motions:
    """Draws several steps, and takes the one that ends farthest from the other things."""
    t, unit = s.top, s.size / SIZE
    k = chance[:, : 2 * STEPS].view(len(s), STEPS, 2)
    length, way = lerp(k[:, :, 0], SHORTEST, LONGEST) * unit, k[:, :, 1] * 2 * math.pi
    high, low = _heights(s)
    flat = torch.minimum((low - high) / (LONGEST * unit), torch.where(_stands(s), BACK, 1.0))
    step = torch.stack([length * way.cos(), length * way.sin() * flat[:, None]], 2)
    step = (step * (length / step.norm(dim=2).clamp_min(1e-6))[:, :, None]).round()
    there = t.centre[:, None] + step
    room = _room(s, there)
    apart = torch.full_like(room, 1.2)
    for other in s.things[:-1]:
        away = (there - other.centre[:, None]).norm(dim=2) / (t.size + other.size)[:, None]
        apart = torch.where(other.present[:, None], torch.minimum(apart, away), apart)
    best = torch.where(room >= 0, apart + 0.01 * k[:, :, 0], room - 1e3).argmax(1)
    rows = torch.arange(len(s), device=best.device)
    shift = step[rows, best].double()
    fits = t.present & (room[rows, best] >= 0) & (apart[rows, best] >= APART)
    return replace(_still(s), shift=shift, matrix=shifting(shift), fits=fits)


def _heights(s: Scenes) -> tuple[Tensor, Tensor]:
    """Returns the highest and the lowest place (B,) to which the middle of the thing on top may move."""
    t = s.top
    high, low = heights(s, t.spot, feet(t.kind) * t.size)
    high, edge = high + (low - high) * torch.where(_stands(s), NEAR, 0.0), margin(t.size, s.size)
    return torch.maximum(high, edge), torch.maximum(low, edge)


def _room(s: Scenes, there: Tensor) -> Tensor:
    """Returns how far places (B, K, 2) of the middle are inside of where things belong; < 0: outside."""
    edge = margin(s.top.size, s.size)[:, None]
    high, low = (v[:, None] for v in _heights(s))
    x, y = there.unbind(2)
    return torch.stack([x - edge, s.size - 1 - edge - x, y - high + 0.5, low - y + 0.5]).amin(0)


def _turn(s: Scenes, chance: Tensor) -> Motions:
    t = s.top
    most = torch.where(_stands(s), 0.8, 1.2)  # rad: what stands leans, and does not fall over
    angle = ((0.4 + (most - 0.4) * chance[:, 0]) * torch.sign(chance[:, 1] - 0.5)).double()
    way = chance[:, 2] * 2 * math.pi
    handle = t.centre + 0.6 * t.size[:, None] * torch.stack([way.cos(), way.sin()], 1)
    fits = t.present & (t.kind != NAMES.index("ball"))
    matrix = about(t.centre, turning(angle))
    return replace(_still(s), angle=angle, matrix=matrix, handle=handle.double(), fits=fits)


def _scale(s: Scenes, chance: Tensor, here: Layer) -> Motions:
    """Scales one side or both; what stands or floats keeps its foot, all else its middle."""
    t = s.top
    factor = torch.where(chance[:, 0] < 0.7, lerp(chance[:, 1], 1.3, 1.5), lerp(chance[:, 1], 0.65, 0.78))
    sides, one = choose(chance[:, 2], 3), torch.ones_like(factor)
    scale = torch.stack([torch.where(sides == 1, one, factor), torch.where(sides == 2, one, factor)], 1)
    standing = _stands(s)
    foot = torch.stack([t.centre[:, 0], here.lowest.float()], 1)
    anchor = torch.where(standing[:, None], foot, t.centre).double()
    matrix = about(anchor, torch.diag_embed(scale.double()))
    stretched = (scale != 1).float() * torch.tensor([1.0, -1.0], device=scale.device)
    handle = (t.centre + 0.6 * t.size[:, None] * stretched).double()
    return replace(_still(s), scale=scale.double(), anchor=anchor, matrix=matrix, handle=handle)


def _part(s: Scenes, chance: Tensor, here: Layer) -> Motions:
    """Swings the part to the other side of where it hangs."""
    t = s.top
    most = torch.tensor([k.swing for k in KINDS.values()], device=t.kind.device)[t.kind]
    swing = -torch.sign(t.swing + 1e-9) * most * lerp(chance[:, 0], 0.9, 1.4)
    anchor, angle = joint_of(s), (swing * t.mirror).double()
    handle = far_end(on_picture(here, (here.part > 0.5).float()), anchor)
    matrix, fits = about(anchor, turning(angle)), t.present & (most > 0)
    return replace(
        _still(s), angle=angle, anchor=anchor, matrix=matrix, swing=swing, handle=handle, fits=fits
    )


def motions(s: Scenes, edit: str, here: Layer) -> Motions:
    """Draws the motions of an edit; `here`: the things on top as they are."""
    if edit not in EDITS:
        raise DragError(f"unknown edit {edit!r} of lit scenes: use {', '.join(EDITS)}")
    chance = uniforms(s.seed, 100 + EDITS.index(edit), 64)
    if edit == "move":
        return _move(s, chance)
    if edit == "turn":
        return _turn(s, chance)
    return _scale(s, chance, here) if edit == "scale" else _part(s, chance, here)


def edited(s: Scenes, edit: str, m: Motions) -> Scenes:
    """Returns the scenes after the motions."""
    t = s.top
    if edit == "part":
        return s.with_top(replace(t, swing=t.swing + m.swing))
    return s.with_top(replace(t, after=compose(m.matrix, t.after)))

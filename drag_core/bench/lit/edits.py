"""What is done to the thing on top: it moves, turns, is scaled, or its part swings."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .affine import about, carried, compose, turning
from .joints import joint_of
from .scene import CAST, SIZE, Scenes
from .seeded import choose, lerp, uniforms
from .things.table import KINDS, NAMES

EDITS = ("move", "turn", "scale", "part")


@dataclass(frozen=True)
class Motions:
    """One motion a scene: `shift` (B, 2), `angle` (B,) and `scale` (B, 2) about `anchor` (B, 2).

    `matrix` (B, 2, 3) says the same: pixels of the thing or part to their new place. `swing`: the turn of the
    part in the thing's own sense; `handle` (B, 2): a point of the thing that shows the motion; `fits`: whether
    the motion stays in the picture and can be seen.
    """

    shift: Tensor
    angle: Tensor
    scale: Tensor
    anchor: Tensor
    matrix: Tensor
    swing: Tensor
    handle: Tensor
    fits: Tensor


def _still(s: Scenes) -> Motions:
    t = s.top
    zero, one = torch.zeros_like(t.size), torch.ones_like(t.size)
    none, same = torch.stack([zero, zero], 1), torch.stack([one, one], 1)
    return Motions(
        none, zero, same, t.centre, about(t.centre, torch.diag_embed(same)), zero, t.centre, t.present
    )


def _move(s: Scenes, chance: Tensor) -> Motions:
    t, n, size, unit = s.top, len(s), s.size, s.size / SIZE
    upright = t.shadow == CAST
    k = chance[:, :48].view(n, 24, 2)
    length, way = lerp(k[:, :, 0], 44, 88) * unit, k[:, :, 1] * 2 * math.pi
    flat = torch.where(upright, 0.3, 1.0)[:, None]
    step = torch.stack([length * way.cos(), length * way.sin() * flat], 2)
    step = (step * (length / step.norm(dim=2).clamp_min(1e-6))[:, :, None]).round()
    there = t.centre[:, None] + step
    room = torch.minimum(there, size - 1 - there).amin(2) - t.size[:, None] * 0.95
    lowest = there[:, :, 1] + t.size[:, None] * 0.9
    room = torch.where(
        upright[:, None], torch.minimum(room, lowest - (s.horizon[:, None] + 0.04) * size), room
    )
    clear = torch.full_like(room, 1.2)
    for other in s.things[:-1]:
        away = (there - other.centre[:, None]).norm(dim=2) / (t.size + other.size)[:, None]
        clear = torch.where(other.present[:, None], torch.minimum(clear, away), clear)
    best = torch.where(room > 0, clear + 0.01 * k[:, :, 0], room - 1e3).argmax(1)
    rows = torch.arange(n, device=s.seed.device)
    shift = step[rows, best]
    matrix = torch.cat([torch.eye(2, device=s.seed.device).expand(n, 2, 2), shift[:, :, None]], 2)
    return replace(_still(s), shift=shift, matrix=matrix, fits=t.present & (room[rows, best] > 0))


def _turn(s: Scenes, chance: Tensor) -> Motions:
    t = s.top
    angle = lerp(chance[:, 0], 0.4, 1.2) * torch.sign(chance[:, 1] - 0.5)
    way = chance[:, 2] * 2 * math.pi
    handle = t.centre + 0.6 * t.size[:, None] * torch.stack([way.cos(), way.sin()], 1)
    fits = t.present & (t.kind != NAMES.index("ball"))
    return replace(_still(s), angle=angle, matrix=about(t.centre, turning(angle)), handle=handle, fits=fits)


def _scale(s: Scenes, chance: Tensor) -> Motions:
    t, size = s.top, s.size
    upright = t.shadow == CAST
    zero, one = torch.zeros_like(t.size), torch.ones_like(t.size)
    factor = torch.where(chance[:, 0] < 0.7, lerp(chance[:, 1], 1.3, 1.5), lerp(chance[:, 1], 0.65, 0.78))
    both = choose(chance[:, 2], 3)
    scale = torch.stack([torch.where(both == 1, one, factor), torch.where(both == 2, one, factor)], 1)
    foot = torch.tensor([k.foot for k in KINDS.values()], device=s.seed.device)[t.kind]
    anchor = torch.where(upright[:, None], t.centre + torch.stack([zero, foot * t.size], 1), t.centre)
    matrix = about(anchor, torch.diag_embed(scale))
    reach = t.size[:, None] * scale.amax(1, keepdim=True).clamp_min(1)
    middle = carried(matrix, t.centre)
    fits = t.present & (torch.minimum(middle - reach, size - 1 - middle - reach) > -4 * size / SIZE).all(1)
    stretched = (scale != 1).float() * torch.tensor([1.0, -1.0], device=s.seed.device)
    handle = t.centre + 0.6 * t.size[:, None] * stretched
    return replace(_still(s), scale=scale, anchor=anchor, matrix=matrix, handle=handle, fits=fits)


def _part(s: Scenes, chance: Tensor) -> Motions:
    t = s.top
    most = torch.tensor([k.swing for k in KINDS.values()], device=s.seed.device)[t.kind]
    swing = -torch.sign(t.swing + 1e-9) * most * lerp(chance[:, 0], 0.9, 1.4)
    anchor = joint_of(s)
    angle = swing * t.mirror
    matrix = about(anchor, turning(angle))
    return replace(
        _still(s), angle=angle, anchor=anchor, matrix=matrix, swing=swing, fits=t.present & (most > 0)
    )


def motions(s: Scenes, edit: str) -> Motions:
    chance = uniforms(s.seed, 100 + EDITS.index(edit), 64)
    return {"move": _move, "turn": _turn, "scale": _scale, "part": _part}[edit](s, chance)


def edited(s: Scenes, edit: str, m: Motions) -> Scenes:
    """Returns the scenes after the motions."""
    t = s.top
    if edit == "part":
        return s.with_top(replace(t, swing=t.swing + m.swing))
    return s.with_top(replace(t, after=compose(m.matrix, t.after)))

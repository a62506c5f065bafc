"""The shadow of a marked thing: found in the picture, so that it goes with the thing.

Two models of a shadow are fitted to the picture: dropped on what is right behind (the outline moved a little)
and cast on the ground (the outline laid down from its lowest row on). A candidate counts by how much darker
the picture is in it than just beside it, in all colours alike: texture averages out, a shadow does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..types import Task
from .geometry import warp
from .masks import grow, union

WORKING = 128  # px of the longer side that candidates are compared at
DARKER = 0.07  # a shadow darkens by this share at least
ALIKE = 0.6  # the least darkened colour's share of the most darkened one's
SURE = 4.0  # standard errors that the darkening must be above 0, texture taken for noise
ALIKE_PIXELS = 9  # neighbours in a texture that say as much as one
LARGEST = 0.6  # of the thing's area: a shadow beside it is no larger
RIM = 3  # px of 256 that a shadow's soft edge is wider than its half


def with_shadow(task: Task, image: Tensor, *, widen: bool = True) -> tuple[Task, tuple[str, ...]]:
    """Adds the regions' shadow in `image` (3, H, W) to what leaves with them, and says what was found.

    widen: it may change then, too. False: what may change was painted by hand; the shadow beyond stays.
    """
    if not task.regions:
        return task, ("no shadow: points alone mark no thing that could have one",)
    found = [shadow_of(image, r.mask) for r in task.regions]
    shadow = torch.stack(found).amax(0) * (1 - union(task.regions))
    if not shadow.any():
        return task, ("no shadow found: only what is marked leaves its place",)
    editable = task.editable
    if editable is not None and widen:
        editable = torch.maximum(editable, grow(shadow, RIM))
    whole = int(shadow.sum())
    if editable is not None:
        shadow = shadow * editable
    leaving = int(shadow.sum())
    if not leaving:
        return task, (f"a shadow of {whole} px stays: it is outside what may change; paint over it, too",)
    note = f"a shadow found: {leaving} px leave with what is marked"
    if leaving < whole:
        note += f", {whole - leaving} px stay, outside what may change"
    return replace(task, shadow=shadow, editable=editable), (note,)


def shadow_of(image: Tensor, mask: Tensor) -> Tensor:
    """Finds the shadow of the thing in `mask` (H, W) on a picture (3, H, W) in [0, 1].

    Returns (H, W) in {0, 1}, without the thing itself; all 0 where no shadow is found.
    """
    scale = min(1.0, WORKING / max(mask.shape))
    small = [max(8, round(n * scale)) for n in mask.shape]
    picture = F.interpolate(image[None], small, mode="area")[0].clamp_min(0.02).log()
    thing = (F.interpolate(mask[None, None].float(), small, mode="area")[0, 0] > 0.5).float()
    if not thing.any():
        return torch.zeros_like(mask)
    best, shadow = 0.0, torch.zeros_like(thing)
    for matrix in _candidates(thing):
        cover = (warp(thing[None, None], matrix, padding="zeros")[0, 0] > 0.5).float()
        if (score := _score(picture, thing, cover)) > best:
            best, shadow = score, cover
    wide = F.interpolate(shadow[None, None], mask.shape, mode="bilinear", align_corners=False)[0, 0]
    return (grow((wide > 0.5).float(), round(RIM * max(mask.shape) / 256)) * (1 - mask) > 0.5).float()


def _candidates(thing: Tensor) -> Iterator[Tensor]:
    """Lists where the outline's pixels may fall, as matrices (3, 3)."""
    y, x = torch.nonzero(thing > 0.5, as_tuple=True)
    size = math.sqrt(len(y))
    foot = float(y.max())
    for part in (0.06, 0.1, 0.15):
        for k in range(16):
            way = k * math.pi / 8
            matrix = torch.eye(3, dtype=torch.float64)
            matrix[0, 2], matrix[1, 2] = part * size * math.cos(way), part * size * math.sin(way)
            yield matrix
    for lie in (0.2, 0.3, 0.4, 0.55):
        for lean in (-1.6, -1.2, -0.8, -0.4, 0.4, 0.8, 1.2, 1.6):
            # a pixel h above the foot falls to lie·h above it, lean·lie·h aside
            matrix = torch.eye(3, dtype=torch.float64)
            matrix[0, 1], matrix[0, 2] = -lean, lean * foot
            matrix[1, 1], matrix[1, 2] = lie, foot * (1 - lie)
            yield matrix


def _score(picture: Tensor, thing: Tensor, cover: Tensor) -> float:
    """Scores a candidate by its darkening times the root of its area; 0 where it is no shadow."""
    if float((cover * (1 - thing)).sum()) > LARGEST * float(thing.sum()):
        return 0.0
    clear = 1 - grow(thing, 1)
    inside = cover * clear
    beside = (grow(cover, 4) - grow(cover, 1)).clamp_min(0) * clear
    n, m = float(inside.sum()), float(beside.sum())
    if n < 12 or m < 12:
        return 0.0
    here, there = (picture * inside).sum((1, 2)) / n, (picture * beside).sum((1, 2)) / m
    darker = there - here
    least, most = float(darker.min()), float(darker.max())
    if least < DARKER or least < ALIKE * most:
        return 0.0
    grey = picture.mean(0)
    spread = float((((grey - there.mean()) ** 2 * beside).sum() / m).sqrt())
    if float(darker.mean()) < SURE * spread * math.sqrt(ALIKE_PIXELS * (1 / n + 1 / m)):
        return 0.0
    return float(darker.mean()) * math.sqrt(n)

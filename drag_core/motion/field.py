"""A smooth motion that carries several points at once: for what bends, where a region's one motion won't do.

Moving least squares (Schaefer, McPhail, Warren: Image Deformation Using Moving Least Squares, SIGGRAPH 2006):
every place gets the motion that fits all the points best, those near it counted most. In the plane its rigid
form (eq. 8 and following) is one complex number a place, of length 1; its similarity form (eq. 6) the same
number before it is made so. On lit scenes whose points alone carry what may change, by their distance to the
fourth (POWER 2) rather than the second: +0.90 [+0.57, +1.28] dB; the similarity form is no better than the
rigid one: -0.04 [-0.09, +0.00] (`python -m benchmarks.warps`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..ranges import check_mode
from ..types import Grid, Handle, Region, Task
from .geometry import apply, motion_matrix

Form = Literal["rigid", "similarity"]
POWER = 2.0  # of 1/distance², by which a point counts at a place
HELD = 64  # points at most that hold a border
NODES = 384  # along the picture's longer side, that the field is computed at; between them it is linear
AGREE = 0.5  # px within which points say what the region's own motion says
CHUNK = 1 << 20  # values of a (places, points) table


def carried(
    at: Tensor, starts: Tensor, targets: Tensor, *, form: Form = "rigid", power: float = POWER
) -> Tensor:
    """Carries the places `at` (P, 2) by the field that takes `starts` (N, 2) to `targets` (N, 2); float64.

    One point carries everything by its shift; two that keep their distance by the rigid motion of both.
    """
    check_mode("form", form, Form)
    v, p, q = (torch.view_as_complex(x.double().contiguous()) for x in (at, starts, targets))
    rows = max(1, CHUNK // len(p))
    parts = [_fitted(part, p, q, form, power) for part in v.split(rows)]
    return torch.view_as_real(torch.cat(parts)) if parts else at.double()


def _fitted(v: Tensor, p: Tensor, q: Tensor, form: Form, power: float) -> Tensor:
    away = (v[:, None] - p).abs().square()
    # a share of the nearest one's: no power of a distance leaves float64's range
    near = away.amin(1, keepdim=True).clamp_min(1e-12)
    w = (near / away.clamp_min(1e-12)) ** power
    w = w / w.sum(1, keepdim=True)
    here, there = (w * p).sum(1), (w * q).sum(1)
    before, after = p - here[:, None], q - there[:, None]
    turn = (w * before.conj() * after).sum(1)
    size = turn.abs() if form == "rigid" else (w * before.abs().square()).sum(1)
    known = size > 1e-18  # one point alone, or all in one place: nothing says how to turn
    turn = torch.where(known, turn / torch.where(known, size, 1.0), torch.ones_like(turn))
    return there + turn * (v - here)


def origins(starts: Tensor, targets: Tensor, size: Grid, **form: object) -> Tensor:
    """Computes for every pixel the (x, y) pixel that it comes from, (H, W, 2) float64: the field inverted.

    The field is solved from targets to starts, so that a target's pixel comes from its start exactly (large
    pictures: to a small part of a pixel).
    """
    step = max(1, -(-max(size.height, size.width) // NODES))
    rows, columns = (-(-(n - 1) // step) + 1 for n in (size.height, size.width))
    y, x = torch.meshgrid(
        step * torch.arange(rows, dtype=torch.float64),
        step * torch.arange(columns, dtype=torch.float64),
        indexing="ij",
    )
    nodes = carried(torch.stack([x, y], -1).reshape(-1, 2), targets, starts, **form)  # type: ignore[arg-type]
    field = nodes.reshape(rows, columns, 2)
    if step == 1:
        return field
    fine = ((rows - 1) * step + 1, (columns - 1) * step + 1)
    between = F.interpolate(field.movedim(-1, 0)[None], fine, mode="bilinear", align_corners=True)[0]
    return between[:, : size.height, : size.width].movedim(0, -1)


def folded(field: Tensor, where: Tensor) -> int:
    """Counts the cells of `where` (H, W) at which `field` (H, W, 2) folds: its Jacobian is not positive."""
    right, down = field[:-1, 1:] - field[:-1, :-1], field[1:, :-1] - field[:-1, :-1]
    area = right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0]
    return int(((area <= 0) & (where[:-1, :-1] > 0.5)).sum())


def points_of(handles: Sequence[Handle], held: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Returns starts and targets, (N, 2) float64 each; `held` (M, 2) stay where they are."""
    starts = torch.tensor([h.start for h in handles], dtype=torch.float64)
    targets = torch.tensor([h.target for h in handles], dtype=torch.float64)
    return (starts, targets) if held is None else (torch.cat([starts, held]), torch.cat([targets, held]))


def held_border(domain: Tensor, editable: Tensor | None, most: int = HELD) -> Tensor:
    """Lists pixels (M, 2), (x, y), evenly along where `domain` touches what may not change; at most `most`.

    The picture's own border holds nothing.
    """
    if editable is None:
        return torch.zeros(0, 2, dtype=torch.float64)
    fixed = np.pad((editable <= 0.5).cpu().numpy().astype(np.uint8), 1)
    beside = cv2.dilate(fixed, np.ones((3, 3), np.uint8))[1:-1, 1:-1]
    inside = (domain > 0.5).cpu().numpy().astype(np.uint8)
    lines = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
    found = [p for line in lines for p in line[:, 0] if beside[p[1], p[0]]]
    kept = [found[int(k * len(found) / most)] for k in range(most)] if len(found) > most else found
    return torch.tensor(np.array(kept, np.float64).reshape(-1, 2))


def on_regions(task: Task) -> list[tuple[Handle, ...]]:
    """Lists for every region the handles on it: those made for its pixels, and those that start on it.

    Where regions overlap the last one has the point, as it lies on top.
    """
    found: list[list[Handle]] = [[] for _ in task.regions]
    for h in task.handles:
        mask = h.region
        if mask is None or not any(_same(mask, r.mask) for r in task.regions):
            there = [r.mask for r in task.regions if _set(r.mask, h)]
            mask = there[-1] if there else None
        for handles, r in zip(found, task.regions, strict=True):
            if mask is not None and _same(mask, r.mask):
                handles.append(h)
    return [tuple(x) for x in found]


def bends(region: Region, handles: Sequence[Handle]) -> bool:
    """Says whether several handles on a region ask for something else than its own motion."""
    matrix = motion_matrix(region.motion)
    gone = [(apply(matrix, h.start), h.target) for h in handles]
    return len(handles) > 1 and any(max(abs(a - x), abs(b - y)) > AGREE for (a, b), (x, y) in gone)


def _same(a: Tensor, b: Tensor) -> bool:
    return a is b or torch.equal(a.to(b), b)


def _set(mask: Tensor, handle: Handle) -> bool:
    x, y = (int(v + 0.5) for v in handle.start)
    return 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and bool(mask[y, x] > 0.5)

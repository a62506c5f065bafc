"""The draft: the picture of a drag's result as pixels alone can make it, before any model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..motion.field import POWER, Form, bends, carried, folded, held_border, on_regions, origins, points_of
from ..motion.geometry import apply, motion_matrix, sample, sampling_grid
from ..motion.masks import BEYOND, centroid, grow, leaving
from ..types import DragError, Grid, Handle, Point, Region, Task
from .cast import cast, darkening, moved_by, shares
from .inpaint import membrane, painted_over, pasted

UNLIKE = 1.5 / 255  # of colours of 0 to 1: what differs by less was only stored and read again


@dataclass(frozen=True)
class Draft:
    """What pixels can show of a drag's result.

    picture: (3, H, W) in [0, 1].
    hole: (H, W) in {0, 1}, what was filled and not seen; in a draft of the user's own, what changes.
    notes: sentences for the user.
    there: (H, W) in {0, 1}, where the regions arrive, bent or not; None where that is not known.
    """

    picture: Tensor
    hole: Tensor
    notes: tuple[str, ...] = ()
    there: Tensor | None = None


@dataclass(frozen=True)
class Field:
    """By what a bent thing is carried: its points, and what smooth motion they are joined to."""

    form: Form = "rigid"
    power: float = POWER


def draft_of(
    image: Tensor,
    task: Task,
    *,
    shadows: bool = True,
    field: Field = Field(),
    filled: Tensor | None = None,
) -> Draft:
    """Makes the draft of a drag on `image` (3, H, W) in [0, 1].

    Regions are cut out, moved to the end of their way and pasted in their order, later over earlier, on the
    picture with what they leave painted over. Where several points on a region ask for something else than
    its motion, a smooth field carries it by them (motion/field.py); without regions the points carry what may
    change. Only there is the editable mask kept to; it does not cut a region.
    shadows: the task's known shadow is put at the target, else it only leaves: on 24 lit scenes, 8 of which
    have one that is found, that is +0.69 [+0.15, +1.33] dB of what may change, on those 8 +2.07
    [+0.75, +3.40] (`python -m benchmarks.warps`).
    filled: the picture with what the regions leave painted over, where it is there already.
    Raises DragError where the picture is not the task's.
    """
    check_size(image, task)
    if not task.regions:
        return _carried(image, task, field) if task.handles else Draft(image, torch.zeros_like(image[0]))
    left = leaving(task)
    filled = painted_over(image, left) if filled is None else filled
    out, there, notes = filled, torch.zeros_like(left), list(_stray(task))
    parts = shares(task) if shadows and task.shadow is not None else []
    for k, (region, handles) in enumerate(zip(task.regions, on_regions(task), strict=True)):
        centre = centroid(region.mask)
        bent = bends(region, handles)
        if bent:
            points, goal = _bent(region, handles, task, centre, field)
        else:
            matrix = motion_matrix(region.motion)
            points, goal = sampling_grid(matrix, task.image), apply(matrix, centre)
        arrives = sample(region.mask[None, None].float(), points, mode="nearest", padding="zeros")[0]
        if bent:
            name = f"region {k + 1}" if len(task.regions) > 1 else "the region"
            notes += [f"{name} is bent by its {len(handles)} points in the draft, not moved as one"]
            notes += _folds(points, arrives, f"points of {name}")
        if parts and parts[k].any():
            darker = darkening(image, filled, region.mask, parts[k])
            out = cast(out, darker, moved_by(region, centre, goal))
        out = pasted(out, image, region.mask, points)
        there = torch.maximum(there, (arrives > 0.5).to(there))
    return Draft(out, grow(left, BEYOND) * (1 - there), tuple(notes), there)


def check_size(image: Tensor, task: Task) -> None:
    """Raises DragError where `image` (3, H, W) is not of the task's size."""
    if image.ndim != 3 or Grid(*image.shape[-2:]) != task.image:
        raise DragError(
            f"the picture has shape {tuple(image.shape)} and the drag is drawn on one of "
            f"{task.image.width}x{task.image.height}: give the picture that it was drawn on, (3, H, W)"
        )


def _bent(
    region: Region, handles: tuple[Handle, ...], task: Task, centre: Point, field: Field
) -> tuple[Tensor, Point]:
    """Computes where every pixel of a bent region comes from, and where its middle goes."""
    starts, targets = points_of(handles, held_border(region.mask, task.editable))
    points = origins(starts, targets, task.image, form=field.form, power=field.power)
    middle = torch.tensor([centre], dtype=torch.float64)
    (x, y) = carried(middle, starts, targets, form=field.form, power=field.power)[0].tolist()
    return points, (x, y)


def _carried(image: Tensor, task: Task, field: Field) -> Draft:
    """Carries what may change by the points alone; what comes from beyond the picture is filled."""
    domain = torch.ones_like(image[0]) if task.editable is None else (task.editable > 0.5).to(image)
    starts, targets = points_of(task.handles, held_border(domain, task.editable))
    points = origins(starts, targets, task.image, form=field.form, power=field.power)
    last = torch.tensor([task.image.width, task.image.height], dtype=points.dtype) - 0.5
    seen = ((points >= -0.5) & (points <= last)).all(-1).to(image)
    hole = domain * (1 - seen)
    moved = sample(image[None], points, padding="border")
    out = torch.where(domain > 0.5, moved, image)
    return Draft(membrane(out, hole), hole, tuple(_folds(points, domain, "points")))


def _folds(points: Tensor, where: Tensor, whose: str) -> list[str]:
    """Says where a field is folded over."""
    if not (count := folded(points, where)):
        return []
    return [
        f"the {whose} cross or lie too close for their ways: the draft is folded over in {count} px; let "
        "neighbours go the same way, or hold less beside them"
    ]


def _stray(task: Task) -> tuple[str, ...]:
    """Says which points that move lie on no region."""
    on = {id(h) for handles in on_regions(task) for h in handles}
    lost = [k + 1 for k, h in enumerate(task.handles) if id(h) not in on and h.start != h.target]
    if not lost:
        return ()
    which = f"point {lost[0]} lies" if len(lost) == 1 else f"points {', '.join(map(str, lost))} lie"
    return (f"{which} on no region, and the draft carries regions only: mark what it moves",)


def draft_from(picture: Tensor, image: Tensor, task: Task, *, tolerance: float = UNLIKE) -> Draft:
    """Takes a picture of the user's own, as `picture` (3, H, W), for the draft of a drag on `image`.

    What differs from `image` by more than `tolerance` in a colour is what changes, grown by a thing's soft
    edge; inside it and the editable mask stands `picture`, everywhere else `image`.
    Raises DragError where sizes differ or nothing changes where it may.
    """
    check_size(image, task)
    if picture.shape != image.shape:
        here, given = (f"{x.shape[-1]}x{x.shape[-2]}" for x in (image, picture))
        raise DragError(
            f"the draft is {given} and the picture is {here}: make the draft from this picture, at its size"
        )
    unlike = ((picture - image).abs().amax(0) > tolerance).to(image)
    may = torch.ones_like(unlike) if task.editable is None else (task.editable > 0.5).to(image)
    changed = grow(unlike, BEYOND) * may
    if not (unlike * may).any():
        where = "" if not unlike.any() else " where it may change"
        raise DragError(
            f"the draft is the picture itself{where}: change something in it inside the editable mask"
        )
    lost, whole = float((unlike * (1 - may)).sum()), float(unlike.sum())
    notes: tuple[str, ...] = ()
    if lost > 0:
        notes = (
            f"{lost / whole:.0%} of what the draft changes lies outside the editable mask, where the picture "
            "stays as it is: paint that mask larger",
        )
    return Draft(torch.where(changed > 0.5, picture, image), changed, notes)

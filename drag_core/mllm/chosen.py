"""A drag as one of the candidates means it: its task for the regions, its prompts for the picture.

The same as web/lib/editor/meant.js: tests/golden/intent_vectors.json holds both to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ..errors import DragError
from ..motion.geometry import apply, motion_matrix
from ..motion.instruction import DragInstruction, RegionSpec
from ..motion.masks import centroid
from ..motion.task import motion_of
from ..types import Point
from .intent import Candidate, Intended, Intent

LEAST = 1.0  # px: nearer than this to its centre neither a target nor an anchor says anything


def pick(intent: Intent, number: int) -> Candidate:
    """Returns the candidate of that number, counted from 1; DragError where there is none."""
    if not 1 <= number <= len(intent.candidates):
        raise DragError(
            f"candidate {number} was chosen and the answer holds {len(intent.candidates)}: choose one of them"
        )
    return intent.candidates[number - 1]


def chosen(
    x: DragInstruction, intent: Intent, candidate: Candidate, draw: Callable[[RegionSpec], Tensor]
) -> tuple[DragInstruction, tuple[str, ...]]:
    """Makes the drag that a candidate means (DragFlow D.3), and a note for every region that keeps its task.

    draw: a region's mask (H, W) in {0, 1}. Regions that are scaled stay so: none of the three tasks says it.
    The prompt before becomes the answer's description of the original, if it has one; the prompt after that
    description and the candidate's, as in the ReD benchmark.
    """
    notes: list[str] = []
    regions = []
    for i, spec in enumerate(x.regions):
        other = spec if candidate.task is None else as_task(spec, candidate.task, draw(spec))
        if other is None:
            notes.append(
                f"{spec.label or f'region {i + 1}'} stays a {spec.task}: its motion can't be read as a "
                f"{candidate.task}"
            )
        regions.append(other or spec)
    if candidate.task is None and x.regions:
        notes.append("the candidate names no task: every region keeps its own")
    source = intent.background or x.source_prompt
    target = f"{source} {candidate.prompt}" if source else candidate.prompt
    return replace(x, regions=tuple(regions), source_prompt=source, target_prompt=target), tuple(notes)


def as_task(spec: RegionSpec, task: Intended, mask: Tensor) -> RegionSpec | None:
    """Turns a region's motion into that of another task: the centroid still goes, or points, to its target.

    A turn gets an anchor, see `pivot`, for the user to move. None where the motion does not say the other: a
    turn in place, a way of no length, a scale.
    """
    if spec.task == task:
        return spec
    if spec.task == "scale":
        return None
    centre = centroid(mask)
    if task == "rotation":
        anchor = None if spec.target is None else pivot(mask, spec.target)
        return anchor and replace(spec, task=task, anchor=anchor, angle=None, path=())
    if spec.task != "rotation":
        return replace(spec, task=task)
    if spec.angle is None:
        target = spec.target
    else:
        target = apply(motion_matrix(motion_of(spec, mask)), centre)
    if target is None or math.dist(target, centre) < LEAST:
        return None
    return replace(spec, task=task, target=target, anchor=None, angle=None)


def pivot(mask: Tensor, target: Point) -> Point | None:
    """Guesses the point that a region turns about where its centroid is led to `target`.

    Of the two ends of the mask (H, W) across the way, on the line through its centroid, the lower one on
    screen: what stands or hangs on is mostly held below. Where both lie as low, the farther; then the one on
    the right of the way. None where the way is under a pixel, or the mask as thin.
    """
    cx, cy = centroid(mask)
    dx, dy = target[0] - cx, target[1] - cy
    if (way := math.hypot(dx, dy)) < LEAST:
        return None
    nx, ny = -dy / way, dx / way
    y, x = torch.nonzero(mask > 0.5, as_tuple=True)
    across = (x.double() - cx) * nx + (y.double() - cy) * ny
    right, left = float(across.max()), float(across.min())
    far = (
        left if (left - right) * ny > 1 or (abs((left - right) * ny) <= 1 and -left > right + 1e-6) else right
    )
    return None if abs(far) < LEAST else (cx + far * nx, cy + far * ny)

"""Instructions that can't move anything yet: what they lack, and what of them can be shown."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..types import Grid
from .instruction import DragInstruction, lacks
from .task import draw, fitted, named, reader


def unfinished(x: DragInstruction, inputs: Sequence[Tensor] = ()) -> str | None:
    """Says what the instruction lacks before it can move something, as a clause for the user.

    inputs: masks that are connected beside it.
    None: nothing.
    """
    if not x.regions and not x.points:
        if any(mask.any() for mask in inputs):
            return (
                'nothing moves the connected mask: give the drag a region with "mask": "input 1" and a target'
            )
        return "nothing is marked: mark a part of the picture and drag it, or set a pair of points"
    for i, spec in enumerate(x.regions):
        if what := lacks(spec):
            return f"{spec.label or f'region {i + 1}'} {what}"
    painted = x.painted
    if x.editable == "painted" and not (painted.polygons or painted.strokes or painted.mask):
        return "the editable mask is not painted: paint it, or choose adaptive"
    return None


def shown(
    x: DragInstruction, size: Grid, inputs: Sequence[Tensor] = ()
) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Draws the union of the regions, (H, W) in {0, 1}.

    inputs: masks that the regions name, as in drag_task().
    Also returns what may change as far as that is said, and notes.
    """
    x, notes = fitted(x, size)
    read = reader(named(inputs))
    empty = torch.zeros(size.height, size.width)
    source = torch.stack([empty, *(draw(r.shape, size, read) for r in x.regions)]).amax(0)
    if x.editable == "painted":
        return source, draw(x.painted, size, read), notes
    return source, torch.ones_like(empty) if x.editable == "none" else empty, notes

"""Instructions that can't move anything yet: what they lack, and what of them can be shown."""

from __future__ import annotations

import torch
from torch import Tensor

from ..types import Grid
from .instruction import DragInstruction, lacks
from .task import draw, fitted


def unfinished(x: DragInstruction) -> str | None:
    """Says what the instruction lacks before it can move something, as a clause for the user.

    None: nothing.
    """
    if not x.regions and not x.points:
        return "nothing is marked: mark a part of the picture and drag it, or set a pair of points"
    for i, spec in enumerate(x.regions):
        if what := lacks(spec):
            return f"{spec.label or f'region {i + 1}'} {what}"
    painted = x.painted
    if x.editable == "painted" and not (painted.polygons or painted.strokes or painted.mask):
        return "the editable mask is not painted: paint it, or choose adaptive"
    return None


def shown(x: DragInstruction, size: Grid) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Draws the union of the regions, (H, W) in {0, 1}.

    Also returns what may change as far as that is said, and notes.
    """
    x, notes = fitted(x, size)
    empty = torch.zeros(size.height, size.width)
    source = torch.stack([empty, *(draw(r.shape, size) for r in x.regions)]).amax(0)
    if x.editable == "painted":
        return source, draw(x.painted, size), notes
    return source, torch.ones_like(empty) if x.editable == "none" else empty, notes

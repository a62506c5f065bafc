"""What of a latent a drag redraws, by how much: outside, the moved thing, the hole that it leaves."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..types import DragError, Task
from .masks import BEYOND, TOUCHED, arriving, grow, leaving, on_grid

LEFT = 0.3  # of a latent cell that the thing must have left for the cell to be redrawn
HALF = 0.5  # a thing's strength in a grey mask: it is the draft's for the first half of the noise


def hole(task: Task) -> Tensor:
    """Selects the latent cells that the regions leave, (1, 1, h, w) in {0, 1}; none where one arrives."""
    return hole_cells(_left(task), arriving(task.regions), task)


def hole_cells(left: Tensor, there: Tensor | None, task: Task) -> Tensor:
    """Selects the latent cells of what is left that nothing arriving touches, (1, 1, h, w) in {0, 1}.

    left: (H, W) in {0, 1}, as a draft's hole. there: (H, W) in {0, 1}, where things arrive; None: nowhere.
    """
    cells = marked(left, task)
    return cells if there is None else cells * (1 - on_grid(there, task.latent, TOUCHED))


def core(task: Task) -> Tensor:
    """Selects the latent cells where a region arrives, (1, 1, h, w) in {0, 1}."""
    return on_grid(arriving(task.regions), task.latent, TOUCHED) * editable_cells(task)


def editable_cells(task: Task) -> Tensor:
    """Selects the latent cells that the editable mask touches, (1, 1, h, w) in {0, 1}; all without a mask."""
    if task.editable is None:
        return torch.ones(1, 1, task.latent.height, task.latent.width)
    return on_grid(task.editable, task.latent, TOUCHED)


def marked(mask: Tensor, task: Task) -> Tensor:
    """Selects the latent cells that a mask (H, W) in {0, 1} marks within what may change, (1, 1, h, w)."""
    return on_grid(mask, task.latent, LEFT) * editable_cells(task)


def strength_map(
    task: Task, of_core: float = 0.0, of_rest: float = 0.0, redraw: Tensor | None = None
) -> Tensor:
    """Says how much of the noise each latent cell is redrawn from: 1 in the hole, 0 outside what may change.

    of_core: where the moved regions are; 0 keeps the draft's. of_rest: in the rest of what may change (what
    the drag does not touch: seams). redraw: (1, 1, h, w) in {0, 1}, cells in place of the hole. Returns
    (1, 1, h, w) in [0, 1]. Raises DragError where nothing is marked.
    """
    for name, value in (("the core's strength", of_core), ("the rest's strength", of_rest)):
        if not 0 <= value <= 1:
            raise DragError(f"{name} is {value:g}; it must be within 0 and 1")
    if redraw is None and not task.regions:
        raise DragError("the task marks no region, so that nothing leaves a hole: mark what moves")
    left = hole(task) if redraw is None else redraw
    there = (core(task) if task.regions else torch.zeros_like(left)) * (1 - left)
    rest = editable_cells(task) * (1 - left) * (1 - there)
    return left + of_core * there + of_rest * rest


def grey_mask(task: Task) -> Tensor:
    """Draws strength_map() in pixels, (H, W): 1 in the hole and the rest of what may change, HALF the target.

    For Differential Diffusion. Black where points alone are marked.
    """
    size = (task.image.height, task.image.width)
    if not task.regions:
        return torch.zeros(size)
    return F.interpolate(strength_map(task, HALF, 1.0), size, mode="nearest")[0, 0]


def fill_mask(task: Task) -> Tensor:
    """Marks the pixels for an inpainting model to fill, (H, W) in {0, 1}: the hole and a rim of one cell."""
    if not task.regions:
        return torch.zeros(task.image.height, task.image.width)
    left = grow(_left(task), task.cell)
    return left if task.editable is None else left * task.editable


def _left(task: Task) -> Tensor:
    """Marks the pixels that the regions leave, soft edges too, and none covers again, (H, W) in {0, 1}."""
    return grow(leaving(task), BEYOND) * (1 - arriving(task.regions))

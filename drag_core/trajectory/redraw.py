"""The hole that a thing leaves, redrawn by the model: no gradient, no inversion."""

from __future__ import annotations

import torch
from torch import Tensor

from ..motion.masks import BEYOND, TOUCHED, grow, leaving, moved, on_grid
from ..step import OnStep, Step, quiet
from ..types import Backbone, Prediction, Task
from .schedules import evenly
from .solvers import ddim, euler

STEPS = 4  # 8 gain nothing (24 drags of lit scenes)
LEFT = 0.3  # of a latent cell that the thing must have left for the cell to be redrawn


def hole(task: Task) -> Tensor:
    """Selects the latent cells that the regions leave, (1, 1, h, w) in {0, 1}; none where one arrives."""
    there = torch.stack([moved(r) for r in task.regions]).amax(0)
    left = grow(leaving(task), BEYOND) * (1 - there)
    cells = on_grid(left, task.latent, LEFT) * (1 - on_grid(there, task.latent, TOUCHED))
    return cells if task.editable is None else cells * on_grid(task.editable, task.latent, TOUCHED)


@torch.no_grad()
def redrawn(
    backbone: Backbone,
    draft: Tensor,
    cells: Tensor,
    first: float,
    prediction: Prediction,
    *,
    seed: int = 0,
    on_step: OnStep = quiet,
) -> Tensor:
    """Draws `cells` of a clean latent (1, C, h, w) anew, from noise of the flow's time `first` on.

    At every level the rest is the draft with one and the same noise, so that the cells grow into it; at the
    end it is the draft. cells: (1, 1, h, w) in {0, 1}.
    """
    if not cells.any():
        return draft
    s, step = evenly(first, STEPS, prediction), euler if prediction == "velocity" else ddim
    noise = torch.randn(draft.shape, generator=torch.Generator().manual_seed(seed)).to(draft)
    count, new = len(s.t) - 1, cells.to(draft) > 0.5
    z = s.alpha[0] * draft + s.sigma[0] * noise
    for k in range(count):
        z, _ = step(backbone, z, s, k, k + 1, None, None)
        z = torch.where(new, z, s.alpha[k + 1] * draft + s.sigma[k + 1] * noise)
        on_step(Step(k + 1, count, k + 1, z, stage="redraw"))
    return z

"""The baseline without updates: RegionDrag's copy and paste of latents.

Jingyi Lu, Xinghui Li, Kai Han. RegionDrag: Fast Region-Based Image Editing with Diffusion Models. 2024.
https://arxiv.org/abs/2407.18247
"""

from __future__ import annotations

from functools import partial

import torch

from ..features.supervise import NoSupervision
from ..trajectory.solvers import Solver, ddim
from ..trajectory.start import Paste
from ..types import Schedule, Task
from .common import hard_background, need_regions
from .dragnext import INVERSION
from .recipe import Recipe

LEVELS = 10  # that latents are pasted at


def copy_paste(
    task: Task, schedule: Schedule | None = None, solver: Solver = ddim, levels: int = LEVELS, seed: int = 0
) -> Recipe:
    """Builds the baseline without any update (RegionDrag).

    Latents are moved by A_i(1) at the first `levels` levels, with fresh noise where they were.
    """
    need_regions(task, "copy_paste")
    return Recipe(
        schedule=schedule or INVERSION.schedule("sd", task.latent),
        solver=solver,
        taps=(),
        supervision=NoSupervision(),
        constraint=hard_background(task),
        optimizer=partial(torch.optim.SGD, lr=0.0),
        ramp=(),
        start=own_paste(task, levels, seed),
    )


def own_paste(task: Task, levels: int = LEVELS, seed: int = 0) -> Paste:
    """Makes RegionDrag's start: noisy latents moved at `levels` levels, noise by `seed` where they were."""
    return Paste(task.regions, task.image, levels, seed=seed)

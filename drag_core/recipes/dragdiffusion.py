"""DragDiffusion."""

from __future__ import annotations

from functools import partial

import torch

from ..features.supervise import PointSupervision
from ..trajectory.schedules import ddim as ddim_schedule
from ..trajectory.solvers import ddim
from ..types import Task, Variant
from .common import SD_KV, SD_UP, need_handles, soft_background
from .recipe import Recipe


def dragdiffusion(task: Task, variant: Variant = "ours") -> Recipe:
    """DragDiffusion: drift-prone points, 80 updates at step 35 of 50, tracking after each; Adam 1e-2."""
    need_handles(task, "dragdiffusion")
    return Recipe(
        schedule=ddim_schedule(50, 0.7),
        solver=ddim,
        taps=SD_UP[2:3],
        supervision=PointSupervision(
            task.handles, task.image, task.grid(2), radius=1, search=3, stride=1.0, preserve=False, factor=9.0
        ),
        constraint=soft_background(task, 0.1),
        optimizer=partial(torch.optim.Adam, lr=0.01),
        ramp=((1.0,) * 80,),
        kv_blocks=SD_KV,
        kv_while_dragging=False,
        track_every=1,
    )

"""GoodDrag."""

from __future__ import annotations

from functools import partial

import torch

from ..features.supervise import PointSupervision
from ..trajectory.background import Reconstructed, Stored
from ..trajectory.schedules import ddim as ddim_schedule
from ..trajectory.solvers import ddim
from ..types import Task, Variant
from .common import SD_KV, SD_UP, need_handles, soft_background
from .recipe import Recipe
from .released import Patience


def gooddrag(task: Task, variant: Variant = "ours") -> Recipe:
    """GoodDrag: information-preserving points, AlDD K = 70 in tens per timestep, J = 3 updates before each
    tracking.

    Released: tracks in the features from before the update, ends when ten trackings changed nothing, and
    compares with a picture denoised beside the edit.
    """
    need_handles(task, "gooddrag")
    r1, released = 4, variant == "released"
    supervision = PointSupervision(
        task.handles,
        task.image,
        task.grid(2),
        radius=r1,
        search=12,
        stride=4.0,
        preserve=True,
        factor=float((2 * r1) ** 2 if released else (2 * r1 + 1) ** 2),
    )
    return Recipe(
        schedule=ddim_schedule(50, 0.75),
        solver=ddim,
        taps=SD_UP[3:] if variant == "paper" else SD_UP[2:3],
        supervision=Patience(supervision) if released else supervision,
        constraint=soft_background(task, 0.2),
        optimizer=partial(torch.optim.Adam, lr=0.02),
        ramp=((1.0,) * 30,) * 7,
        kv_blocks=SD_KV,
        kv_while_dragging=False,
        track_every=3,
        background=Reconstructed() if released else Stored(),
        stale_tracking=released,
    )

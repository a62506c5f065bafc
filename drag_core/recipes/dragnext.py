"""DragNeXt."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch

from ..features.supervise import RegionSupervision
from ..trajectory.background import Reconstructed, Stored
from ..trajectory.constrain import SoftBackground
from ..trajectory.schedules import ddim as ddim_schedule
from ..trajectory.solvers import ddim
from ..types import Task, Variant
from .common import SD_KV, SD_UP, linear, need_regions, per_level, soft_background
from .gooddrag import gooddrag
from .recipe import Recipe
from .released import CoarseRegions, CountedBackground
from .released.dragnext import begins


def dragnext(task: Task, variant: Variant = "ours") -> Recipe:
    """DragNeXt's PBSI: K = 10 updates at each of timesteps 38..33, progress (K(T-t)+k)/(K(T-T'+1)); Adam
    2e-2.

    Released: one block's features, five timesteps of which the first three move, whole cells and steps of 2
    degrees, regions times 10, the background once for each region that moves yet; where the task has points,
    GoodDrag's point phase comes first at those three timesteps.
    """
    need_regions(task, "dragnext")
    released = variant == "released"
    ramp = per_level(linear(30, hold=20) if released else linear(60), 10)
    regions = tuple(replace(r, weight=10.0) for r in task.regions) if released else task.regions
    supervision = RegionSupervision(regions, task.image, task.grid(2), mean="region")
    constraint = soft_background(task, 0.2)
    if released and isinstance(constraint, SoftBackground):
        constraint = CountedBackground(
            constraint, tuple(begins(r, task.image, task.grid(2)) for r in regions)
        )
    points = gooddrag(task, variant) if released and task.handles else None
    return Recipe(
        schedule=ddim_schedule(50, 0.75),
        solver=ddim,
        taps=SD_UP[2:3] if released else SD_UP,
        supervision=CoarseRegions(supervision) if released else supervision,
        constraint=constraint,
        optimizer=partial(torch.optim.Adam, lr=0.02),
        ramp=ramp,
        kv_blocks=SD_KV,
        kv_while_dragging=False,
        background=Reconstructed() if released else Stored(),
        first=None if points is None else replace(points, ramp=points.ramp[:3]),
    )

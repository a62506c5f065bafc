"""DragFlow."""

from __future__ import annotations

from functools import partial

import torch

from ..features.supervise import RegionSupervision
from ..trajectory.background import Background, Reconstructed, Stored
from ..trajectory.schedules import flow, flux_shift
from ..trajectory.solvers import fireflow
from ..types import Task, Variant
from .common import FLUX_KV, FLUX_TAPS, hard_background, linear, need_regions
from .recipe import Recipe
from .released import Cleaner, HalfStepAhead, Unpacked


def dragflow(task: Task, variant: Variant = "ours") -> Recipe:
    """DragFlow on FLUX: FireFlow 25 steps, 6 skipped; 50 + 20 updates at the first level; hard background.

    Plain gradient descent at 1000 (then 1200) is tuned for 512 px; the gradient per latent element falls with
    the latent's area, so ours scales the rate by area. Ours also ends the last 20, which repeat the final
    pose, when they no longer lower the loss. Released: K/V of one recorded level cleaner, in single blocks
    the prompt's too; the background half a step ahead while updating, then denoised beside the edit.
    """
    need_regions(task, "dragflow")
    released = variant == "released"
    latent, side = task.latent, (task.image.height + task.image.width) / 2
    part = (4 if side > 1000 else 3 if side > 600 else 2) if released else 4
    backgrounds: dict[Variant, Background] = {
        "ours": Stored(),
        "paper": Reconstructed(),
        "released": HalfStepAhead(),
    }
    regions = RegionSupervision(task.regions, task.image, task.grid(part), mean="map")
    rate = 1000.0 * (latent.height * latent.width / 64**2 if variant == "ours" else 1.0)
    return Recipe(
        schedule=flow(25, skip=6, shift=flux_shift(latent.height * latent.width // 4)),
        solver=fireflow,
        taps=FLUX_TAPS,
        supervision=Unpacked(regions) if released else regions,
        constraint=hard_background(task),
        optimizer=partial(torch.optim.SGD, lr=rate),
        ramp=(linear(50, hold=20, first=0 if variant == "paper" else 1),),
        kv_blocks=FLUX_KV,
        kv_view=Cleaner if released else None,
        kv_text=released,
        background=backgrounds[variant],
        hold_gain=1.0 if released else 1.2,
        settle=0.01 if variant == "ours" else 0.0,
    )

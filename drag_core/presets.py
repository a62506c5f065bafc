"""What the embedded models need: settings of the same recipes, measured for networks of this size, and no new
code path.

Small networks carry less in their features and more in their latents than SD or FLUX do: compare where the
probe (tools/embedded/probe.py) finds the drag, start at four tenths of the steps, spread few updates over
many levels, step by a fixed length, empty the source first, start from a paste.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch.nn.functional as F
from torch import Tensor

from .constrain import FreeBackground, HardBackground
from .descent import NormalisedDescent
from .drag import Recipe, Start
from .masks import discs, moved, on_grid
from .schedules import ddim, flow
from .start import Both, Paste, Refill
from .supervise import RegionSupervision
from .types import FeatureTap, Grid, Schedule, Task, Trajectory


@dataclass(frozen=True)
class Preset:
    """taps, schedule (where the drag starts), levels with updates, updates at each, step length, K/V blocks
    after the drag.

    `geometry` tells the model: the UNet's (channels, multipliers ..., latent channels), FLUX's (width, double
    blocks, single blocks, text width).
    """

    geometry: tuple[int, ...]
    taps: tuple[FeatureTap, ...]
    schedule: Schedule
    levels: int
    updates: int
    step: float
    kv_blocks: tuple[str, ...] = ()


EMBEDDED_SD = Preset(
    geometry=(64, 1, 2, 2, 16),
    taps=(FeatureTap("up.1"),),
    schedule=ddim(50, 0.4),
    levels=12,
    updates=3,
    step=0.012,
)
EMBEDDED_FLUX = Preset(
    geometry=(256, 2, 2, 32),
    taps=(FeatureTap("double.1"), FeatureTap("single.0"), FeatureTap("single.1")),
    schedule=flow(25, skip=16, shift=0.5),
    levels=6,
    updates=4,
    step=0.007,
)
PRESETS = {"embedded-sd": EMBEDDED_SD, "embedded-flux": EMBEDDED_FLUX}


def adapt(
    recipe: Recipe, preset: Preset, task: Task, filled: Trajectory | None = None, warped: Tensor | None = None
) -> Recipe:
    """`recipe` with the settings of `preset`.

    `filled`: the trajectory of the picture with its regions painted over (empties the source); `warped`: the
    clean latent of the picture warped in pixels (where the paste starts).
    """
    out = adapt_shape(recipe, preset, task)
    region = isinstance(out.supervision, RegionSupervision)
    return replace(
        out,
        schedule=preset.schedule,
        optimizer=partial(NormalisedDescent, lr=preset.step),
        ramp=((1.0,) * preset.updates,) * preset.levels if region else recipe.ramp,
        hold_gain=1.0,
        start=starting(task, filled, warped) if region else None,
    )


def adapt_shape(recipe: Recipe, preset: Preset, task: Task) -> Recipe:
    """Only what the model's size asks for: taps, grid, normalisation, masks; steps and rates stay."""
    latent = Grid(task.image.height // task.cell, task.image.width // task.cell)
    editable = None if task.editable is None else on_grid(task.editable, latent, 0.05)
    supervision = recipe.supervision
    if isinstance(supervision, RegionSupervision):
        quarter = Grid(task.image.height // 4, task.image.width // 4)
        supervision = replace(supervision, grid=quarter, mean="region", equal_taps=True, unpack=False)
    return replace(
        recipe,
        taps=preset.taps,
        supervision=supervision,
        constraint=FreeBackground() if editable is None else HardBackground(editable),
        kv_blocks=preset.kv_blocks,
        update_mask=around_targets(task, latent),
    )


def starting(task: Task, filled: Trajectory | None, warped: Tensor | None) -> Start | None:
    """Where a drag starts: the source emptied by the trajectory `filled`, the regions pasted at their
    targets, their clean part from the latent `warped`. Neither given: where the inversion ended.
    """
    if not task.regions or (filled is None and warped is None):
        return None
    paste = Paste(task.regions, task.image, levels=1, fill="keep", split=True, warped=warped)
    if filled is None:
        return paste
    latent = Grid(task.image.height // task.cell, task.image.width // task.cell)
    editable = None if task.editable is None else on_grid(task.editable, latent, 0.05)
    return Both(Refill(filled, editable), paste)


def around_targets(task: Task, size: Grid) -> Tensor | None:
    """(1, 1, h, w): where regions or handles arrive, one cell wider: elsewhere updates leave debris."""
    goals = [moved(r) for r in task.regions]
    if not goals:
        if not task.handles:
            return None
        goals = [discs([h.start, h.target], 32.0, task.image) for h in task.handles]
    union = goals[0]
    for g in goals[1:]:
        union = union.maximum(g)
    return F.max_pool2d(on_grid(union, size, 0.05), 3, 1, 1)

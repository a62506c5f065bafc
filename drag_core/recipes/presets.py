"""What the embedded models need: settings of the same recipes, and no new code path.

The settings were measured for networks of this size. Small networks carry less in their features and more in
their latents than SD or FLUX do: compare where the probe (tools/embedded/probe.py) finds the drag, start at
four tenths of the steps, spread few updates over many levels, step by a fixed length. Regions start from a
draft, so good on these scenes that a step of the size that a paste wants harms it (benchmarks/presets.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ..features.descent import NormalisedDescent
from ..motion.exchange import with_points
from ..motion.masks import TOUCHED, discs, moved, on_grid, union
from ..trajectory.constrain import FreeBackground, HardBackground
from ..trajectory.schedules import ddim, flow
from ..trajectory.start import InOrder, Paste, Refill
from ..types import FeatureTap, Grid, Schedule, Task, Trajectory
from .recipe import Recipe, Start, on_schedule


@dataclass(frozen=True)
class Preset:
    """Settings of one embedded model.

    geometry: tells the model: the UNet's (channels, multipliers ..., latent channels), FLUX's (width, double
        blocks, single blocks, text width).
    taps: where features are compared.
    schedule: noise levels, from where the drag starts.
    inversion: (steps, strength) that Drag Invert makes them with.
    levels: how many have updates.
    updates: how many at each level.
    step: length of a step.
    kv_blocks: whose K/V of a draft are injected, if a recipe looks at a draft's; the picture's hold things
        where they were (8.8 dB lost) and are left alone.
    points: settings of a drag by points.
    redraw: the flow's time from which a draft's hole is drawn anew (`python -m benchmarks.fills`).
    side: of the pictures that it was trained on, in pixels.
    """

    geometry: tuple[int, ...]
    taps: tuple[FeatureTap, ...]
    schedule: Schedule
    inversion: tuple[int, float]
    levels: int
    updates: int
    step: float
    kv_blocks: tuple[str, ...] = ()
    points: PointPreset | None = None
    redraw: float = 0.4
    side: int = 256
    share: float = TOUCHED  # of a latent cell under the editable mask; half would leave rims on 32x32 cells


@dataclass(frozen=True)
class PointPreset:
    """Settings of one embedded model for points.

    step: length of a step.
    updates: how many at each level.
    radius: of a patch, in cells of half the picture.
    patches: how many super-pixels, of about that size.
    samples: how many of a region's outline join its handles, since one patch does not move a whole thing.
    most: updates at most, where all are at one level.
    """

    step: float
    updates: int
    radius: int
    patches: int
    samples: int
    most: int


EMBEDDED_SD = Preset(
    geometry=(64, 1, 2, 2, 16),
    taps=(FeatureTap("up.1"),),
    schedule=ddim(50, 0.4),
    inversion=(50, 0.4),
    levels=12,
    updates=3,
    step=0.00075,
    points=PointPreset(step=0.08, updates=6, radius=10, patches=40, samples=8, most=120),
)
EMBEDDED_FLUX = Preset(
    geometry=(256, 2, 2, 32),
    taps=(FeatureTap("double.1"), FeatureTap("single.0"), FeatureTap("single.1")),
    schedule=flow(25, skip=16, shift=0.5),
    inversion=(25, 0.36),
    levels=6,
    updates=4,
    step=0.00075,
    kv_blocks=("double.0", "double.1", "single.0", "single.1"),
)
PRESETS = {"embedded-sd": EMBEDDED_SD, "embedded-flux": EMBEDDED_FLUX}


def preset_for(geometry: tuple[int, ...] | None) -> Preset | None:
    """Returns the settings of the embedded model of this geometry; None for any other model."""
    return next((p for p in PRESETS.values() if p.geometry == geometry), None)


def adapt(
    recipe: Recipe,
    preset: Preset,
    task: Task,
    filled: Trajectory | None = None,
    warped: Tensor | None = None,
    draft: Trajectory | None = None,
) -> Recipe:
    """Gives `recipe` the settings of `preset`; what it starts from is said at starting().

    Points without `warped` or `draft` do the moving themselves, by longer steps; with one they touch up.
    """
    out = on_schedule(
        adapt_shape(recipe, preset, task),
        preset.schedule,
        optimizer=partial(NormalisedDescent, lr=preset.step),
        hold_gain=1.0,
        start=starting(task, filled, warped, draft),
    )
    if out.supervision.moves_regions:
        return replace(out, ramp=((1.0,) * preset.updates,) * preset.levels, first=None)
    own = preset.points
    if own is None or warped is not None or draft is not None:
        return out
    return replace(
        out,
        supervision=out.supervision.wider(with_points(task, own.samples).handles, own.radius, own.patches),
        optimizer=partial(NormalisedDescent, lr=own.step),
        ramp=(out.ramp[0][: own.most],) if len(out.ramp) == 1 else ((1.0,) * own.updates,) * preset.levels,
        start=emptied(task, filled),
    )


def emptied(task: Task, filled: Trajectory | None) -> Start | None:
    """Makes the start of a drag by points.

    The regions' own cells are emptied by the trajectory `filled`, nothing is pasted.
    """
    if filled is None or not task.regions:
        return None
    return Refill(filled, on_grid(union(task.regions), task.latent, TOUCHED))


def adapt_shape(recipe: Recipe, preset: Preset, task: Task) -> Recipe:
    """Gives a recipe only what the model's size asks for: taps, grid, normalisation, masks.

    Steps and rates stay.
    """
    editable = _editable(task, preset.share)
    return replace(
        recipe,
        taps=preset.taps,
        supervision=recipe.supervision.on_small(task.grid(4)),
        constraint=FreeBackground() if editable is None else HardBackground(editable),
        kv_blocks=(),
        update_mask=around_targets(task, task.latent),
    )


def starting(
    task: Task,
    filled: Trajectory | None,
    warped: Tensor | None,
    draft: Trajectory | None = None,
    paste: Paste | None = None,
) -> Start | None:
    """Makes the start of a drag: the draft, or the source emptied and the regions pasted at their targets.

    filled: the trajectory of the picture with its regions painted over; it empties the source.
    warped: the clean latent of the picture warped in pixels; the regions' clean part comes from it.
    draft: the trajectory of that picture; all that may change comes from it, and nothing is pasted.
    paste: the recipe's own, which `filled` and `warped` then change; the whole start where neither is given.
    None given: None, the drag starts where the inversion ended.
    """
    if draft is not None:
        return Refill(draft, _editable(task, TOUCHED))
    if not task.regions or (filled is None and warped is None):
        return paste
    if paste is None:
        paste = Paste(task.regions, task.image, levels=1, fill="keep", split=True)
    if warped is not None:
        paste = replace(paste, split=True, warped=warped)
    if filled is None:
        return paste
    return InOrder(Refill(filled, _editable(task, TOUCHED)), replace(paste, fill="keep"))


def _editable(task: Task, share: float) -> Tensor | None:
    """Selects the latent cells of which the editable mask covers more than `share`."""
    return None if task.editable is None else on_grid(task.editable, task.latent, share)


def around_targets(task: Task, size: Grid) -> Tensor | None:
    """Masks where regions or handles arrive, one cell wider, (1, 1, h, w): elsewhere updates leave debris."""
    goals = [moved(r) for r in task.regions]
    if not goals:
        if not task.handles:
            return None
        goals = [discs([h.start, h.target], 32.0, task.image) for h in task.handles]
    return F.max_pool2d(on_grid(torch.stack(goals).amax(0), size, TOUCHED), 3, 1, 1)

"""The published methods as compositions. The papers' numbers live here and nowhere else.

`variant` says which text a recipe follows where paper and released code differ: "paper", "released", or
"ours" (the default: the one that is right).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import torch

from .constrain import Constraint, FreeBackground, HardBackground, SoftBackground
from .correspondence import correspondence
from .drag import Recipe
from .masks import adaptive_mask, on_grid
from .schedules import ddim as ddim_schedule
from .schedules import flow, flux_shift, sparser
from .semantic import SemanticSupervision
from .solvers import Solver, ddim, fireflow
from .start import Paste
from .supervise import NoSupervision, PointSupervision, RegionSupervision
from .types import DragError, FeatureTap, Grid, Region, Schedule, Task, Variant

FLUX_TAPS = tuple(FeatureTap(f"double.{i}", site) for i in (17, 18) for site in ("norm1", "out"))
FLUX_KV = tuple(f"double.{i}" for i in (0, 7, 8, 9, 10, 18)) + tuple(
    f"single.{i}" for i in (6, 9, 18, 23, 26, 31, 37)
)
SD_UP = tuple(FeatureTap(f"up.{i}") for i in range(4))
SD_KV = tuple(f"attn.{i}" for i in range(10, 16))  # MasaCtrl: self-attention from layer 10 of 16


def linear(n: int, hold: int = 0, first: int = 1) -> tuple[float, ...]:
    """Progress first/n, (first+1)/n, ... n updates in all, then `hold` more at 1."""
    return tuple((k + first) / n for k in range(n)) + (1.0,) * hold


def per_level(progress: tuple[float, ...], updates: int) -> tuple[tuple[float, ...], ...]:
    """`updates` of them at each level, one level after the other."""
    return tuple(progress[i : i + updates] for i in range(0, len(progress), updates))


def hard_background(task: Task) -> Constraint:
    """Nothing outside the editable mask changes; without one, outside DragFlow's adaptive mask."""
    editable = adaptive_mask(task.regions) if task.editable is None and task.regions else task.editable
    return FreeBackground() if editable is None else HardBackground(on_grid(editable, task.latent, 0.5))


def soft_background(task: Task, weight: float) -> Constraint:
    """What is outside the editable mask weighs in the loss."""
    if task.editable is None or weight == 0:
        return FreeBackground()
    return SoftBackground(on_grid(task.editable, task.latent, 0.5), weight)


def _need_regions(task: Task, name: str) -> None:
    if not task.regions:
        raise DragError(
            f"recipe {name} moves regions and this drag has none: mark a region, or use gooddrag for points"
        )


def _need_handles(task: Task, name: str) -> None:
    if not task.handles:
        raise DragError(
            f"recipe {name} moves points and this drag has none: set a point pair, or use dragflow or "
            f"dragnext for regions"
        )


def dragflow(task: Task, variant: Variant = "ours") -> Recipe:
    """DragFlow on FLUX: FireFlow 25 steps, 6 skipped; 50 + 20 updates at the first level; hard background.

    Plain gradient descent at 1000 (then 1200) is tuned for 512 px; the gradient per latent element falls with
    the latent's area, so ours scales the rate by area. Ours also ends the last 20, which repeat the final
    pose, when they no longer lower the loss. Released: K/V of one recorded level cleaner, in single blocks
    the prompt's too; the background half a step ahead while updating, then denoised beside the edit.
    """
    _need_regions(task, "dragflow")
    released = variant == "released"
    latent, side = task.latent, (task.image.height + task.image.width) / 2
    part = (4 if side > 1000 else 3 if side > 600 else 2) if released else 4
    rate = 1000.0 * (latent.height * latent.width / 64**2 if variant == "ours" else 1.0)
    return Recipe(
        schedule=flow(25, skip=6, shift=flux_shift(latent.height * latent.width // 4)),
        solver=fireflow,
        taps=FLUX_TAPS,
        supervision=RegionSupervision(task.regions, task.image, task.grid(part), mean="map", unpack=released),
        constraint=hard_background(task),
        optimizer=partial(torch.optim.SGD, lr=rate),
        ramp=(linear(50, hold=20, first=0 if variant == "paper" else 1),),
        kv_blocks=FLUX_KV,
        kv_pairing="released" if released else "level",
        kv_text=released,
        background={"released": "released", "paper": "reconstruction"}.get(variant, "trajectory"),
        hold_gain=1.0 if released else 1.2,
        settle=0.01 if variant == "ours" else 0.0,
    )


def dragnext(task: Task, variant: Variant = "ours") -> Recipe:
    """DragNeXt's PBSI: K = 10 updates at each of timesteps 38..33, progress (K(T-t)+k)/(K(T-T'+1)); Adam
    2e-2.

    Released: one block's features, five timesteps of which the first three move, whole cells and steps of 2
    degrees, regions times 10, the background once for each region that moves yet; where the task has points,
    GoodDrag's point phase comes first at those three timesteps.
    """
    _need_regions(task, "dragnext")
    released = variant == "released"
    ramp = per_level(linear(30, hold=20) if released else linear(60), 10)
    regions = tuple(replace(r, weight=10.0) for r in task.regions) if released else task.regions
    constraint = soft_background(task, 0.2)
    if released and isinstance(constraint, SoftBackground):
        constraint = replace(constraint, since=tuple(_begins(r, task.image, task.grid(2)) for r in regions))
    points = gooddrag(task, variant) if released and task.handles else None
    return Recipe(
        schedule=ddim_schedule(50, 0.75),
        solver=ddim,
        taps=SD_UP[2:3] if released else SD_UP,
        supervision=RegionSupervision(regions, task.image, task.grid(2), mean="region", coarse=released),
        constraint=constraint,
        optimizer=partial(torch.optim.Adam, lr=0.02),
        ramp=ramp,
        kv_blocks=SD_KV,
        kv_while_dragging=False,
        background="reconstruction" if released else "trajectory",
        first=None if points is None else replace(points, ramp=points.ramp[:3]),
    )


def _begins(region: Region, image: Grid, grid: Grid) -> float:
    """The progress from which released DragNeXt moves a region at all: its shift has reached one cell."""
    if region.motion.angle != 0:
        return 0.0
    x, y = region.motion.shift
    cells = max(abs(x) * grid.width / image.width, abs(y) * grid.height / image.height)
    return 1 / cells - 1e-6 if cells >= 1 else math.inf


def gooddrag(task: Task, variant: Variant = "ours") -> Recipe:
    """GoodDrag: information-preserving points, AlDD K = 70 in tens per timestep, J = 3 updates before each
    tracking.

    Released: tracks in the features from before the update, ends when ten trackings changed nothing, and
    compares with a picture denoised beside the edit.
    """
    _need_handles(task, "gooddrag")
    r1, released = 4, variant == "released"
    return Recipe(
        schedule=ddim_schedule(50, 0.75),
        solver=ddim,
        taps=SD_UP[3:] if variant == "paper" else SD_UP[2:3],
        supervision=PointSupervision(
            task.handles,
            task.image,
            task.grid(2),
            radius=r1,
            search=12,
            stride=4.0,
            preserve=True,
            factor=float((2 * r1) ** 2 if released else (2 * r1 + 1) ** 2),
        ),
        constraint=soft_background(task, 0.2),
        optimizer=partial(torch.optim.Adam, lr=0.02),
        ramp=((1.0,) * 30,) * 7,
        kv_blocks=SD_KV,
        kv_while_dragging=False,
        track_every=3,
        background="reconstruction" if released else "trajectory",
        patience=10 if released else 0,
        stale_tracking=released,
    )


def dragdiffusion(task: Task, variant: Variant = "ours") -> Recipe:
    """DragDiffusion: drift-prone points, 80 updates at step 35 of 50, tracking after each; Adam 1e-2."""
    _need_handles(task, "dragdiffusion")
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


def adaptivedrag(task: Task, variant: Variant = "ours") -> Recipe:
    """AdaptiveDrag: super-pixels as patches, at step 35 of 50; an update is kept if it moves towards the
    target by the drag's 80th part, and more follow, up to 300, until all handles have arrived; CLoss while
    denoising.

    Ours compares with the picture's own features (GoodDrag's information preservation); the paper with the
    last update's, as DragDiffusion does: 3 dB worse in the target area of the held-out scenes looked at.

    Its released code does none of this (methods.md §9): "released" is the paper's method with the numbers of
    the code's interface (160 steps from t = 781).
    """
    _need_handles(task, "adaptivedrag")
    released = variant == "released"
    return Recipe(
        schedule=ddim_schedule(50, 0.8 if released else 0.7),
        solver=ddim,
        taps=SD_UP[2:3],
        supervision=SemanticSupervision(
            task.handles, task.image, task.grid(2), steps=160 if released else 80, preserve=variant == "ours"
        ),
        constraint=soft_background(task, 0.1),
        optimizer=partial(torch.optim.Adam, lr=0.01),
        ramp=((1.0,) * 300,),
        kv_blocks=SD_KV,
        kv_while_dragging=False,
        track_every=1,
        guide=correspondence(task),
    )


def copy_paste(
    task: Task, schedule: Schedule | None = None, solver: Solver = ddim, levels: int = 10, seed: int = 0
) -> Recipe:
    """The baseline: latents moved by A_i(1) at the first levels, fresh noise where they were; no update
    (RegionDrag).
    """
    _need_regions(task, "copy_paste")
    return Recipe(
        schedule=schedule or ddim_schedule(50, 0.75),
        solver=solver,
        taps=(),
        supervision=NoSupervision(),
        constraint=hard_background(task),
        optimizer=partial(torch.optim.SGD, lr=0.0),
        ramp=(),
        start=Paste(task.regions, task.image, levels, seed=seed),
    )


def fast(
    recipe: Recipe, task: Task, steps: int = 10, updates: int = 12, schedule: Schedule | None = None
) -> Recipe:
    """A region recipe with a third of its work: `steps` from the same noise (FireFlow's authors need 8), the
    regions pasted at their targets first, and `updates` at full progress over the noise levels that the
    recipe updates at. `schedule`: of an inversion that is there already, instead of `steps`.
    """
    _need_regions(task, "fast")
    last = recipe.schedule.t[max((i for i, u in enumerate(recipe.ramp) if u), default=0)]
    if schedule is None:
        schedule = sparser(recipe.schedule, min(steps, len(recipe.schedule.t) - 1))
    levels = max(sum(t >= last for t in schedule.t[:-1]), 1)
    paste = Paste(task.regions, task.image, levels=1, fill="keep", split=True)
    return replace(
        recipe,
        schedule=schedule,
        ramp=per_level((1.0,) * updates, -(-updates // levels)),
        start=paste if recipe.start is None else recipe.start,
    )


RECIPES = {
    "dragflow": dragflow,
    "dragnext": dragnext,
    "gooddrag": gooddrag,
    "dragdiffusion": dragdiffusion,
    "adaptivedrag": adaptivedrag,
}

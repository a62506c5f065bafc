"""The four ways of dragging with numbers of the user's own, on whatever family, taps and schedule."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ..features.correspondence import correspondence
from ..features.semantic import SemanticSupervision
from ..features.supervise import PointSupervision, RegionSupervision
from ..trajectory.solvers import Solver
from ..types import DragError, FeatureTap, Schedule, Task
from .common import hard_background, linear, per_level, soft_background
from .recipe import Recipe


@dataclass(frozen=True)
class Ground:
    """What the model and the trajectory give a recipe: taps, K/V layers, schedule, solver."""

    taps: tuple[FeatureTap, ...]
    kv_blocks: tuple[str, ...]
    schedule: Schedule
    solver: Solver


def _regions(task: Task) -> None:
    if not task.regions:
        raise DragError("this method moves regions and the drag has none: mark a region, or use method point")


def _handles(task: Task) -> None:
    if not task.handles:
        raise DragError("this method moves points and the drag has none: set a point pair, or mark a region")


def region(task: Task, ground: Ground, iterations: int = 50, hold: int = 20, step: float = 1000.0) -> Recipe:
    """DragFlow's way: `iterations` moving and `hold` resting updates at the trajectory's noisiest level, hard
    background.

    `step` is plain gradient descent's rate at 512x512, scaled by the picture's area.
    """
    _regions(task)
    size = task.latent
    return Recipe(
        schedule=ground.schedule,
        solver=ground.solver,
        taps=ground.taps,
        supervision=RegionSupervision(task.regions, task.image, task.grid(4), mean="map"),
        constraint=hard_background(task),
        optimizer=partial(torch.optim.SGD, lr=step * size.height * size.width / 64**2),
        ramp=(linear(iterations, hold=hold),),
        kv_blocks=ground.kv_blocks,
        hold_gain=1.2,
    )


def pbsi(
    task: Task,
    ground: Ground,
    levels: int = 6,
    updates: int = 10,
    step: float = 0.02,
    background: float = 0.2,
) -> Recipe:
    """DragNeXt's way: `updates` at each of the `levels` noisiest levels, moving on all the while; Adam with
    `step`; the background weighs `background` in the loss.
    """
    _regions(task)
    return Recipe(
        schedule=ground.schedule,
        solver=ground.solver,
        taps=ground.taps,
        supervision=RegionSupervision(task.regions, task.image, task.grid(2), mean="region"),
        constraint=soft_background(task, background),
        optimizer=partial(torch.optim.Adam, lr=step),
        ramp=per_level(linear(levels * updates), updates),
        kv_blocks=ground.kv_blocks,
        kv_while_dragging=False,
    )


def point(
    task: Task,
    ground: Ground,
    levels: int = 7,
    updates: int = 30,
    tracking: int = 3,
    radius: int = 4,
    search: int = 12,
    stride: float = 4.0,
    preserve: bool = True,
    step: float = 0.02,
    background: float = 0.2,
) -> Recipe:
    """GoodDrag's way (`preserve`) or DragDiffusion's: `updates` at each of `levels` levels, handles tracked
    after every `tracking` of them; radius, search and stride in cells of half the picture's resolution.
    """
    _handles(task)
    return Recipe(
        schedule=ground.schedule,
        solver=ground.solver,
        taps=ground.taps[:1],
        supervision=PointSupervision(
            task.handles,
            task.image,
            task.grid(2),
            radius=radius,
            search=search,
            stride=stride,
            preserve=preserve,
            factor=float((2 * radius + 1) ** 2),
        ),
        constraint=soft_background(task, background),
        optimizer=partial(torch.optim.Adam, lr=step),
        ramp=((1.0,) * updates,) * levels,
        kv_blocks=ground.kv_blocks,
        kv_while_dragging=False,
        track_every=tracking,
    )


def semantic(
    task: Task,
    ground: Ground,
    updates: int = 300,
    steps: int = 80,
    search: int = 6,
    stride: float = 1.0,
    preserve: bool = True,
    step: float = 0.01,
    background: float = 0.1,
    guidance: float = 0.1,
) -> Recipe:
    """AdaptiveDrag's way: super-pixels as patches; at most `updates` at the noisiest level, an update kept if
    it goes towards the target by at least a `steps`-th of the drag; CLoss of strength `guidance` while
    denoising.
    """
    _handles(task)
    return Recipe(
        schedule=ground.schedule,
        solver=ground.solver,
        taps=ground.taps[:1],
        supervision=SemanticSupervision(
            task.handles,
            task.image,
            task.grid(2),
            steps=steps,
            search=search,
            stride=stride,
            preserve=preserve,
        ),
        constraint=soft_background(task, background),
        optimizer=partial(torch.optim.Adam, lr=step),
        ramp=((1.0,) * updates,),
        kv_blocks=ground.kv_blocks,
        kv_while_dragging=False,
        track_every=1,
        guide=correspondence(task, guidance) if guidance else None,
    )


METHODS = {"region": region, "pbsi": pbsi, "point": point, "semantic": semantic}

# Each paper's recipe as one of these: what an editor shows when it is chosen, where own numbers start.
NUMBERS: dict[str, tuple[str, dict[str, float]]] = {
    "dragflow": ("region", {"iterations": 50, "hold": 20, "step": 1000.0}),
    "dragnext": ("pbsi", {"levels": 6, "updates": 10, "step": 0.02, "background": 0.2}),
    "gooddrag": (
        "point",
        {
            "levels": 7,
            "updates": 30,
            "tracking": 3,
            "radius": 4,
            "search": 12,
            "stride": 4.0,
            "preserve": True,
            "step": 0.02,
            "background": 0.2,
        },
    ),
    "dragdiffusion": (
        "point",
        {
            "levels": 1,
            "updates": 80,
            "tracking": 1,
            "radius": 1,
            "search": 3,
            "stride": 1.0,
            "preserve": False,
            "step": 0.01,
            "background": 0.1,
        },
    ),
    "adaptivedrag": (
        "semantic",
        {
            "updates": 300,
            "steps": 80,
            "search": 6,
            "stride": 1.0,
            "preserve": True,
            "step": 0.01,
            "background": 0.1,
            "guidance": 0.1,
        },
    ),
}


def ignored(recipe: str, method: str, numbers: dict[str, Any]) -> str | None:
    """A sentence for the user if `numbers` of `method` were set by hand and `recipe` doesn't use them; None
    for recipe "custom", and where they are what an editor shows unasked: a paper's numbers (NUMBERS), of
    which each method's defaults are one set.
    """
    shown = [values for way, values in NUMBERS.values() if way == method]
    if recipe == "custom" or any(all(own.get(k) == v for k, v in numbers.items()) for own in shown):
        return None
    way, own = NUMBERS.get(recipe, ("", {}))
    usual = own if way == method else next(iter(shown), {})
    set_by_hand = ", ".join(f"{k}={v}" for k, v in numbers.items() if usual.get(k) != v)
    of = "" if way == method else f" of method {method}"
    return f"recipe {recipe} ignores {set_by_hand}{of}: choose custom to use it"

"""The four ways of dragging, on whatever taps, schedule and numbers; each published method goes one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import torch

from ..features.correspondence import correspondence
from ..features.semantic import SemanticSupervision
from ..features.supervise import PointSupervision, RegionSupervision
from ..trajectory.solvers import Solver
from ..types import DragError, FeatureTap, Schedule, Task
from .common import hard_background, linear, per_level, soft_background
from .numbers import Numbers, PBSINumbers, PointNumbers, RegionNumbers, SemanticNumbers
from .recipe import Recipe

HOLD_GAIN = 1.2  # DragFlow: the rate is 1000 while the regions move and 1200 at the target


@dataclass(frozen=True)
class Ground:
    """The model-dependent half of a recipe.

    taps: where features are compared. kv_blocks: layers whose keys and values are injected. schedule and
    solver: the trajectory's.
    """

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


def region(task: Task, ground: Ground, n: RegionNumbers) -> Recipe:
    """Builds DragFlow's way: `n.iterations` moving and `n.hold` resting updates at the noisiest level.

    Hard background. `n.step` is plain gradient descent's rate at 512x512, scaled by the picture's area.
    """
    _regions(task)
    size = task.latent
    return Recipe(
        schedule=ground.schedule,
        solver=ground.solver,
        taps=ground.taps,
        supervision=RegionSupervision(task.regions, task.image, task.grid(4), mean="map"),
        constraint=hard_background(task),
        optimizer=partial(torch.optim.SGD, lr=n.step * size.height * size.width / 64**2),
        ramp=(linear(n.iterations, hold=n.hold),),
        kv_blocks=ground.kv_blocks,
        hold_gain=HOLD_GAIN,
    )


def pbsi(task: Task, ground: Ground, n: PBSINumbers) -> Recipe:
    """Builds DragNeXt's way: `n.updates` at each of the `n.levels` noisiest levels, moving on all the while.

    Adam with `n.step`; the background weighs `n.background` in the loss.
    """
    _regions(task)
    return Recipe(
        schedule=ground.schedule,
        solver=ground.solver,
        taps=ground.taps,
        supervision=RegionSupervision(task.regions, task.image, task.grid(2), mean="region"),
        constraint=soft_background(task, n.background),
        optimizer=partial(torch.optim.Adam, lr=n.step),
        ramp=per_level(linear(n.levels * n.updates), n.updates),
        kv_blocks=ground.kv_blocks,
        kv_while_dragging=False,
    )


def point(task: Task, ground: Ground, n: PointNumbers) -> Recipe:
    """Builds GoodDrag's way (`n.preserve`) or DragDiffusion's: `n.updates` at each of `n.levels` levels.

    Handles are tracked after every `n.tracking` of them; radius, search and stride in cells of half the
    picture's resolution.
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
            radius=n.radius,
            search=n.search,
            stride=n.stride,
            preserve=n.preserve,
            factor=float((2 * n.radius + 1) ** 2),
        ),
        constraint=soft_background(task, n.background),
        optimizer=partial(torch.optim.Adam, lr=n.step),
        ramp=((1.0,) * n.updates,) * n.levels,
        kv_blocks=ground.kv_blocks,
        kv_while_dragging=False,
        track_every=n.tracking,
    )


def semantic(task: Task, ground: Ground, n: SemanticNumbers) -> Recipe:
    """Builds AdaptiveDrag's way: super-pixels as patches, at most `n.updates` at the noisiest level.

    An update is kept if it goes towards the target by at least an `n.steps`-th of the drag. CLoss of strength
    `n.guidance` acts while denoising.
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
            steps=n.steps,
            search=n.search,
            stride=n.stride,
            preserve=n.preserve,
        ),
        constraint=soft_background(task, n.background),
        optimizer=partial(torch.optim.Adam, lr=n.step),
        ramp=((1.0,) * n.updates,),
        kv_blocks=ground.kv_blocks,
        kv_while_dragging=False,
        track_every=1,
        guide=correspondence(task, n.guidance) if n.guidance else None,
    )


WAYS: dict[str, Callable[..., Recipe]] = {
    "region": region,
    "pbsi": pbsi,
    "point": point,
    "semantic": semantic,
}


def with_numbers(usual: Numbers, set_by_hand: Mapping[str, Any]) -> Numbers:
    """Returns `usual` with what the user set.

    Raises DragError for a number that the way has not, or out of range. JSON may say a whole number as 50.0.
    """
    if unknown := [name for name in set_by_hand if not hasattr(usual, name)]:
        known = ", ".join(vars(usual))
        raise DragError(f"{usual.whose} numbers have no {unknown[0]!r}; they are {known}")
    whole = {f.name for f in fields(usual) if f.type == "int"}
    clean: dict[str, Any] = dict(set_by_hand)
    for name, value in set_by_hand.items():
        if name in whole and isinstance(value, float) and value.is_integer():
            clean[name] = int(value)
    return replace(usual, **clean)

"""One drag edit: invert the picture, optimise the latent at some levels, denoise through all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from .bounds import Size, check_end
from .constrain import Constraint
from .correspondence import Correspondence
from .kvstore import Replayed, replays
from .solvers import Solver, alf
from .supervise import Supervision
from .types import KV, Backbone, FeatureTap, KVCache, KVInject, KVRecord, Point, Schedule, Trajectory
from .updates import Log, Updates
from .updates import OnStep as OnStep
from .updates import Step as Step


class Start(Protocol):
    """Changes the latent before the first updates of a level (refill, paste)."""

    def __call__(self, z: Tensor, source: Trajectory, level: int) -> Tensor: ...


@dataclass(frozen=True)
class Recipe:
    """A published method, as choices.

    `ramp[i]` lists the progress of each update made at level i of `schedule`; `hold_gain` multiplies the
    learning rate once the progress has reached 1. `track_every` updates the handles are looked for again (0:
    never). `update_mask` (1, 1, h, w) limits where the gradient acts. K/V of `kv_blocks` are injected from
    the inversion, with `kv_while_dragging` False only after the last drag level (MasaCtrl as the point
    methods use it); `kv_pairing` "released" takes them one recorded level cleaner. `background` says what the
    constraint compares with: the stored inversion "trajectory", a "reconstruction" denoised beside the edit,
    or as "released" that one under the same K/V, half a step ahead while updating. With `settle` above 0 a
    level's updates at full progress end when the last five lost less than this share against the five before.
    With `patience` above 0 the drag ends once so many trackings in a row moved no handle. `stale_tracking`:
    after every `track_every`-th update, in the features from before it (GoodDrag's released code), not in
    fresh ones. `guide` bends every denoising step; `first` is a recipe whose updates come before this one's
    at each of its levels (same schedule, taps and constraint's need; released DragNeXt's point phase).
    """

    schedule: Schedule
    solver: Solver
    taps: tuple[FeatureTap, ...]
    supervision: Supervision
    constraint: Constraint
    optimizer: Callable[[list[Tensor]], Optimizer]
    ramp: tuple[tuple[float, ...], ...]
    kv_blocks: tuple[str, ...] = ()
    kv_while_dragging: bool = True
    kv_pairing: str = "level"
    kv_text: bool = False
    track_every: int = 0
    hold_gain: float = 1.0
    start: Start | None = None
    update_mask: Tensor | None = None
    background: str = "trajectory"
    settle: float = 0.0
    patience: int = 0
    stale_tracking: bool = False
    guide: Correspondence | None = None
    first: Recipe | None = None


@dataclass(frozen=True)
class Handoff:
    """The latent as the last update or start left it, at `level` of the schedule: any sampler can go on from
    there. Beside it the background and the solver's velocities of that level.
    """

    level: int
    z: Tensor
    background: Tensor
    carry: Tensor | None = None
    carry_background: Tensor | None = None


@dataclass(frozen=True)
class Result:
    """z: the edited clean latent; reconstruction: the background's; one loss and one size of the latent an
    update; handle places after each tracking. `kv`: of a paused edit the K/V that it goes on with, which hold
    the source's at the level of the updates; of a finished one None, so that nothing is kept alive.
    """

    z: Tensor
    reconstruction: Tensor
    losses: tuple[float, ...]
    traces: tuple[tuple[Point, ...], ...]
    handoff: Handoff
    sizes: tuple[Size, ...]
    kv: KVCache | None = field(default=None, compare=False)


@torch.no_grad()
def invert(
    backbone: Backbone,
    z0: Tensor,
    schedule: Schedule,
    solver: Solver,
    kv_blocks: tuple[str, ...] = (),
    on_step: OnStep = lambda step: None,
    cache: KVCache | None = None,
    kv_text: bool = False,
) -> Trajectory:
    """The noisy latents of the clean latent z0 (1, C, h, w) at every level of `schedule`, K/V of `kv_blocks`
    recorded in `cache` (None: a new one, which keeps them where they are made), with `kv_text` the prompt's.
    """
    cache = KVCache() if cache is None else cache
    kv: KV = KVRecord(cache, kv_blocks, kv_text) if kv_blocks else None
    if replays(cache):
        backbone = Replayed(backbone)
    z, carry, path, last = z0, None, [z0], len(schedule.t) - 1
    for i in range(last, 0, -1):
        z, carry = solver(backbone, z, schedule, i, i - 1, kv, carry)
        path.append(z)
        on_step(Step(last - i + 1, last, i - 1, z, stage="invert"))
    return Trajectory(schedule, tuple(reversed(path)), cache if kv_blocks else None, carry)


@torch.no_grad()
def denoise(
    backbone: Backbone, z: Tensor, schedule: Schedule, solver: Solver, carry: Tensor | None = None
) -> Tensor:
    """The clean latent of z at the schedule's first level, without any edit; `carry`: a Trajectory's, for
    alf.
    """
    for i in range(len(schedule.t) - 1):
        z, carry = solver(backbone, z, schedule, i, i + 1, None, carry)
    return z


def drag(
    backbone: Backbone,
    source: Trajectory,
    recipe: Recipe,
    on_step: OnStep = lambda step: None,
    *,
    pause: bool = False,
    resume: Result | None = None,
    origin: Backbone | None = None,
) -> Result:
    """Edit the inverted picture `source` as `recipe` says. `origin` is what it was inverted with: asked for
    K/V that are made anew instead of stored (None: `backbone`).

    `pause`: return after the last update, before the denoising that follows it (z is then the handoff).
    `resume`: such a result, to go on from; the two may run on differently loaded models.

    Raises DragError where an update or the end has left the range of latents (drag_core.bounds).
    """
    s, r = source.schedule, recipe
    store = source.kv.copy() if source.kv and r.kv_blocks else None  # the source's own is never added to
    if resume is not None and resume.kv is not None:
        store = resume.kv
    inject: KV = KVInject(store, r.kv_blocks, r.kv_pairing == "released") if store else None
    if store and replays(store):
        backbone = Replayed(backbone, origin)
    log = Log.of(r, len(s.t) - 1, on_step)
    shared = inject if r.kv_while_dragging else None
    run = Updates(backbone, source, r, store, shared, log)
    before_it = None if r.first is None else Updates(backbone, source, r.first, store, shared, log)
    denoise_step = r.solver if r.guide is None else r.guide.solver(r.solver, source)
    # FireFlow starts anew with a true midpoint step; alf needs the velocity that it arrived with
    carry = carry_ref = source.carry if r.solver is alf else None
    here = Handoff(0, source.z[0], source.z[0], carry, carry_ref)
    if resume is not None:
        here = resume.handoff
        log.go_on(resume)
        run.finished = True
        before_it = None
    z, ref, carry, carry_ref = here.z, here.background, here.carry, here.carry_background
    last = max((i for i, updates in enumerate(r.ramp) if updates), default=0)
    for i in range(here.level, len(s.t) - 1):
        if not (resume and i == here.level):
            before = z
            z = z if r.start is None else r.start(z, source, i)
            z = z if before_it is None else before_it.optimise(z, ref, i)
            z = run.optimise(z, ref, i)
            if z is not before:
                carry = None
                here = Handoff(i, z, ref, None, carry_ref)
        if pause and (i >= last or run.finished):
            losses, sizes = log.read()
            return Result(z, ref, losses, tuple(log.traces), here, sizes, store)
        kv = inject if r.kv_while_dragging or run.finished or i + 1 >= len(r.ramp) else None
        with torch.no_grad():
            z, carry = denoise_step(backbone, z, s, i, i + 1, kv, carry)
            if r.background == "trajectory":
                ref = source.z[i + 1]
            else:
                beside = inject if r.background == "released" else None
                ref, carry_ref = r.solver(backbone, ref, s, i, i + 1, beside, carry_ref)
            z = r.constraint.project(z, ref)
        run.tell(i + 1, z)
    losses, sizes = log.read()
    check_end(z, source.z[-1])
    return Result(z, ref, losses, tuple(log.traces), here, sizes)


def clean_estimate(z: Tensor, source: Trajectory, level: int) -> Tensor:
    """Where z (1, C, h, w) at `level` is going, without a model call: the source plus what z has changed."""
    return source.z[-1] + (z - source.z[level]) / max(source.schedule.alpha[level], 0.05)

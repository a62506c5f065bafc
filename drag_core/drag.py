"""One drag edit: invert the picture, optimise the latent at some levels, denoise through all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from .constrain import Constraint
from .kvstore import Replayed, replays
from .solvers import Solver, alf, ddim_jump
from .supervise import Supervision
from .types import KV, Backbone, FeatureTap, KVCache, KVInject, KVRecord, Point, Schedule, Trajectory


@dataclass(frozen=True)
class Step:
    """Told after every update and every denoising step; an exception raised by the listener cancels
    cleanly.
    """

    done: int
    total: int
    level: int
    z: Tensor
    handles: tuple[Point, ...] = ()
    stage: str = "drag"


OnStep = Callable[[Step], None]


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
    """z: the edited clean latent; reconstruction: the background's; one loss an update; handle places after
    each tracking.
    """

    z: Tensor
    reconstruction: Tensor
    losses: tuple[float, ...]
    traces: tuple[tuple[Point, ...], ...]
    handoff: Handoff


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
    """
    s, r = source.schedule, recipe
    store = source.kv.copy() if source.kv and r.kv_blocks else None  # the source's own is never added to
    inject: KV = KVInject(store, r.kv_blocks, r.kv_pairing == "released") if store else None
    if store and replays(store):
        backbone = Replayed(backbone, origin)
    run = _Run(backbone, source, r, store, inject if r.kv_while_dragging else None, on_step)
    # FireFlow starts anew with a true midpoint step; alf needs the velocity that it arrived with
    carry = carry_ref = source.carry if r.solver is alf else None
    here = Handoff(0, source.z[0], source.z[0], carry, carry_ref)
    if resume is not None:
        here = resume.handoff
        run.go_on(resume)
    z, ref, carry, carry_ref = here.z, here.background, here.carry, here.carry_background
    last = max((i for i, updates in enumerate(r.ramp) if updates), default=0)
    for i in range(here.level, len(s.t) - 1):
        if not (resume and i == here.level):
            before = z
            z = z if r.start is None else r.start(z, source, i)
            if i < len(r.ramp) and r.ramp[i] and not run.finished:
                z = run.optimise(z, ref, i)
            if z is not before:
                carry = None
                here = Handoff(i, z, ref, None, carry_ref)
        if pause and (i >= last or run.finished):
            return Result(z, ref, run.read_losses(), tuple(run.traces), here)
        kv = inject if r.kv_while_dragging or run.finished or i + 1 >= len(r.ramp) else None
        with torch.no_grad():
            z, carry = r.solver(backbone, z, s, i, i + 1, kv, carry)
            if r.background == "trajectory":
                ref = source.z[i + 1]
            else:
                beside = inject if r.background == "released" else None
                ref, carry_ref = r.solver(backbone, ref, s, i, i + 1, beside, carry_ref)
            z = r.constraint.project(z, ref)
        run.tell(i + 1, z)
    return Result(z, ref, run.read_losses(), tuple(run.traces), here)


def clean_estimate(z: Tensor, source: Trajectory, level: int) -> Tensor:
    """Where z (1, C, h, w) at `level` is going, without a model call: the source plus what z has changed."""
    return source.z[-1] + (z - source.z[level]) / max(source.schedule.alpha[level], 0.05)


class _Run:
    """What one edit carries from level to level: supervision state, losses, traces, progress."""

    def __init__(
        self,
        backbone: Backbone,
        source: Trajectory,
        recipe: Recipe,
        store: KVCache | None,
        kv: KV,
        on_step: OnStep,
    ) -> None:
        self.backbone, self.source, self.recipe, self.on_step = backbone, source, recipe, on_step
        self.store, self.kv = store, kv
        self.state: Any = None
        self.finished = False
        self.losses: Tensor | None = None  # one place for each update, read at the end
        self.made = 0
        self.traces: list[tuple[Point, ...]] = []
        self.done, self.total = 0, len(source.schedule.t) - 1 + sum(map(len, recipe.ramp))

    def go_on(self, earlier: Result) -> None:
        self.losses, self.made = torch.tensor(earlier.losses), len(earlier.losses)
        self.traces = list(earlier.traces)
        self.finished = True
        self.done = len(earlier.losses) + earlier.handoff.level

    def read_losses(self) -> tuple[float, ...]:
        return () if self.losses is None else tuple(self.losses[: self.made].tolist())

    def note(self, loss: Tensor) -> None:
        if self.losses is None:
            self.losses = loss.new_zeros(sum(map(len, self.recipe.ramp)))
        self.losses[self.made] = loss
        self.made += 1

    def tell(self, level: int, z: Tensor) -> None:
        self.done += 1
        handles = self.recipe.supervision.trace(self.state) if self.state is not None else ()
        self.on_step(Step(self.done, self.total, level, z.detach(), handles))

    def optimise(self, z: Tensor, ref: Tensor, i: int) -> Tensor:
        """The updates of level i, against the source's features at the same level."""
        r, s, t = self.recipe, self.source.schedule, self.source.schedule.t[i]
        stop = not r.constraint.needs_prediction
        ahead = r.background == "released"
        with torch.no_grad():
            # the source's K/V at this very level, which the inversion passes by; released: as in the updates
            anchor: KV = KVRecord(self.store, r.kv_blocks, r.kv_text) if self.store else None
            anchor = self.kv if r.kv_pairing == "released" else anchor
            wanted, predicted = self.backbone.features(ref, t, r.taps, anchor, stop=stop and not ahead)
            ref_next = ref if predicted is None else _next(ref, predicted, s, i)
            still = (ref + ref_next) / 2 if ahead else ref
        z = z.detach().clone().requires_grad_()
        # all that no update changes is made here: an update neither copies from the host nor waits for it
        plan = r.supervision.plan(wanted, r.ramp[i])
        constraint = r.constraint.beside(z)
        mask = None if r.update_mask is None else r.update_mask.to(z)
        optimizer = r.optimizer([z])
        rates = [group["lr"] for group in optimizer.param_groups]
        if self.state is None:
            self.state = r.supervision.init(wanted)
        arrived = 0  # updates at full progress
        for k, progress in enumerate(r.ramp[i]):
            features, predicted = self.backbone.features(z, t, r.taps, self.kv, stop=stop)
            if r.track_every and self.made and k % r.track_every == 0:
                self.state, self.finished = r.supervision.track(features, plan, self.state)
                self.traces.append(r.supervision.trace(self.state))
                if self.finished:
                    break
            loss = r.supervision.loss(features, plan, self.state, progress)
            if predicted is not None:
                loss = loss + constraint.penalty(_next(z, predicted, s, i), ref_next)
            if loss.requires_grad:
                (gradient,) = torch.autograd.grad(loss, z)
                z.grad = gradient if mask is None else gradient * mask
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * (r.hold_gain if progress >= 1 else 1.0)
                optimizer.step()
                with torch.no_grad():
                    z.copy_(constraint.project(z, still))
            self.note(loss.detach())
            self.tell(i, z)
            arrived += progress >= 1
            if r.settle and arrived >= 10 and arrived % 5 == 0 and self.settled():
                break
        return z.detach()

    def settled(self) -> bool:
        """Asked every five updates, and only if wanted: then the loop waits for the device."""
        assert self.losses is not None
        before, after = self.losses[self.made - 10 : self.made].reshape(2, 5).mean(1).tolist()
        return bool(after > (1 - self.recipe.settle) * before)


def _next(z: Tensor, prediction: Tensor, s: Schedule, i: int) -> Tensor:
    """One plain step towards the clean end."""
    if s.prediction == "velocity":
        return z + (s.t[i + 1] - s.t[i]) * prediction
    return ddim_jump(z, prediction, s, i, i + 1)

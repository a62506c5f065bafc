"""One drag edit: invert the picture, optimise the latent at some levels, denoise through all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from .constrain import Constraint
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
    methods use it). `background` says what the constraint compares with: the stored inversion trajectory, or
    a reconstruction denoised beside the edit.
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
    track_every: int = 0
    hold_gain: float = 1.0
    start: Start | None = None
    update_mask: Tensor | None = None
    background: str = "trajectory"


@dataclass(frozen=True)
class Result:
    """z: the edited clean latent; reconstruction: the background's; one loss an update; handle places after
    each tracking.
    """

    z: Tensor
    reconstruction: Tensor
    losses: tuple[float, ...]
    traces: tuple[tuple[Point, ...], ...]


@torch.no_grad()
def invert(
    backbone: Backbone,
    z0: Tensor,
    schedule: Schedule,
    solver: Solver,
    kv_blocks: tuple[str, ...] = (),
    on_step: OnStep = lambda step: None,
) -> Trajectory:
    """The noisy latents of the clean latent z0 (1, C, h, w) at every level of `schedule`, K/V of `kv_blocks`
    recorded.
    """
    cache = KVCache()
    kv: KV = KVRecord(cache, kv_blocks) if kv_blocks else None
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
    backbone: Backbone, source: Trajectory, recipe: Recipe, on_step: OnStep = lambda step: None
) -> Result:
    """Edit the inverted picture `source` as `recipe` says."""
    s, r = source.schedule, recipe
    inject: KV = KVInject(source.kv, r.kv_blocks) if source.kv and r.kv_blocks else None
    run = _Run(backbone, source, r, inject if r.kv_while_dragging else None, on_step)
    z = ref = source.z[0]
    # FireFlow starts anew with a true midpoint step; alf needs the velocity that it arrived with
    carry = carry_ref = source.carry if r.solver is alf else None
    for i in range(len(s.t) - 1):
        started = z if r.start is None else r.start(z, source, i)
        if i < len(r.ramp) and r.ramp[i] and not run.finished:
            z, carry = run.optimise(started, ref, i), None
        elif started is not z:
            z, carry = started, None
        kv = inject if r.kv_while_dragging or run.finished or i + 1 >= len(r.ramp) else None
        with torch.no_grad():
            z, carry = r.solver(backbone, z, s, i, i + 1, kv, carry)
            if r.background == "reconstruction":
                ref, carry_ref = r.solver(backbone, ref, s, i, i + 1, None, carry_ref)
            else:
                ref = source.z[i + 1]
            z = r.constraint.project(z, ref)
        run.tell(i + 1, z)
    return Result(z, ref, tuple(torch.stack(run.losses).tolist()) if run.losses else (), tuple(run.traces))


def clean_estimate(z: Tensor, source: Trajectory, level: int) -> Tensor:
    """A preview of where z (1, C, h, w) at `level` is going, without a model call: the clean source plus
    what z has changed.
    """
    return source.z[-1] + (z - source.z[level]) / max(source.schedule.alpha[level], 0.05)


class _Run:
    """What one edit carries from level to level: supervision state, losses, traces, progress."""

    def __init__(
        self, backbone: Backbone, source: Trajectory, recipe: Recipe, kv: KV, on_step: OnStep
    ) -> None:
        self.backbone, self.source, self.recipe, self.kv, self.on_step = backbone, source, recipe, kv, on_step
        self.state: Any = None
        self.finished = False
        self.losses: list[Tensor] = []
        self.traces: list[tuple[Point, ...]] = []
        self.done, self.total = 0, len(source.schedule.t) - 1 + sum(map(len, recipe.ramp))

    def tell(self, level: int, z: Tensor) -> None:
        self.done += 1
        handles = self.recipe.supervision.trace(self.state) if self.state is not None else ()
        self.on_step(Step(self.done, self.total, level, z.detach(), handles))

    def optimise(self, z: Tensor, ref: Tensor, i: int) -> Tensor:
        """The updates of level i, against the source's features at the same level."""
        r, s, t = self.recipe, self.source.schedule, self.source.schedule.t[i]
        stop = not r.constraint.needs_prediction
        with torch.no_grad():
            anchor: KV = KVRecord(self.source.kv, r.kv_blocks) if self.source.kv and r.kv_blocks else None
            wanted, predicted = self.backbone.features(ref, t, r.taps, anchor, stop=stop)
            ref_next = ref if predicted is None else _next(ref, predicted, s, i)
        z = z.detach().clone().requires_grad_()
        optimizer = r.optimizer([z])
        rates = [group["lr"] for group in optimizer.param_groups]
        if self.state is None:
            self.state = r.supervision.init(wanted)
        for k, progress in enumerate(r.ramp[i]):
            features, predicted = self.backbone.features(z, t, r.taps, self.kv, stop=stop)
            if r.track_every and self.losses and k % r.track_every == 0:
                self.state, self.finished = r.supervision.track(features, wanted, self.state)
                self.traces.append(r.supervision.trace(self.state))
                if self.finished:
                    break
            loss = r.supervision.loss(features, wanted, self.state, progress)
            if predicted is not None:
                loss = loss + r.constraint.penalty(_next(z, predicted, s, i), ref_next)
            if loss.requires_grad:
                (gradient,) = torch.autograd.grad(loss, z)
                z.grad = gradient if r.update_mask is None else gradient * r.update_mask.to(gradient)
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * (r.hold_gain if progress >= 1 else 1.0)
                optimizer.step()
                with torch.no_grad():
                    z.copy_(r.constraint.project(z, ref))
            self.losses.append(loss.detach())
            self.tell(i, z)
        return z.detach()


def _next(z: Tensor, prediction: Tensor, s: Schedule, i: int) -> Tensor:
    """One plain step towards the clean end."""
    if s.prediction == "velocity":
        return z + (s.t[i + 1] - s.t[i]) * prediction
    return ddim_jump(z, prediction, s, i, i + 1)


class NormalisedDescent(Optimizer):
    """Gradient descent whose step has root-mean-square `lr` over the cells where the gradient acts, whatever
    its size.
    """

    def __init__(self, params: list[Tensor], lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for p in group["params"]:
                acts = (p.grad != 0).sum().clamp_min(1)
                p.sub_(group["lr"] * p.grad / ((p.grad.square().sum() / acts).sqrt() + 1e-12))

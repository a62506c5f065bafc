"""The updates of a drag: what one edit carries from level to level, and the optimisation at a level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .bounds import Size, check, extent, measured
from .precision import uncast
from .solvers import ddim_jump
from .types import KV, Backbone, KVCache, KVRecord, Point, Schedule, Trajectory

if TYPE_CHECKING:
    from .drag import Recipe, Result


@dataclass(frozen=True)
class Step:
    """Told after every update and every denoising step; an exception raised by the listener cancels
    cleanly. `check` raises DragError where the updates so far have left the range of latents: it waits for
    the device, so that it is for listeners which do anyway.
    """

    done: int
    total: int
    level: int
    z: Tensor
    handles: tuple[Point, ...] = ()
    stage: str = "drag"
    check: Callable[[], object] = lambda: None


OnStep = Callable[[Step], None]


@dataclass
class Log:
    """What is told of an edit while it runs: losses, handle places, progress."""

    on_step: OnStep
    updates: int  # at most
    total: int
    rows: Tensor | None = None  # (updates, 5): a loss and what bounds.measured says, read at the end
    made: int = 0
    done: int = 0
    traces: list[tuple[Point, ...]] = field(default_factory=list)

    @classmethod
    def of(cls, recipe: Recipe, steps: int, on_step: OnStep) -> Log:
        updates = sum(map(len, recipe.ramp)) + (sum(map(len, recipe.first.ramp)) if recipe.first else 0)
        return cls(on_step, updates, steps + updates)

    def go_on(self, earlier: Result) -> None:
        rows = [(x, *astuple(size)) for x, size in zip(earlier.losses, earlier.sizes, strict=True)]
        self.rows = torch.tensor(rows, dtype=torch.float64) if rows else None
        self.made = len(rows)
        self.traces = list(earlier.traces)
        self.done = len(earlier.losses) + earlier.handoff.level

    def read(self) -> tuple[tuple[float, ...], tuple[Size, ...]]:
        """Loss and size of every update so far, one wait for the device; raises DragError where one is
        outside.
        """
        rows = [] if self.rows is None else self.rows[: self.made].tolist()
        losses, sizes = tuple(row[0] for row in rows), tuple(Size(*row[1:]) for row in rows)
        check(losses, sizes, self.updates)
        return losses, sizes

    def note(self, row: Tensor) -> None:
        """An update's numbers (5,), on the device."""
        if self.rows is None:
            self.rows = row.new_zeros(self.updates, len(row))
        self.rows[self.made] = row
        self.made += 1


class Updates:
    """One recipe's updates: supervision state and whether they are over."""

    def __init__(
        self,
        backbone: Backbone,
        source: Trajectory,
        recipe: Recipe,
        store: KVCache | None,
        kv: KV,
        log: Log,
    ) -> None:
        self.backbone, self.source, self.recipe, self.log = backbone, source, recipe, log
        self.store, self.kv = store, kv
        self.state: Any = None
        self.finished = False
        self.made = 0
        self.reached = False  # what the last tracking found
        self.still = 0  # trackings in a row that moved no handle

    def tell(self, level: int, z: Tensor) -> None:
        self.log.done += 1
        handles = self.recipe.supervision.trace(self.state) if self.state is not None else ()
        step = Step(self.log.done, self.log.total, level, z.detach(), handles, check=self.log.read)
        self.log.on_step(step)

    def optimise(self, z: Tensor, ref: Tensor, i: int) -> Tensor:
        """The updates of level i, against the source's features at the same level."""
        r, s, t = self.recipe, self.source.schedule, self.source.schedule.t[i]
        if self.finished or i >= len(r.ramp) or not r.ramp[i]:
            return z
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
        of_source = extent(self.source.z[i])
        if self.state is None:
            self.state = r.supervision.init(wanted)
        arrived = 0  # updates at full progress
        for k, progress in enumerate(r.ramp[i]):
            features, predicted = self.backbone.features(z, t, r.taps, self.kv, stop=stop)
            if r.track_every and self.made and (k == 0 if r.stale_tracking else k % r.track_every == 0):
                self.track(features, plan, counted=not r.stale_tracking)
            if self.reached or (r.patience and self.still >= r.patience):
                self.finished = True
                break
            with uncast(z.device):
                loss = r.supervision.loss(features, plan, self.state, progress)
                if predicted is not None:
                    loss = loss + constraint.penalty(_next(z, predicted, s, i), ref_next, progress)
                gradient = torch.autograd.grad(loss, z)[0] if loss.requires_grad else None
            if gradient is not None:
                z.grad = gradient if mask is None else gradient * mask
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * (r.hold_gain if progress >= 1 else 1.0)
                optimizer.step()
                with torch.no_grad():
                    z.copy_(constraint.project(z, still))
            self.made += 1
            self.log.note(measured(loss, z, self.source.z[i], of_source))
            self.tell(i, z)
            if r.stale_tracking and r.track_every and (k + 1) % r.track_every == 0:
                self.track(features, plan, counted=True)
            arrived += progress >= 1
            if r.settle and arrived >= 10 and arrived % 5 == 0 and self.settled():
                break
        return z.detach()

    def track(self, features: list[Tensor], plan: Any, counted: bool) -> None:
        before = self.state
        self.state, self.reached = self.recipe.supervision.track(features, plan, self.state)
        self.log.traces.append(self.recipe.supervision.trace(self.state))
        if counted and self.recipe.patience:
            self.still = self.still + 1 if torch.equal(before, self.state) else 0

    def settled(self) -> bool:
        """Asked every five updates, and only if wanted: then the loop waits for the device."""
        losses, _ = self.log.read()
        assert self.log.rows is not None
        last = torch.tensor(losses[-10:], dtype=self.log.rows.dtype)
        before, after = last.reshape(2, 5).mean(1).tolist()
        return bool(after > (1 - self.recipe.settle) * before)


def _next(z: Tensor, prediction: Tensor, s: Schedule, i: int) -> Tensor:
    """One plain step towards the clean end."""
    if s.prediction == "velocity":
        return z + (s.t[i + 1] - s.t[i]) * prediction
    return ddim_jump(z, prediction, s, i, i + 1)

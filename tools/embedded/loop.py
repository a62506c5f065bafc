"""The loop that all three trainings run: rates, one step, the running mean of the weights, checkpoints.

Everything depends on the number of the step alone, never on the clock, so that a training that was stopped
and goes on from its checkpoint ends, on a CPU, in the same bits as one that ran through.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from drag_core.types import DragError

Row = dict[str, object]
LOOK = 20  # steps from one look at the loss to the next: each waits for the device


@dataclass(frozen=True)
class Rate:
    """A learning rate: up in `warm` steps, flat, to zero over the last share `fall`, never below `least`.

    until: the share of all steps after which it has come to zero.
    """

    peak: float
    warm: int
    fall: float
    least: float
    until: float = 1.0

    def at(self, step: int, steps: int) -> float:
        left = 1 - step / max(1.0, self.until * steps)
        return (
            self.peak * min(1.0, (step + 1) / self.warm) * max(0.0, min(1.0, left / self.fall)) + self.least
        )


@dataclass(frozen=True)
class Training:
    """What one training is.

    net: the network, whose `source` is the part with a running mean `mean` (decay `decay`), which ships.
    rates: one for each parameter group of the optimisers, in their order.
    loss: (step, steps) -> the loss of that step's batch of `batch`, counted as `unit`.
    measure: what the log says of the held-out pictures.
    """

    name: str
    net: nn.Module
    source: nn.Module
    mean: nn.Module
    decay: float
    optimisers: tuple[torch.optim.Optimizer, ...]
    rates: tuple[Rate, ...]
    loss: Callable[[int, int], Tensor]
    measure: Callable[[], Row]
    batch: int
    unit: str


@dataclass(frozen=True)
class Progress:
    """How far a training is: `step` of `steps`, the running loss, and the log's rows so far."""

    step: int
    steps: int
    loss: float = 0.0
    rows: tuple[Row, ...] = ()


@torch.no_grad()
def follow(mean: Sequence[Tensor], now: Sequence[Tensor], decay: float, step: int) -> None:
    """Moves a running mean of weights on by one step, faster at first; `step` counts from 1."""
    d = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(mean), [p.detach() for p in now], 1 - d)


def set_rates(t: Training, step: int, steps: int) -> None:
    groups = [g for o in t.optimisers for g in o.param_groups]
    for group, rate in zip(groups, t.rates, strict=True):
        group["lr"] = rate.at(step, steps)


def one_step(t: Training, step: int, steps: int) -> Tensor:
    """Trains on one batch; the loss, still on the device."""
    set_rates(t, step, steps)
    loss = t.loss(step, steps)
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for p in t.net.parameters() if p.grad is not None], 1.0)
    for o in t.optimisers:
        o.step()
        o.zero_grad(set_to_none=True)
    follow(list(t.mean.parameters()), list(t.source.parameters()), t.decay, step + 1)
    return loss.detach()


def fit(t: Training, progress: Progress, until: int, report: Callable[[Progress], Progress]) -> Progress:
    """Trains from `progress` to the step `until`; `report` sees every step and may log, save and add rows."""
    for step in range(progress.step, until):
        loss, running = one_step(t, step, progress.steps), progress.loss
        if step % LOOK == 0:
            value = float(loss)
            running = value if step == 0 else 0.8 * running + 0.2 * value
            if not math.isfinite(value):
                raise DragError(
                    f"the loss of {t.name} is {value} at step {step}: start again in another folder with "
                    "lower learning rates, as --rate 0.5"
                )
        progress = report(replace(progress, step=step + 1, loss=running))
    return progress


def state_of(t: Training, progress: Progress) -> dict[str, Any]:
    """Everything that a checkpoint holds."""
    return {
        "step": progress.step,
        "steps": progress.steps,
        "loss": progress.loss,
        "rows": list(progress.rows),
        "batch": t.batch,
        "net": t.net.state_dict(),
        "mean": t.mean.state_dict(),
        "optimisers": [o.state_dict() for o in t.optimisers],
    }


def restore(t: Training, state: dict[str, Any]) -> Progress:
    """Brings a training to where a checkpoint was."""
    t.net.load_state_dict(state["net"])
    t.mean.load_state_dict(state["mean"])
    for o, saved in zip(t.optimisers, state["optimisers"], strict=True):
        o.load_state_dict(saved)
    return Progress(state["step"], state["steps"], state["loss"], tuple(state["rows"]))


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes a checkpoint through a temporary file, so that a kill never leaves half of one."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def read(path: Path) -> dict[str, Any]:
    """Reads a checkpoint, onto the CPU."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state

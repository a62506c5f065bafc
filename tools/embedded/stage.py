"""One of the three trainings from its first step, or its checkpoint, to its end: steps, log, checkpoints."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from .loop import Progress, Row, Training, fit, one_step, read, restore, save, state_of
from .mix import Mix

ROWS = 30  # of the log, in one run's time
SAVE = 60.0  # seconds from one checkpoint to the next
Leg = tuple[int, Callable[[], Row]]
OVERHEAD = 0.9  # the share of a training's time that is steps; the rest measures and saves
WARM, TIMED, LEAST = 2, 12, 2.0  # steps before the clock runs; steps timed, at most; seconds timed, at least


@dataclass(frozen=True)
class Clock:
    """Seconds since the run began, those before a stop counted in."""

    before: float
    begin: float

    def now(self) -> float:
        return self.before + time.monotonic() - self.begin


@dataclass(frozen=True)
class Budget:
    """What a training may take: `steps`, or if that is None so many as fit into `seconds`."""

    seconds: float
    steps: int | None


def seconds_a_step(t: Training) -> float:
    """Times a few steps and takes them back; all are the first, so that no later scenes are drawn."""
    before = copy.deepcopy(state_of(t, Progress(0, 100)))
    cuda = next(t.net.parameters()).is_cuda
    for _ in range(WARM):
        one_step(t, 0, 100)
    count, began = 0, time.monotonic()
    while count < TIMED and (count == 0 or time.monotonic() - began < LEAST):
        one_step(t, 0, 100)
        count += 1
        if cuda:
            torch.cuda.synchronize()
    each = (time.monotonic() - began) / count
    restore(t, before)
    return each


def made(build: Callable[[bool], Training], compiled: bool, timed: bool) -> tuple[Training, float]:
    """The training, compiled if that is asked for and works, and the seconds of a step (0: not timed)."""
    if compiled:
        try:
            t = build(True)
            return t, seconds_a_step(t)
        except RuntimeError as e:  # torch's own errors of compilers are those
            print(f"Going on without torch.compile, which failed: {str(e)[:300]}", flush=True)
    t = build(False)
    return t, seconds_a_step(t) if timed else 0.0


def show(name: str, row: Row) -> Row:
    print(name, json.dumps(row), flush=True)
    return row


def reporting(
    t: Training, path: Path, clock: Clock, every: float, mix: Mix
) -> Callable[[Progress], Progress]:
    """What `fit` calls after every step: checkpoints, and rows of the log.

    Rows are `every` seconds apart, or nine times what the last one took.
    """
    last = {"row": clock.now(), "save": clock.now(), "took": 0.0}

    def report(p: Progress) -> Progress:
        now = clock.now()
        if now - last["row"] >= max(every, 9 * last["took"]):
            rate = t.optimisers[-1].param_groups[0]["lr"]
            done: Row = {
                "s": round(now, 1),
                "step": p.step,
                t.unit: p.step * t.batch,
                "loss": round(p.loss, 5),
            }
            drawn: Row = {"rate": round(rate, 6), "scenes": mix.lit.drawn, "first": mix.plain.drawn}
            p = replace(p, rows=(*p.rows, show(t.name, done | drawn | t.measure())))
            last["row"] = clock.now()
            last["took"] = last["row"] - now
        if now - last["save"] >= SAVE:
            last["save"] = now
            save(path, state_of(t, p) | {"seconds": now})
        return p

    return report


def begin(t: Training, steps: int, clock: Clock, device: str, compiled: bool) -> Progress:
    count = sum(p.numel() for p in t.net.parameters() if p.requires_grad)
    first: Row = {"s": round(clock.now(), 1), "event": "start", "device": device, "parameters": count}
    facts: Row = {"steps": steps, "compiled": compiled}
    before: Row = {"s": round(clock.now(), 1), "event": "before"}
    return Progress(0, steps, rows=(show(t.name, first | facts), show(t.name, before | t.measure())))


def run_stage(
    build: Callable[[bool], Training],
    path: Path,
    clock: Clock,
    budget: Budget,
    row_every: float,
    mix: Mix,
    compiled: bool = False,
    legs: Callable[[int], tuple[Leg, ...]] = lambda steps: (),
) -> tuple[Training, Progress]:
    """Trains to the end, from the checkpoint `path` where there is one.

    build: makes the training, compiled or not.
    legs: of all steps: the steps on the way at which the log says something of its own, in their order.
    """
    began, new = clock.now(), not path.exists()
    t, each = made(build, compiled, timed=new and budget.steps is None)
    if new:
        left = budget.seconds - (clock.now() - began)
        steps = budget.steps or max(1, int(OVERHEAD * left / each))
        progress = begin(t, steps, clock, str(next(t.net.parameters()).device), compiled)
    else:
        progress = restore(t, read(path))
    report = reporting(t, path, clock, row_every, mix)
    end: Leg = (progress.steps, lambda: {"event": "end"})
    for until, said in (*legs(progress.steps), end):
        if progress.step >= until:
            continue
        progress = fit(t, progress, until, report)
        row: Row = {"s": round(clock.now(), 1)}
        row |= said()
        row |= {"step": until, t.unit: until * t.batch, "scenes": mix.lit.drawn, "first": mix.plain.drawn}
        progress = replace(progress, rows=(*progress.rows, show(t.name, row | t.measure())))
    save(path, state_of(t, progress) | {"seconds": clock.now()})
    return t, progress

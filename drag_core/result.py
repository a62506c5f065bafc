"""What a drag tells while it runs, and what it returns."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field

import torch
from torch import Tensor

from .recipes.recipe import Recipe
from .step import OnStep
from .trajectory.bounds import Size, check
from .types import KVCache, Point


@dataclass(frozen=True)
class Handoff:
    """The latent as the last update or start left it, at `level` of the schedule.

    Any sampler can go on from there. Beside it are the background and the solver's velocities of that level.
    """

    level: int
    z: Tensor
    background: Tensor
    carry: Tensor | None = None
    carry_background: Tensor | None = None


@dataclass(frozen=True)
class Result:
    """What a drag gives.

    z: the edited clean latent.
    reconstruction: the background's.
    losses: one an update.
    sizes: of the latent, one an update.
    traces: handle places after each tracking.
    kv: of a paused edit the K/V that it goes on with, which hold the source's at the level of the updates. Of
        a finished one None, so that nothing is kept alive.
    """

    z: Tensor
    reconstruction: Tensor
    losses: tuple[float, ...]
    traces: tuple[tuple[Point, ...], ...]
    handoff: Handoff
    sizes: tuple[Size, ...]
    kv: KVCache | None = field(default=None, compare=False)


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
        """Returns loss and size of every update so far, with one wait for the device.

        Raises DragError where one is outside.
        """
        rows = [] if self.rows is None else self.rows[: self.made].tolist()
        losses, sizes = tuple(row[0] for row in rows), tuple(Size(*row[1:]) for row in rows)
        check(losses, sizes, self.updates)
        return losses, sizes

    def note(self, row: Tensor) -> None:
        """Notes an update's numbers (5,), on the device."""
        if self.rows is None:
            self.rows = row.new_zeros(self.updates, len(row))
        self.rows[self.made] = row
        self.made += 1

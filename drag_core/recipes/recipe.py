"""A recipe: which features, which supervision, which constraint, how progress runs over the noise levels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from torch import Tensor
from torch.optim import Optimizer

from ..adapters.use import AdapterUse
from ..features.correspondence import Correspondence
from ..features.supervise import Supervision
from ..lora import Training
from ..ranges import check_mode
from ..trajectory.background import Background, Stored
from ..trajectory.constrain import Constraint
from ..trajectory.solvers import Solver
from ..types import DragError, FeatureTap, KVCache, KVView, Schedule, Trajectory

KVOf = Literal["picture", "draft"]  # whose inversion's K/V are injected


class Start(Protocol):
    """Changes the latent before the first updates of a level (refill, paste)."""

    def __call__(self, z: Tensor, source: Trajectory, level: int) -> Tensor: ...


@dataclass(frozen=True)
class Recipe:
    """A published method, as choices: one part or number a field.

    Built by drag_core.recipes and read by drag().
    """

    # noise levels of the inversion and the edit
    schedule: Schedule
    # moves the latent from one level to the next
    solver: Solver
    # where features are compared
    taps: tuple[FeatureTap, ...]
    # loss and tracking on these features
    supervision: Supervision
    # what holds the rest of the picture still
    constraint: Constraint
    # makes the optimizer of the latent
    optimizer: Callable[[list[Tensor]], Optimizer]
    # ramp[i]: progress of each update made at level i of the schedule
    ramp: tuple[tuple[float, ...], ...]
    # blocks whose K/V are injected from an inversion
    kv_blocks: tuple[str, ...] = ()
    # from which: the picture's, or that of a draft of the result
    kv_of: KVOf = "picture"
    # False: injected only after the last drag level (MasaCtrl as the point methods use it)
    kv_while_dragging: bool = True
    # reads K/V in another order than by the nearest level
    kv_view: Callable[[KVCache], KVView] | None = None
    # record the picture's K/V at the very levels of the updates, which the inversion passes by; False: the
    # nearest ones that it stored are used there (DragFlow's text)
    kv_record: bool = True
    # inject the prompt's K/V, too
    kv_text: bool = False
    # every so many updates the handles are looked for again (0: never)
    track_every: int = 0
    # factor on the learning rate once the progress has reached 1
    hold_gain: float = 1.0
    # changes the latent before the first updates of a level
    start: Start | None = None
    # (1, 1, h, w), limits where the gradient acts
    update_mask: Tensor | None = None
    # what the constraint compares with
    background: Background = Stored()
    # a share above 0: a level's updates at full progress end when the last five lost less than it against the
    # five before
    settle: float = 0.0
    # tracks after each `track_every`-th update, in the features from before it (GoodDrag's released code): no
    # wrapper of a part can do that, it is the order of the loop itself
    stale_tracking: bool = False
    # tracks after the last update of a level at that level, by one more pass, not at the next level's first
    # (GoodDrag's Algorithm 1)
    track_last: bool = False
    # bends every denoising step
    guide: Correspondence | None = None
    # where an image adapter acts, if the user gives one (None: it takes none)
    adapter: AdapterUse | None = None
    # recipe whose updates come before this one's at each of its levels: same schedule, taps and constraint's
    # need (released DragNeXt's point phase)
    first: Recipe | None = None
    # the LoRA of the picture that the paper trains before it inverts; drag() itself trains none
    identity: Training | None = None

    def __post_init__(self) -> None:
        # not here: that the ramp fits the schedule. Both may be replaced until it is run (recipes.fast, the
        # host's own trajectory), and drag() asks with the schedule that it runs on
        check_mode("a recipe's kv_of", self.kv_of, KVOf)
        if not hasattr(self.solver, "carries"):
            raise DragError(
                f"a recipe's solver {self.solver!r} does not say whether it carries its velocity: make it a "
                "Stepping (drag_core.trajectory.solvers)"
            )
        if progress := [p for updates in self.ramp for p in updates if not 0 <= p <= 1]:
            raise DragError(f"a recipe's ramp has the progress {progress[0]}; it must lie from 0 to 1")
        if not 0 <= self.settle < 1:
            raise DragError(f"a recipe's settle is {self.settle}; it must be a share from 0 to below 1")
        if not 0 < self.hold_gain < math.inf:
            raise DragError(f"a recipe's hold_gain is {self.hold_gain}; it must be a number above 0")
        if self.track_every < 0:
            raise DragError(f"a recipe's track_every is {self.track_every}; it must be 0 (never) or more")
        if self.stale_tracking and self.track_last:
            raise DragError(
                "a recipe tracks either in the features from before an update (stale_tracking) or in fresh "
                "ones at the end of a level (track_last): set one of the two"
            )
        if self.first is not None:
            ours, first = (len(r.schedule.t) - 1 for r in (self, self.first))
            if first != ours:
                raise DragError(
                    f"a recipe has {ours} noise levels and what comes first {first}: put both on one schedule"
                )
            if self.first.first is not None:
                raise DragError("what comes first in a recipe has a first of its own, which would not run")


def check_ramp(recipe: Recipe, schedule: Schedule) -> None:
    """Raises DragError where a recipe, or what comes first in it, updates at more levels than there are."""
    levels = len(schedule.t) - 1
    ramp = max(len(recipe.ramp), 0 if recipe.first is None else len(recipe.first.ramp))
    if ramp > levels:
        raise DragError(
            f"this recipe updates at {ramp} noise levels and the trajectory has {levels}: invert with "
            "more steps or a higher strength"
        )


def on_schedule(recipe: Recipe, schedule: Schedule, **changes: Any) -> Recipe:
    """`recipe`, and what comes first in it, on another schedule, with other changes at the same time."""
    first = None if recipe.first is None else replace(recipe.first, schedule=schedule)
    return replace(recipe, **{"schedule": schedule, "first": first, **changes})

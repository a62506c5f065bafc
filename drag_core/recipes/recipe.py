"""A recipe: which features, which supervision, which constraint, how progress runs over the noise levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.optim import Optimizer

from ..features.correspondence import Correspondence
from ..features.supervise import Supervision
from ..trajectory.background import Background, Stored
from ..trajectory.constrain import Constraint
from ..trajectory.solvers import Solver
from ..types import FeatureTap, KVCache, KVView, Schedule, Trajectory


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
    # blocks whose K/V are injected from the inversion
    kv_blocks: tuple[str, ...] = ()
    # False: injected only after the last drag level (MasaCtrl as the point methods use it)
    kv_while_dragging: bool = True
    # reads K/V in another order than by the nearest level
    kv_view: Callable[[KVCache], KVView] | None = None
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
    # bends every denoising step
    guide: Correspondence | None = None
    # recipe whose updates come before this one's at each of its levels: same schedule, taps and constraint's
    # need (released DragNeXt's point phase)
    first: Recipe | None = None

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
    """A published method, as choices.

    `ramp[i]` lists the progress of each update made at level i of `schedule`; `hold_gain` multiplies the
    learning rate once the progress has reached 1. `track_every` updates the handles are looked for again (0:
    never). `update_mask` (1, 1, h, w) limits where the gradient acts. K/V of `kv_blocks` are injected from
    the inversion, with `kv_while_dragging` False only after the last drag level (MasaCtrl as the point
    methods use it); `kv_view` reads them in another order than by the nearest level. `background` is what the
    constraint compares with. With `settle` above 0 a level's updates at full progress end when the last five
    lost less than this share against the five before. `guide` bends every denoising step; `first` is a recipe
    whose updates come before this one's at each of its levels (same schedule, taps and constraint's need;
    released DragNeXt's point phase).
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
    kv_view: Callable[[KVCache], KVView] | None = None
    kv_text: bool = False
    track_every: int = 0
    hold_gain: float = 1.0
    start: Start | None = None
    update_mask: Tensor | None = None
    background: Background = Stored()
    settle: float = 0.0
    # tracks after each `track_every`-th update, in the features from before it (GoodDrag's released code): no
    # wrapper of a part can do that, it is the order of the loop itself
    stale_tracking: bool = False
    guide: Correspondence | None = None
    first: Recipe | None = None

"""The pull of moved regions: `gap` is the definition; an update runs what `plan` found to fit.

That is the fused kernel on a card with triton, and windows everywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from ...types import Grid
from . import fused, windowed
from .poses import Moved, Pose, pose
from .reference import gap
from .windowed import Read, Window, window

Planned = Any  # a Pose, or a tuple of Window

__all__ = ["Moved", "Planned", "Read", "Window", "gap", "plan", "pull", "window", "windows"]


def windows(maps: Sequence[Tensor], size: Grid, moved: Sequence[Moved]) -> tuple[Window, ...]:
    """Plans each region that is on the picture as a window."""
    found = (window(maps, size, *one) for one in moved)
    return tuple(w for w in found if w is not None)


def plan(
    maps: list[Tensor], size: Grid, moved: Mapping[float, Sequence[Moved]]
) -> tuple[list[Tensor], dict[float, Planned]]:
    """Returns the reference maps as `pull` wants them, and a plan for each progress."""
    if not fused.fits(maps, size):
        return maps, {s: windows(maps, size, m) for s, m in moved.items()}
    return fused.laid(maps), {s: pose(maps, size, m, fused.BLOCKS.channels) or () for s, m in moved.items()}


def pull(
    now: list[Tensor], then: list[Tensor], planned: Planned, scale: list[Tensor] | None = None
) -> Tensor:
    """Sums share · gap over the regions of one progress; differentiable in `now`."""
    if isinstance(planned, Pose):
        return fused.pull(now, then, planned, scale)
    return windowed.pull(now, then, planned, scale)

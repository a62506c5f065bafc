"""A drag as tracks for video models: where points of it are in every frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..types import DragError, Grid, Handle, Task
from .exchange import handles_of
from .field import bends, carried, on_regions, points_of
from .geometry import motion_matrix

MOST_FRAMES = 1024


@dataclass(frozen=True)
class Tracks:
    """Tracks of N points over F frames.

    path: (F, N, 2) float32, (x, y) in px of the video from its left and upper edge (a pixel's middle is at a
    half).
    visible: (F, N) bool.
    """

    path: Tensor
    visible: Tensor


def tracks_of(task: Task, frames: int, size: Grid, samples: int = 4) -> Tracks:
    """Makes the tracks of a drag in a video of `frames` frames of `size`, at an even pace.

    Of a region: its middle and `samples` points along its outline, by its motion and path, or by the field
    where several points bend it. Of points that bend a region or lie on none: straight ways; held, they stay.
    Always visible: what leaves the frame is for who reads the tracks to see.
    Raises DragError where nothing moves or a number is out of range.
    """
    if not 1 <= frames <= MOST_FRAMES:
        raise DragError(f"the tracks have {frames} frames; it must be within 1 and {MOST_FRAMES}")
    if samples < 0:
        raise DragError(f"{samples} points along an outline; it must be 0 at least")
    if not task.regions and not task.handles:
        raise DragError("the drag moves nothing, so that it has no tracks: mark a region or a pair of points")
    pace = torch.linspace(0, 1, frames, dtype=torch.float64)
    parts, done = [], set[int]()
    for region, handles in zip(task.regions, on_regions(task), strict=True):
        at = torch.tensor([h.start for h in handles_of(region, samples)], dtype=torch.float64)
        if bends(region, handles):
            starts, targets = points_of(handles)
            parts += [torch.stack([carried(at, starts, starts + s * (targets - starts)) for s in pace])]
        else:
            done |= {id(h) for h in handles}  # the region's motion has the word
            matrices = torch.stack([motion_matrix(region.motion, float(s)) for s in pace])
            parts += [at @ matrices[:, :2, :2].mT + matrices[:, None, :2, 2]]
    parts += [_straight(h, pace) for h in task.handles if id(h) not in done]
    scale = torch.tensor([size.width / task.image.width, size.height / task.image.height])
    path = ((torch.cat(parts, 1) + 0.5) * scale).float()
    return Tracks(path, torch.ones(path.shape[:2], dtype=torch.bool))


def _straight(handle: Handle, pace: Tensor) -> Tensor:
    """Computes a point's places at every progress of `pace` (F,), (F, 1, 2)."""
    starts, targets = points_of([handle])
    return starts + pace[:, None, None] * (targets - starts)

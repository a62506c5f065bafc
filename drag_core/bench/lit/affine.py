"""Affine maps of the picture, one a scene: (B, 2, 3) in float64, pixels to pixels.

Sums are written out: a matrix product of a batch may round otherwise than that of one.
"""

from __future__ import annotations

import torch
from torch import Tensor


def identity(like: Tensor) -> Tensor:
    """Returns the maps that move nothing, one for each row of `like`."""
    return torch.eye(2, 3, device=like.device, dtype=torch.float64).expand(len(like), 2, 3)


def turning(angle: Tensor) -> Tensor:
    """Returns the linear parts (B, 2, 2) of turns by `angle` (B,), in rad, from +x towards +y."""
    c, s = angle.double().cos(), angle.double().sin()
    return torch.stack([c, -s, s, c], 1).view(-1, 2, 2)


def about(centre: Tensor, linear: Tensor) -> Tensor:
    """Builds the maps that do `linear` (B, 2, 2) about a point (B, 2)."""
    linear, centre = linear.double(), centre.double()
    return torch.cat([linear, (centre - _times(linear, centre))[:, :, None]], 2)


def shifting(shift: Tensor) -> Tensor:
    """Builds the maps that move by `shift` (B, 2)."""
    return torch.cat([identity(shift)[:, :, :2], shift.double()[:, :, None]], 2)


def carried(matrix: Tensor, points: Tensor) -> Tensor:
    """Carries points (B, 2)."""
    return _times(matrix, points.double()) + matrix[:, :, 2]


def compose(after: Tensor, before: Tensor) -> Tensor:
    """Builds the maps that do `before`, then `after`."""
    columns = [_times(after, before[:, :, i]) for i in range(3)]
    return torch.stack([*columns[:2], columns[2] + after[:, :, 2]], 2)


def _times(linear: Tensor, points: Tensor) -> Tensor:
    return linear[:, :, 0] * points[:, :1] + linear[:, :, 1] * points[:, 1:]

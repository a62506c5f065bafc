"""Affine maps of the picture, one a scene: (B, 2, 3), pixels to pixels."""

from __future__ import annotations

import torch
from torch import Tensor


def identity(like: Tensor) -> Tensor:
    """Returns the maps that move nothing, one for each row of `like`."""
    return torch.eye(2, 3, device=like.device).expand(len(like), 2, 3)


def turning(angle: Tensor) -> Tensor:
    """Returns the linear parts (B, 2, 2) of turns by `angle` (B,), in rad, from +x towards +y."""
    c, s = angle.cos(), angle.sin()
    return torch.stack([c, -s, s, c], 1).view(-1, 2, 2)


def about(centre: Tensor, linear: Tensor) -> Tensor:
    """Builds the maps that do `linear` (B, 2, 2) about a point (B, 2)."""
    return torch.cat([linear, (centre[:, :, None] - linear @ centre[:, :, None])], 2)


def compose(after: Tensor, before: Tensor) -> Tensor:
    """Builds the maps that do `before`, then `after`."""
    linear = after[:, :, :2] @ before[:, :, :2]
    return torch.cat([linear, (after[:, :, :2] @ before[:, :, 2:]) + after[:, :, 2:]], 2)


def carried(matrix: Tensor, points: Tensor) -> Tensor:
    """Carries points (B, 2)."""
    return (matrix[:, :, :2] @ points[:, :, None])[:, :, 0] + matrix[:, :, 2]

"""The movable part: where its joint is, and where one would take hold of it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .affine import carried
from .layers import canvas_of, look_of
from .scene import Scenes
from .things.table import KINDS

SMALL = 8  # px: a joint is known once its thing is drawn, however small


def joint_of(s: Scenes) -> Tensor:
    """Computes where the joints of the top things' parts are on the picture, (B, 2)."""
    t, small = s.top, replace(s, size=SMALL)
    own = torch.zeros_like(t.centre)
    corner = torch.zeros_like(t.kind), torch.zeros_like(t.kind)
    for k, kind in enumerate(KINDS.values()):
        rows = (t.kind == k).nonzero()[:, 0]
        if len(rows) and kind.swing:
            c = canvas_of(small, t, rows, corner, SMALL)
            kind.draw(c, look_of(t, rows))
            own[rows] = c.joint
    return carried(t.matrix, own)


def far_end(mask: Tensor, joint: Tensor) -> Tensor:
    """Finds the covered pixel nearest to .85 of the way out from the joint: where a user would take hold.

    mask: (B, S, S) in {0, 1}; returns (B, 2).
    """
    side = mask.shape[-1]
    at = torch.arange(side, device=mask.device, dtype=torch.float32)
    away = torch.hypot(at[None, None, :] - joint[:, :1, None], at[None, :, None] - joint[:, 1:, None])
    reach = (away * mask).amax((1, 2))[:, None, None] * 0.85
    index = torch.where(mask > 0, (away - reach).abs(), torch.full_like(away, 1e6)).flatten(1).argmin(1)
    return torch.stack([index % side, index // side], 1).double()

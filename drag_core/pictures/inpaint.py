"""Pixel warp and inpainting, without any model.

This is the upper reference on rigid scenes, and what refills a vacated source.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from ..motion.geometry import motion_matrix, warp
from ..motion.masks import grow, union
from ..types import Region


def painted_over(image: Tensor, mask: Tensor, margin: int = 5, radius: float = 5.0) -> Tensor:
    """Fills the masked part of a picture (3, H, W) in [0, 1] in from around it (Telea)."""
    rgb = (image.permute(1, 2, 0).cpu().numpy() * 255).round().astype(np.uint8)
    hole = grow(mask, margin).cpu().numpy().astype(np.uint8)
    filled = cv2.inpaint(np.ascontiguousarray(rgb), hole, radius, cv2.INPAINT_TELEA)
    return torch.from_numpy(filled).permute(2, 0, 1).to(image) / 255


def pixel_warp(image: Tensor, regions: Sequence[Region]) -> Tensor:
    """Cuts regions out, moves them, and pastes them on the painted-over picture."""
    out = painted_over(image, union(regions))
    for r in regions:
        matrix = motion_matrix(r.motion)
        cover = warp(r.mask[None, None].to(image), matrix, padding="zeros")[0]
        out = out * (1 - cover) + warp(image[None], matrix, padding="border")[0] * cover
    return out

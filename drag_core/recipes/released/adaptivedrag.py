"""What AdaptiveDrag's released code makes of super-pixels, which no recipe of ours uses.

The golden tests hold super-pixels against it.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from ...motion.superpixels import label_at, patch_at
from ...types import Grid, Point


def spacing(labels: Tensor, centroids: Tensor, point: Point) -> float:
    """Measures how far, in pixels, the centroid of the patch under `point` is from the nearest other one.

    This is a natural radius.

    centroids: (N, 2) as (x, y).
    AdaptiveDrag's released code truncates it and reads the transposed pixel.
    """
    own = label_at(labels, point)
    gap = (centroids - centroids[own]).norm(dim=1)
    gap[own] = torch.inf
    return float(gap.min())


def forward_patch(
    labels: Tensor, size: Grid, point: Point, target: Point, radius: float, count: int
) -> Tensor:
    """Selects the cells of the patch under `point` that lie towards `target`, (h, w) bool on `size`.

    Where they are fewer than a quarter of an average patch, it is the half disc of `radius` (AdaptiveDrag's
    released regions). Points are cells of `size`.
    """
    y, x = torch.meshgrid(
        torch.arange(size.height, dtype=torch.float64),
        torch.arange(size.width, dtype=torch.float64),
        indexing="ij",
    )
    across, down = x - point[0], y - point[1]
    ahead = across * (target[0] - point[0]) + down * (target[1] - point[1])
    towards = ahead >= -1e-9
    fx, fy = labels.shape[1] / size.width, labels.shape[0] / size.height
    own = patch_at(labels, (float(int(fx * point[0])), float(int(fy * point[1])))).numpy().astype(np.uint8)
    here = torch.from_numpy(cv2.resize(own, (size.width, size.height), interpolation=cv2.INTER_LINEAR) > 0)
    found = here & towards
    if int(found.sum()) < size.height * size.width // (count * 4):
        found = ((across**2 + down**2) <= radius**2) & towards
    return found

"""Masks of a drag: centroids, weights, the adaptive editable mask, the way to the latent grid.

Masks are (H, W) in {0, 1}.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..types import DragError, Grid, Point, Region, Task
from .geometry import motion_matrix, stops, warp

# How much of a cell a mask must cover: for the cell to change, where the mask says what may change; for it to
# count as touched at all.
EDITABLE, TOUCHED = 0.5, 0.05
BEYOND = 5  # px that a hole is wider than the mask of what left it: soft edges


def centroid(mask: Tensor) -> Point:
    """Computes the mean (x, y) of the set pixels; may lie outside a concave mask."""
    y, x = torch.nonzero(mask > 0.5, as_tuple=True)
    if len(x) == 0:
        raise DragError("a region mask is empty: paint the part that shall move")
    return x.double().mean().item(), y.double().mean().item()


def region_weights(masks: Sequence[Tensor]) -> tuple[float, ...]:
    """Computes γ of DragFlow eq. 22-24: small regions count more; the weights sum to 1."""
    share = [float(m.mean()) for m in masks]
    raw = [min(max(1 + 0.5 / (s + 0.1), 1.0), 5.0) for s in share]
    return tuple(w / sum(raw) for w in raw)


def moved(region: Region, progress: float = 1.0) -> Tensor:
    """Moves the region's mask by its motion, nearest pixel."""
    out = warp(
        region.mask[None, None].float(),
        motion_matrix(region.motion, progress),
        mode="nearest",
        padding="zeros",
    )
    return (out[0, 0] > 0.5).float()


def union(regions: Sequence[Region]) -> Tensor:
    """Returns the union of the regions' masks, where they are before they move."""
    return torch.stack([r.mask for r in regions]).amax(0)


def arriving(regions: Sequence[Region]) -> Tensor:
    """Returns the union of the regions' masks where they go."""
    return torch.stack([moved(r) for r in regions]).amax(0)


def leaving(task: Task) -> Tensor:
    """Returns what the regions leave when they move: their masks, and their shadow if it is known."""
    regions = union(task.regions)
    return regions if task.shadow is None else torch.maximum(regions, task.shadow)


def touched(region: Region) -> Tensor:
    """Joins the region's mask with where it goes, and every place of its path."""
    places = [moved(region, s) for s in stops(region.motion)]
    return torch.stack([region.mask.float(), *places]).amax(0)


def enclosing_box(mask: Tensor) -> Tensor:
    """Fills the rotated rectangle of least area around the set pixels (DragFlow eq. 26-27)."""
    pixels = torch.nonzero(mask > 0.5).flip(1).to(torch.float32).cpu().numpy()
    if len(pixels) == 0:
        return torch.zeros_like(mask)
    corners = cv2.boxPoints(cv2.minAreaRect(pixels))
    out = np.zeros(tuple(mask.shape), np.uint8)
    cv2.fillConvexPoly(out, corners.astype(np.intp).astype(np.int32), 1)
    return torch.from_numpy(out).to(mask)


def adaptive_mask(regions: Sequence[Region]) -> Tensor:
    """Builds the editable mask of DragFlow eq. 25-27.

    Per region it is the box around source and moved region; these are united. The places of a region's path
    lie in its box too.
    """
    parts = [touched(r) for r in regions]
    return torch.stack([*parts, *map(enclosing_box, parts)]).amax(0)


def grow(mask: Tensor, radius: int) -> Tensor:
    """Dilates by a disc of `radius` pixels."""
    if radius <= 0:
        return mask
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return torch.from_numpy(cv2.dilate(mask.cpu().numpy().astype(np.uint8), disc)).to(mask)


def discs(points: Sequence[Point], radius: float, size: Grid) -> Tensor:
    """Unites discs around points: a region for point methods."""
    y, x = torch.meshgrid(torch.arange(size.height), torch.arange(size.width), indexing="ij")
    out = torch.zeros(size.height, size.width)
    for px, py in points:
        out = torch.maximum(out, ((x - px) ** 2 + (y - py) ** 2 <= radius**2).float())
    return out


def edge_distance(mask: Tensor) -> Tensor:
    """Computes the Euclidean distance, in pixels, of every set pixel to the nearest unset one.

    The picture's border is no edge.
    """
    return torch.from_numpy(cv2.distanceTransform(mask.cpu().numpy().astype(np.uint8), cv2.DIST_L2, 5)).to(
        mask
    )


def on_grid(mask: Tensor, size: Grid, threshold: float | None = None) -> Tensor:
    """Computes the share of each cell that is set, (1, 1, h, w).

    In {0, 1} if a threshold is given (share > threshold).
    """
    x = mask[None, None].float()
    out = F.interpolate(x, (size.height, size.width), mode="area")
    return out if threshold is None else (out > threshold).float()

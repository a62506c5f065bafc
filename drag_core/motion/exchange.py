"""Points from regions and regions from points.

This is what one kind of method needs of a drag drawn for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from ..types import Handle, Point, Region, Task
from .geometry import apply, motion_matrix, translation
from .masks import centroid, region_weights
from .superpixels import patch_at

DEPTH = 0.3  # how far inside boundary samples lie, as a share of the region's greatest depth


def nearest_inside(mask: Tensor, point: Point) -> Point:
    """Returns `point` if the pixel there is set, else the nearest set pixel.

    A concave region's centroid lies outside it.
    """
    x, y = int(point[0] + 0.5), int(point[1] + 0.5)
    if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x] > 0.5:
        return point
    at = torch.nonzero(mask > 0.5).flip(1).double()
    best = at[(at - torch.tensor(point, dtype=torch.float64)).square().sum(1).argmin()]
    return float(best[0]), float(best[1])


def centroid_pair(region: Region) -> Handle:
    """Returns the region's middle and where its motion takes it."""
    start = nearest_inside(region.mask, centroid(region.mask))
    return Handle(start, apply(motion_matrix(region.motion), start), region.mask)


def boundary_points(mask: Tensor, count: int, depth: float = DEPTH) -> tuple[Point, ...]:
    """Picks at most `count` set pixels of mask (H, W), evenly along its outline.

    The outline is that of the largest part, drawn in by `depth` of its greatest depth. Fewer pixels where it
    has fewer.
    """
    array = np.pad((mask.cpu().numpy() > 0.5).astype(np.uint8), 1)
    inner = cv2.distanceTransform(array, cv2.DIST_L2, 5)
    drawn_in = (inner >= max(depth * float(inner.max()), 1e-6)).astype(np.uint8)
    contours = cv2.findContours(drawn_in, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    if not contours or count < 1:
        return ()
    line = max(contours, key=len)[:, 0].astype(np.float64) - 1
    places = [line[int(k * len(line) / count)] for k in range(count)] if len(line) > count else line
    return tuple(dict.fromkeys((float(x), float(y)) for x, y in places))


def handles_of(region: Region, boundary: int = 8) -> tuple[Handle, ...]:
    """Makes the centroid's pair and `boundary` samples of the outline.

    Each is carried by the region's motion.
    """
    matrix = motion_matrix(region.motion)
    samples = boundary_points(region.mask, boundary)
    return (centroid_pair(region), *(Handle(p, apply(matrix, p), region.mask) for p in samples))


def regions_of(handles: Sequence[Handle], labels: Tensor) -> tuple[Region, ...]:
    """Makes one region a handle: its own `region`, or the super-pixel of `labels` (H, W) under it.

    It is moved by target - start and weighted by its γ among them. Handles that move the same pixels the same
    way give one region.
    """
    found: list[Region] = []
    for h in handles:
        mask = patch_at(labels, h.start) if h.region is None else h.region.float()
        motion = translation(h.start, h.target)
        if not any(r.motion.shift == motion.shift and torch.equal(r.mask, mask) for r in found):
            found.append(Region(mask, motion))
    weights = region_weights([r.mask for r in found]) if found else ()
    return tuple(replace(r, weight=w) for r, w in zip(found, weights, strict=True))


def with_points(task: Task, boundary: int) -> Task:
    """Adds boundary samples of the task's regions to its handles; without regions it is as it was."""
    more = tuple(replace(h, region=None) for r in task.regions for h in handles_of(r, boundary)[1:])
    return replace(task, handles=(*task.handles, *more))


def with_regions(task: Task, labels: Tensor) -> Task:
    """Turns the task's points into super-pixel regions; with regions it is as it was."""
    return task if task.regions else replace(task, regions=regions_of(task.handles, labels))

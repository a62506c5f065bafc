"""Motions as matrices, matrices as warps. All matrices are (3, 3), float64, source -> destination.

Convention (pinned by tests/core/test_geometry.py): pixel i covers [i - 1/2, i + 1/2), so coordinate 0 is the
centre of the first pixel. A grid cell u of a w-cell grid over a W-pixel image sits at image x = (u + 1/2)·W/w
− 1/2. In torch this is align_corners=False everywhere.
"""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ranges import check_mode
from ..types import AffineMotion, Grid, Point

Mode = Literal["bilinear", "nearest"]
Padding = Literal["zeros", "border", "reflection"]  # what lies outside


def translation(start: Point, target: Point, path: tuple[Point, ...] = ()) -> AffineMotion:
    """Builds relocation and deformation: from `start` to `target`, over `path` (DragFlow eq. 2)."""
    x, y = start
    return AffineMotion((target[0] - x, target[1] - y), path=tuple((px - x, py - y) for px, py in path))


def turn_angle(start: Point, target: Point, anchor: Point) -> float:
    """Computes the signed angle start-anchor-target on the shorter way.

    In rad, in [-pi, pi), positive from +x towards +y.
    """
    a = math.atan2(start[1] - anchor[1], start[0] - anchor[0])
    b = math.atan2(target[1] - anchor[1], target[0] - anchor[0])
    return (b - a + math.pi) % (2 * math.pi) - math.pi


def rotation(start: Point, target: Point, anchor: Point) -> AffineMotion:
    """Builds the turn about `anchor` until `start` points where `target` does.

    DragFlow eq. 18-21, DragNeXt eq. 5.
    """
    return AffineMotion(angle=turn_angle(start, target, anchor), anchor=anchor)


def scaling(scale: Point, anchor: Point) -> AffineMotion:
    """Builds the stretch by (sx, sy) along the image axes about `anchor`."""
    return AffineMotion(scale=scale, anchor=anchor)


def stops(motion: AffineMotion) -> tuple[float, ...]:
    """Lists the progress in (0, 1] at the places of the motion's path and at its end; (1,) without a path."""
    corners = ((0.0, 0.0), *motion.path, motion.shift)
    lengths = tuple(accumulate(math.dist(a, b) for a, b in pairwise(corners)))
    return tuple(n / lengths[-1] for n in lengths) if lengths[-1] > 0 else (1.0,)


def shift_at(motion: AffineMotion, progress: float) -> Point:
    """Computes the shift at `progress`.

    It lies on the straight way, or along the polyline (0, 0) - path - shift by length.
    """
    corners, start = ((0.0, 0.0), *motion.path, motion.shift), 0.0
    for (a, b), end in zip(pairwise(corners), stops(motion), strict=False):
        if progress <= end and end > start:
            part = (progress - start) / (end - start)
            return a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1])
        start = end
    return progress * motion.shift[0], progress * motion.shift[1]


def motion_matrix(motion: AffineMotion, progress: float = 1.0) -> Tensor:
    """Computes the (3, 3) pixel map of the motion at `progress` in [0, 1]."""
    c, s = math.cos(progress * motion.angle), math.sin(progress * motion.angle)
    sx, sy = motion.scale[0] ** progress, motion.scale[1] ** progress
    a, b, d, e = c * sx, -s * sy, s * sx, c * sy
    (ax, ay), (x, y) = motion.anchor, shift_at(motion, progress)
    tx = ax - a * ax - b * ay + x
    ty = ay - d * ax - e * ay + y
    return torch.tensor([[a, b, tx], [d, e, ty], [0.0, 0.0, 1.0]], dtype=torch.float64)


def apply(matrix: Tensor, point: Point) -> Point:
    """Carries `point` by `matrix`."""
    x, y, _ = (matrix @ torch.tensor([point[0], point[1], 1.0], dtype=matrix.dtype)).tolist()
    return x, y


def to_grid(src: Grid, dst: Grid) -> Tensor:
    """Computes the (3, 3) map of pixel-centre coordinates on `src` to those on `dst`.

    Both are grids over the same image.
    """
    kx, ky = dst.width / src.width, dst.height / src.height
    return torch.tensor([[kx, 0, (kx - 1) / 2], [0, ky, (ky - 1) / 2], [0, 0, 1]], dtype=torch.float64)


def on_cells(points: list[Point], *, image: Grid, grid: Grid) -> Tensor:
    """Turns points of the picture into cells of `grid`, (P, 2) float64."""
    m = to_grid(image, grid)
    return torch.tensor(points, dtype=torch.float64) @ m[:2, :2].T + m[:2, 2]


def in_pixels(cells: Tensor, *, grid: Grid, image: Grid) -> tuple[Point, ...]:
    """Turns cells (P, 2) of `grid` into points of the picture."""
    m = to_grid(grid, image)
    return tuple((float(x), float(y)) for x, y in cells @ m[:2, :2].T + m[:2, 2])


def rescale(matrix: Tensor, src: Grid, dst: Grid) -> Tensor:
    """Turns the motion `matrix`, given in cells of `src`, into cells of `dst`."""
    return to_grid(src, dst) @ matrix @ to_grid(dst, src)


def sampling_grid(matrix: Tensor, size: Grid) -> Tensor:
    """Computes for every destination cell the (x, y) source cell it comes from, (H, W, 2) float64."""
    inverse = torch.linalg.inv(matrix)
    y, x = torch.meshgrid(
        torch.arange(size.height, dtype=torch.float64, device=matrix.device),
        torch.arange(size.width, dtype=torch.float64, device=matrix.device),
        indexing="ij",
    )
    grid: Tensor = torch.stack([x, y], -1) @ inverse[:2, :2].T + inverse[:2, 2]
    return grid


def sample(x: Tensor, points: Tensor, *, mode: Mode = "bilinear", padding: Padding) -> Tensor:
    """Reads x (1, C, H, W) at `points` (..., 2), (x, y) cells, as (C, ...).

    Differentiable in x.
    """
    check_mode("mode", mode, Mode)
    check_mode("padding", padding, Padding)
    h, w = x.shape[-2:]
    scale = torch.tensor([2 / w, 2 / h], dtype=points.dtype, device=points.device)
    norm = ((points + 0.5) * scale - 1).reshape(1, 1, -1, 2).to(device=x.device, dtype=x.dtype)
    out = F.grid_sample(x, norm, mode=mode, padding_mode=padding, align_corners=False)
    return out.reshape(x.shape[1], *points.shape[:-1])


def warp(x: Tensor, matrix: Tensor, *, mode: Mode = "bilinear", padding: Padding) -> Tensor:
    """Moves x (1, C, H, W) by `matrix` (in x's own cells).

    padding: "zeros" or "border" where nothing arrives.
    """
    return sample(x, sampling_grid(matrix, Grid(*x.shape[-2:])), mode=mode, padding=padding)[None]

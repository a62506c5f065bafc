"""Reading a feature map at the points that matter, exactly as if it had first been upsampled as a whole."""

from __future__ import annotations

import torch
from torch import Tensor

from .geometry import sample, to_grid
from .types import Grid


def lookup(x: Tensor, size: Grid, points: Tensor, padding: str = "border") -> Tensor:
    """Bilinear values at `points` (..., 2), (x, y) cells of `size`, of x (1, C, h, w) upsampled to `size` ->
    (C, ...).

    Equal to F.interpolate(x, size, mode="bilinear") followed by grid_sample, without the large map: each
    fractional point is a blend of the four upsampled cells around it, and each of these is one bilinear read
    of x.
    """
    native = Grid(*x.shape[-2:])
    if native == size:
        return sample(x, points, padding=padding)
    points = points.double()
    low = points.floor()
    part = points - low
    scale = to_grid(size, native).to(points.device)
    limit = torch.tensor([size.width - 1, size.height - 1], dtype=points.dtype, device=points.device)
    out: Tensor | None = None
    corners = [(0, 0), (1, 0), (0, 1), (1, 1)] if bool((part > 0).any()) else [(0, 0)]
    for dx, dy in corners:
        shift = torch.tensor([dx, dy], dtype=points.dtype, device=points.device)
        cell = low + shift
        weight = (1 - (points - cell).abs()).prod(-1)
        inside = cell.clamp(min=torch.zeros_like(limit), max=limit)
        if padding == "zeros":
            weight = weight * (inside == cell).all(-1)
        at = inside @ scale[:2, :2].T + scale[:2, 2]
        value = sample(x, at, padding="border") * weight.to(x.dtype)
        out = value if out is None else out + value
    assert out is not None
    return out


def lookup_all(maps: list[Tensor], size: Grid, points: Tensor, padding: str = "border") -> Tensor:
    """`lookup` of several maps, channels concatenated -> (ΣC, ...)."""
    return torch.cat([lookup(x, size, points, padding) for x in maps])

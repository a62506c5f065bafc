"""Reading a feature map at the points that matter, exactly as if it had first been upsampled as a whole."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..autocast import uncast
from ..ranges import check_mode
from ..types import Grid

Padding = Literal["zeros", "border"]  # what lies outside


def neighbours(cells: Tensor, native: int, large: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Finds between which native cells F.interpolate(mode="bilinear") reads, for whole cells of a line.

    The line is upsampled from `native` to `large` cells. Returns the two native cells and the share of the
    second, in `dtype`'s precision.

    Rounded as ATen does it (below float64: scale in float32, fused multiply-add), so that the values are
    equal and not only close; its kernels for processors without AVX2 round once more.
    """
    if dtype == torch.float64:
        place = (cells.double() + 0.5) * (native / large) - 0.5
    else:
        scale = torch.tensor(native, dtype=torch.float32) / large
        place = ((cells.double() + 0.5) * scale.double() - 0.5).float()
    place = place.clamp_min(0)
    low = place.long().clamp_max(native - 1)
    return low, (low + 1).clamp_max(native - 1), (place - low).double()


def reading(at: Tensor, native: int, large: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Writes bilinear reads of an upsampled line as a matrix product.

    at: places (P, n) on a line of `large` cells, upsampled from `native`. Outside it the border counts.
    Returns start (P,), the first native cell, and weights (P, n, k): value = weights @ line[start : start +
    k]. All on the CPU, the weights in float64.
    """
    count, n = at.shape
    low = at.double().floor()
    part = at.double() - low
    ends = (low, torch.where(part > 0, low + 1, low))
    found = [neighbours(e.clamp(0, large - 1), native, large, dtype) for e in ends]
    cells = torch.stack([c for a, b, _ in found for c in (a, b)])  # (4, P, n)
    weights = zip((1 - part, part), (inner for _, _, inner in found), strict=True)
    shares = torch.stack([w * s for w, inner in weights for s in (1 - inner, inner)])
    used = torch.where(shares > 0, cells, cells[:1])
    start = used.amin((0, 2))
    k = int((used.amax((0, 2)) + 1 - start).max())
    start = start.clamp_max(native - k)
    matrix = torch.zeros(count, n, k, dtype=torch.float64)
    matrix.scatter_add_(2, (used - start[:, None]).permute(1, 2, 0), shares.permute(1, 2, 0))
    return start, matrix


def lookup(x: Tensor, size: Grid, points: Tensor, *, padding: Padding) -> Tensor:
    """Reads x (1, C, h, w), as if upsampled to `size`, bilinearly at `points`.

    points: (..., 2), (x, y) cells of `size`. Returns (C, ...).

    Equal to F.interpolate(x, size, mode="bilinear") followed by grid_sample, without the large map: each
    fractional point is a blend of the four upsampled cells around it, and each of these of four cells of x.
    """
    check_mode("padding", padding, Padding)
    h, w = x.shape[-2:]
    low = points.double().floor()
    limit = torch.tensor([size.width - 1.0, size.height - 1.0], dtype=torch.float64, device=points.device)
    out = x.new_zeros(x.shape[1], *points.shape[:-1])
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        cell = low + torch.tensor([dx, dy], dtype=torch.float64, device=points.device)
        weight = (1 - (points - cell).abs()).prod(-1)
        inside = cell.clamp(min=torch.zeros_like(limit), max=limit)
        if padding == "zeros":
            weight = weight * (inside == cell).all(-1)
        x0, x1, right = neighbours(inside[..., 0], w, size.width, x.dtype)
        y0, y1, down = neighbours(inside[..., 1], h, size.height, x.dtype)
        for row, y_share in ((y0, 1 - down), (y1, down)):
            for column, x_share in ((x0, 1 - right), (x1, right)):
                share = (weight * y_share * x_share).to(x)
                out = out + x[0][:, row.to(x.device), column.to(x.device)] * share
    return out


def lookup_all(maps: list[Tensor], size: Grid, points: Tensor, *, padding: Padding) -> Tensor:
    """Does `lookup` of several maps, channels concatenated -> (ΣC, ...)."""
    return torch.cat([lookup(x, size, points, padding=padding) for x in maps])


def patches(maps: list[Tensor], size: Grid, centres: Tensor, radius: int) -> Tensor:
    """Reads, as `lookup_all` does, the squares of 2·radius+1 cells around `centres`.

    centres: (P, 2), on the CPU. Returns (ΣC, P, 2·radius+1, 2·radius+1).
    Takes as many operations for a hundred points as for one, and none that waits.
    """
    o = torch.arange(-radius, radius + 1, dtype=torch.float64)
    out = []
    for x in maps:
        h, w = x.shape[-2:]
        top, down = reading(centres[:, 1:].double() + o, h, size.height, x.dtype)
        left, along = reading(centres[:, :1].double() + o, w, size.width, x.dtype)
        rows = (top[:, None] + torch.arange(down.shape[-1])).to(x.device)
        columns = (left[:, None] + torch.arange(along.shape[-1])).to(x.device)
        cells = x[0].permute(1, 2, 0)[rows[:, :, None], columns[:, None, :]]
        with uncast(x.device):
            wide = torch.einsum("pik,pklc->pilc", down.to(x), cells)
            out.append(torch.einsum("pjl,pilc->pijc", along.to(x), wide))
    return torch.cat(out, -1).permute(3, 0, 1, 2)


def nearest_shift(gap: Tensor, places: Tensor, radius: int, size: Grid) -> Tensor:
    """Finds where around `places` the `gap` is least, of what lies inside `size`.

    gap: (P, 2·radius+1, 2·radius+1).
    places: (P, 2), on the CPU.
    Returns (P, 2) whole cells, (x, y).
    """
    o = torch.arange(-radius, radius + 1, dtype=places.dtype)
    x, y = places[:, :1] + o, places[:, 1:] + o
    out_x, out_y = (x < 0) | (x > size.width - 1), (y < 0) | (y > size.height - 1)
    outside = (out_y[:, :, None] | out_x[:, None, :]).to(gap.device)
    best = gap.masked_fill(outside, torch.inf).flatten(1).argmin(1).cpu()
    side = 2 * radius + 1
    return torch.stack([best % side, best // side], -1).to(places.dtype) - radius

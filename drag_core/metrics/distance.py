"""Mean distance: where the dragged content is found again, by DIFT features and nearest neighbour.

DIFT of Tang et al. 2023; MD of DragDiffusion, MD1 and MD2 of DragFlow (App. E.2). Cosines are computed on
the features' own grid and equal those of the upsampled maps to rounding: [1, C, H, W] is never made (1.3 GB
each at 512x512, and 360 s of a CPU's time against 0.3 s).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ranges import check_mode
from ..types import Backbone, DragError, FeatureTap, Grid, Point, Schedule

Upsample = Literal["bilinear", "nearest"]
Points = Tensor | Sequence[Point]  # (P, 2), (x, y) pixels
Size = Grid | tuple[int, int]  # a tuple is (height, width)
LEVEL, TAP, ENSEMBLE = 261.0, "up.1", 8  # DIFT's, as every published script has them
EPSILON = 1e-8  # least product of norms, as torch's CosineSimilarity
SMALLEST = 5.0  # px: least radius of MD2's discs


def dift(
    backbone: Backbone,
    z0: Tensor,
    schedule: Schedule,
    t: float = LEVEL,
    tap: str = TAP,
    ensemble: int = ENSEMBLE,
    seed: int = 0,
) -> Tensor:
    """Computes DIFT features, (1, C, h, w), float32 at least: the mean over `ensemble` noises at level `t`.

    z0: the clean latent (1, c, h, w).
    schedule: has the level `t`; see schedules.every_level.
    tap: the block whose output is read.
    seed: of one CPU generator, from which the noises come one after the other.
    """
    if t not in schedule.t or ensemble < 1:
        raise DragError(
            f"DIFT at level {t:g} with {ensemble} noises can't be computed: the schedule must have that "
            "level, and there must be one noise at least"
        )
    i = schedule.t.index(t)
    source = torch.Generator().manual_seed(seed)
    total: Tensor | None = None
    with torch.no_grad():
        for _ in range(ensemble):
            noise = torch.randn(z0.shape, generator=source).to(z0)
            z = schedule.alpha[i] * z0 + schedule.sigma[i] * noise
            maps, _ = backbone.features(z, t, (FeatureTap(tap),))
            seen = maps[0].to(torch.promote_types(maps[0].dtype, torch.float32))  # half would round the sum
            total = seen if total is None else total + seen
    assert total is not None
    return total / ensemble


def md(
    f0: Tensor, f1: Tensor, starts: Points, targets: Points, size: Size, where: Tensor | None = None
) -> Tensor:
    """Computes DragDiffusion's mean distance of every point pair, (P,) px; lower is better.

    f0, f1: features (1, C, h, w) of original and edit, upsampled bilinearly to `size`.
    where: (H, W), the only pixels in which the content is looked for: DragLoRA's m-MD and DragFlow's MD1 (the
        editable mask).
    nan where a start lies outside the picture or `where` is empty.
    """
    found = matches(f0, f1, starts, size, where)
    return _lengths(_points(targets) - found)


def md2(f0: Tensor, f1: Tensor, starts: Points, targets: Points, size: Size) -> Tensor:
    """Computes RegionDrag's distance, DragFlow's MD2, of every pair: (P,) per cent of the picture's sides.

    The content is looked for in discs around start and target; features are upsampled to their nearest, so
    that all pixels of a cell tie and the first in reading order counts, as in the scripts. Lower is better.
    """
    h, w = _size(size)
    found = matches(f0, f1, starts, size, discs_of(starts, targets, size), "nearest")
    sides = torch.tensor([w, h], dtype=torch.float64)
    return _lengths((_points(targets) - found) / sides) * 100


def matches(
    f0: Tensor,
    f1: Tensor,
    starts: Points,
    size: Size,
    where: Tensor | None = None,
    upsample: Upsample = "bilinear",
) -> Tensor:
    """Finds for each start in the original the pixel of the edit that is most alike, (P, 2) (x, y).

    where: (H, W) or (P, H, W), the pixels to look in.
    Of equal ones the first in reading order. nan where a start lies outside or there is no pixel to look in.
    """
    check_mode("upsample", upsample, Upsample)
    if f0.shape[:2] != f1.shape[:2] or f0.ndim != 4 or len(f0) != 1:
        raise DragError(
            f"features of shape {tuple(f0.shape)} and {tuple(f1.shape)} can't be compared: make both with "
            "one model and the same settings"
        )
    h, w = _size(size)
    f0, f1 = f0.double(), f1.double()
    norms = upsampled_norm(f1, size, upsample)
    out = []
    for i, (x, y) in enumerate(_points(starts).tolist()):
        px, py = math.floor(x + 0.5), math.floor(y + 0.5)
        allowed = None if where is None else (where if where.ndim == 2 else where[i]).cpu() > 0.5
        if not (0 <= px < w and 0 <= py < h) or (allowed is not None and not allowed.any()):
            out.append((math.nan, math.nan))
            continue
        alike = cosine_map(f0, f1, (px, py), size, upsample, norms)
        if allowed is not None:
            alike = alike.masked_fill(~allowed.to(alike.device), -math.inf)
        best = int(alike.argmax())
        out.append((float(best % w), float(best // w)))
    return torch.tensor(out, dtype=torch.float64).reshape(-1, 2)


def cosine_map(
    f0: Tensor,
    f1: Tensor,
    pixel: tuple[int, int],
    size: Size,
    upsample: Upsample = "bilinear",
    norms: Tensor | None = None,
) -> Tensor:
    """Computes the cosine of f0 at `pixel` (x, y) with f1 at every pixel, (H, W) float64, both upsampled.

    Bilinear upsampling is linear, so the dot products are upsampled in the features' place.

    norms: upsampled_norm of f1, where it is known.
    """
    (h, w), (px, py) = _size(size), pixel
    a, b = f0[0].double(), f1[0].double()
    if upsample == "nearest":
        query = a[:, _nearest(a.shape[1], h)[py], _nearest(a.shape[2], w)[px]]
    else:
        query = _read(a, px, py, h, w)
    dots = torch.einsum("c,chw->hw", query, b)[None, None]
    up = F.interpolate(dots, (h, w), mode=upsample)[0, 0]
    norms = upsampled_norm(f1, size, upsample) if norms is None else norms
    cosine: Tensor = up / (torch.linalg.vector_norm(query) * norms).clamp_min(EPSILON)
    return cosine


def upsampled_norm(f: Tensor, size: Size, upsample: Upsample = "bilinear") -> Tensor:
    """Computes the norms (H, W) float64 of the upsampled features f (1, C, h, w).

    Bilinear: its square is a quadratic form of the dot products of a pixel's four cells.
    """
    (h, w), f = _size(size), f[0].double()
    if upsample == "nearest":
        return F.interpolate(torch.linalg.vector_norm(f, dim=0)[None, None], (h, w))[0, 0]
    right = torch.cat([f[:, :, 1:], f[:, :, -1:]], 2)
    corners = (f, right, *(torch.cat([x[:, 1:], x[:, -1:]], 1) for x in (f, right)))
    (top, _, down), (left, _, along) = _linear(f.shape[1], h), _linear(f.shape[2], w)
    down, along = down.to(f.device)[:, None], along.to(f.device)[None]
    shares = ((1 - down) * (1 - along), (1 - down) * along, down * (1 - along), down * along)
    square = torch.zeros(h, w, dtype=f.dtype, device=f.device)
    for i in range(4):
        for j in range(i, 4):
            gram = (corners[i] * corners[j]).sum(0)[top][:, left]
            square += (1 if i == j else 2) * shares[i] * shares[j] * gram
    return square.clamp_min(0).sqrt()


def discs_of(starts: Points, targets: Points, size: Size) -> Tensor:
    """Marks for each pair the union of discs around start and target, (P, H, W) bool.

    Their radius is the pair's distance / sqrt(2), 5 px at least; the rim is outside (RegionDrag).
    """
    h, w = _size(size)
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in (h, w)), indexing="ij")
    a, b = _points(starts), _points(targets)
    radius = (_lengths(a - b) / math.sqrt(2)).clamp_min(SMALLEST)[:, None, None]
    near = [torch.hypot(x - p[:, 0, None, None], y - p[:, 1, None, None]) < radius for p in (a, b)]
    return near[0] | near[1]


def _size(size: Size) -> tuple[int, int]:
    return (size.height, size.width) if isinstance(size, Grid) else (int(size[0]), int(size[1]))


def _lengths(vectors: Tensor) -> Tensor:
    out: Tensor = torch.linalg.vector_norm(vectors, dim=1)
    return out


def _points(points: Points) -> Tensor:
    return torch.as_tensor(points, dtype=torch.float64).cpu().reshape(-1, 2)


def _nearest(cells: int, pixels: int) -> Tensor:
    """Which cell each pixel reads, as torch's nearest upsampling."""
    return (torch.arange(pixels, dtype=torch.float64) * (cells / pixels)).floor().long().clamp_max(cells - 1)


def _linear(cells: int, pixels: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two cells each pixel reads and the second's share, as torch's bilinear upsampling."""
    at = ((torch.arange(pixels, dtype=torch.float64) + 0.5) * (cells / pixels) - 0.5).clamp_min(0)
    low = at.floor().long().clamp_max(cells - 1)
    return low, (low + 1).clamp_max(cells - 1), at - low


def _read(f: Tensor, px: int, py: int, h: int, w: int) -> Tensor:
    """The upsampled features (C, ) at a pixel."""
    (top, bottom, down), (left, right, along) = _linear(f.shape[1], h), _linear(f.shape[2], w)
    rows = torch.stack([f[:, top[py]], f[:, bottom[py]]])
    row = rows[0] * (1 - down[py]) + rows[1] * down[py]
    return row[:, left[px]] * (1 - along[px]) + row[:, right[px]] * along[px]

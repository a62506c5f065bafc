"""DragNeXt's released code."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...features.supervise import Maps, RegionSupervision
from ...kernels import region as kernel
from ...motion.geometry import motion_matrix, sampling_grid, warp
from ...motion.masks import on_grid
from ...trajectory.constrain import SoftBackground
from ...types import AffineMotion, Grid, Region
from .around import Around


@dataclass(frozen=True)
class CellPlan:
    """What the updates of a level need.

    places: for every progress the regions' weights, moved cells (N, 2) and the whole cells they come from.
    then: the reference maps, read one by one, so that equal features differ by nothing (a sign is all that L1
        passes on).
    """

    places: dict[float, list[tuple[float, Tensor, Tensor]]]
    then: Maps


@dataclass(frozen=True)
class CoarseRegions(Around):
    """Moves regions by whole and nearest cells.

    Shifts are rounded towards zero, and there is none below one cell. Turns go in steps of 2 degrees while a
    level still moves. Taps weigh as they come.
    """

    inside: RegionSupervision

    def plan(self, reference: Maps, ramp: tuple[float, ...]) -> CellPlan:
        return self._plan(reference, ramp, min(ramp) < 1)

    def _plan(self, reference: Maps, ramp: tuple[float, ...], moving: bool) -> CellPlan:
        s, channels = self.inside, sum(x.shape[1] for x in reference)
        moved: dict[float, list[tuple[float, Tensor, Tensor]]] = {}
        for progress in dict.fromkeys(ramp):
            places = [self._places(region, progress, moving) for region in s.regions]
            moved[progress] = [
                (region.weight / s.divisor(len(to), channels), to, came_from)
                for region, (to, came_from) in zip(s.regions, places, strict=True)
                if len(to)
            ]
        return CellPlan(moved, reference)

    def loss(self, features: Maps, reference: Any, state: None, progress: float) -> Tensor:
        if not isinstance(reference, CellPlan):
            reference = self._plan(reference, (progress,), True)
        total: Tensor = features[0].new_zeros(())
        for weight, to, came_from in reference.places[progress]:
            total = total + weight * kernel.gap(features, reference.then, self.inside.grid, to, came_from)
        return total

    def _places(self, region: Region, progress: float, moving: bool) -> tuple[Tensor, Tensor]:
        """Lists the cells of the moved mask (N, 2) and the whole cells (N, 2) they come from.

        Both are (x, y) on the grid.
        """
        image, grid = self.inside.image, self.inside.grid
        matrix, begun = coarse_matrix(region.motion, progress, moving, image, grid)
        mask = (on_grid(region.mask.cpu(), grid) > 0.5).double()
        inside = (warp(mask, matrix, mode="nearest", padding="zeros")[0, 0] > 0.5) & begun
        return torch.nonzero(inside).flip(1).double(), sampling_grid(matrix, grid)[inside].round()


def coarse_matrix(
    motion: AffineMotion, progress: float, moving: bool, image: Grid, grid: Grid
) -> tuple[Tensor, bool]:
    """Computes the motion in cells of `grid`, and whether it has begun.

    Shifts are whole cells, towards zero; one below a cell has not begun. Turns, while `moving`, go in steps
    of 2 degrees, about a point counted from the picture's corner.
    """
    kx, ky = grid.width / image.width, grid.height / image.height
    # in its precision: 0.1 of ten cells is one cell
    shift = progress * torch.tensor([motion.shift[0] * kx, motion.shift[1] * ky], dtype=torch.float32)
    dx, dy = (float(v) for v in shift.trunc())
    if motion.angle == 0:
        return motion_matrix(AffineMotion((dx, dy))), not dx == dy == 0
    degrees = progress * math.degrees(float(torch.tensor(motion.angle, dtype=torch.float32)))
    angle = math.radians(round(degrees / 2) * 2 if moving else degrees)
    anchor = (round(motion.anchor[0] * kx) - 0.5, round(motion.anchor[1] * ky) - 0.5)
    return motion_matrix(AffineMotion((dx, dy), angle, anchor=anchor)), True


def begins(region: Region, image: Grid, grid: Grid) -> float:
    """Computes the progress from which a region moves at all: its shift has reached one cell."""
    if region.motion.angle != 0:
        return 0.0
    x, y = region.motion.shift
    cells = max(abs(x) * grid.width / image.width, abs(y) * grid.height / image.height)
    return 1 / cells - 1e-6 if cells >= 1 else math.inf


@dataclass(frozen=True)
class CountedBackground:
    """Adds the penalty once for every region that moves yet.

    That is for each of `since` which the update's progress has reached.
    """

    inside: SoftBackground
    since: tuple[float, ...]

    @property
    def needs_prediction(self) -> bool:
        return self.inside.needs_prediction

    def beside(self, z: Tensor) -> CountedBackground:
        return replace(self, inside=self.inside.beside(z))

    def penalty(self, z_next: Tensor, ref_next: Tensor, progress: float = 1.0) -> Tensor:
        times = sum(progress >= s for s in self.since)
        if not times:
            return z_next.new_zeros(())
        return replace(self.inside, weight=times * self.inside.weight).penalty(z_next, ref_next, progress)

    def project(self, z: Tensor, ref: Tensor) -> Tensor:
        return self.inside.project(z, ref)

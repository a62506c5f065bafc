"""Losses that pull features to where the user wants them. State is explicit: handed in and returned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from ..kernels import region as kernel
from ..kernels.lookup import nearest_shift, patches
from ..motion.geometry import in_pixels, motion_matrix, on_cells, rescale, sampling_grid, warp
from ..motion.masks import on_grid
from ..ranges import check_mode
from ..types import Grid, Handle, Region

Maps = list[Tensor]
Mean = Literal["map", "region", "sum"]


class Supervision(Protocol):
    @property
    def moves_regions(self) -> bool:
        """Whether regions pull, rather than points."""
        ...

    def init(self, reference: Maps) -> Any:
        """Returns the state before the first update, from the source's features at the first drag level."""
        ...

    def plan(self, reference: Maps, ramp: tuple[float, ...]) -> Any:
        """Precomputes, once per noise level, what all its updates read from the source's features.

        Pass the result as `reference` to `loss` and `track`, which take the features themselves, too.
        """
        ...

    def loss(self, features: Maps, reference: Any, state: Any, progress: float) -> Tensor: ...

    def track(self, features: Maps, reference: Any, state: Any) -> tuple[Any, bool]:
        """Returns the state after an update, and whether every target is reached."""
        ...

    def trace(self, state: Any) -> tuple[tuple[float, float], ...]:
        """Returns where the handles are now, in image pixels."""
        ...

    def on_small(self, grid: Grid) -> Supervision:
        """Returns the same for a small network, whose taps differ in size: regions are compared on `grid`."""
        ...

    def wider(self, handles: tuple[Handle, ...], radius: int, patches: int) -> Supervision:
        """Returns the same for points `handles` with wider patches.

        radius: of the squares.
        patches: how many super-pixels the picture has, where those are the patches.
        """
        ...


@dataclass(frozen=True)
class RegionPlan:
    """What to read for every progress of a level, its reference maps, and what each tap is multiplied by."""

    windows: dict[float, kernel.Planned]
    then: Maps
    scale: list[Tensor] | None


@dataclass(frozen=True)
class RegionSupervision:
    """Compares moved reference features with current ones inside the moved mask.

    This is DragFlow's eq. 1 and DragNeXt's eq. 6-7 (PBSI).

    grid: where features are compared (they are read from native maps as if upsampled to it).
    mean: "map" divides the sum over moved cells by C·H·W of the whole grid (DragFlow's released
        normalisation, which its step size presumes), "region" by C times the moved cells, "sum" by nothing
        (DragNeXt's eq. 7, of which Adam sees only the ratio to the background). DragFlow's eq. 1 is a sum,
        too, but under plain descent at its rate of 1000 a first step would be thousands of latent units long:
        no variant has "sum" there.
    equal_taps: divides each tap by its mean magnitude.
    """

    regions: tuple[Region, ...]
    image: Grid
    grid: Grid
    mean: Mean = "map"
    equal_taps: bool = False

    def __post_init__(self) -> None:
        check_mode("the mean of a region supervision", self.mean, Mean)

    @property
    def moves_regions(self) -> bool:
        return True

    def init(self, reference: Maps) -> None:
        return None

    def loss(self, features: Maps, reference: Any, state: None, progress: float) -> Tensor:
        """Computes Σ_i γ_i |F(p) - F_0(A_i(s)⁻¹p)|_1, per cell and channel.

        The sum is over the cells p of region i moved to progress s, divided by what `mean` says. From
        features this is the definition; from a plan it is the same without large maps.
        """
        if isinstance(reference, RegionPlan):
            return kernel.pull(features, reference.then, reference.windows[progress], reference.scale)
        scale = self._scale(reference)
        now, then = ([x * s for x, s in zip(maps, scale, strict=True)] for maps in (features, reference))
        channels = sum(x.shape[1] for x in now)
        total: Tensor = now[0].new_zeros(())
        for region in self.regions:
            to, came_from = self.places(region, progress)
            if len(to):  # else it has moved off the picture
                gap = kernel.gap(now, then, self.grid, to, came_from)
                total = total + region.weight * gap / self.divisor(len(to), channels)
        return total

    def plan(self, reference: Maps, ramp: tuple[float, ...]) -> RegionPlan:
        then, planned = kernel.plan(reference, self.grid, self._moving(reference, ramp))
        return RegionPlan(planned, then, self._scale(reference) if self.equal_taps else None)

    def in_windows(self, reference: Maps, ramp: tuple[float, ...]) -> RegionPlan:
        """Does `plan` with windows, for those that read them piece by piece."""
        moved = self._moving(reference, ramp)
        planned = {s: kernel.windows(reference, self.grid, m) for s, m in moved.items()}
        return RegionPlan(planned, reference, self._scale(reference) if self.equal_taps else None)

    def _moving(self, reference: Maps, ramp: tuple[float, ...]) -> dict[float, list[kernel.Moved]]:
        channels = sum(x.shape[1] for x in reference)
        out: dict[float, list[kernel.Moved]] = {}
        for progress in dict.fromkeys(ramp):
            out[progress] = []
            for region in self.regions:
                matrix, inside = self._moved(region, progress)
                share = region.weight / self.divisor(max(int(inside.sum()), 1), channels)
                out[progress].append((matrix, inside, share))
        return out

    def _scale(self, reference: Maps) -> list[Any]:
        return [1 / (r.abs().mean() + 1e-6) if self.equal_taps else 1.0 for r in reference]

    def divisor(self, moved: int, channels: int) -> int:
        """Returns what the sum over `moved` cells of as many `channels` is divided by."""
        cells = {"map": self.grid.height * self.grid.width, "region": moved}
        return cells[self.mean] * channels if self.mean in cells else 1

    def _moved(self, region: Region, progress: float) -> tuple[Tensor, Tensor]:
        """Computes the motion on `grid`, and where (H, W) the moved mask covers more than half a cell."""
        mask = on_grid(region.mask.cpu(), self.grid)
        matrix = rescale(motion_matrix(region.motion, progress), self.image, self.grid)
        share = warp(mask, matrix, padding="zeros")[0, 0]
        # a region smaller than a cell is the cell that has most of it
        return matrix, share > min(0.5, 0.999 * float(share.max())) if share.any() else share > 0.5

    def places(self, region: Region, progress: float) -> tuple[Tensor, Tensor]:
        """Lists the cells of the moved mask (N, 2) and the places (N, 2) they come from, (x, y) on `grid`."""
        matrix, inside = self._moved(region, progress)
        return torch.nonzero(inside).flip(1).double(), sampling_grid(matrix, self.grid)[inside]

    def track(self, features: Maps, reference: Any, state: None) -> tuple[None, bool]:
        return None, False

    def trace(self, state: None) -> tuple[tuple[float, float], ...]:
        return ()

    def on_small(self, grid: Grid) -> RegionSupervision:
        return replace(self, grid=grid, mean="region", equal_taps=True)

    def wider(self, handles: tuple[Handle, ...], radius: int, patches: int) -> RegionSupervision:
        return self


@dataclass(frozen=True)
class PointPlan:
    """The reference's features around every start (ΣC, P, n, n), and at it (ΣC, P, 1, 1)."""

    patch: Tensor
    middle: Tensor


@dataclass(frozen=True)
class PointSupervision:
    """Motion supervision and point tracking of DragDiffusion and GoodDrag.

    preserve: False is DragDiffusion's loss (GoodDrag eq. 3), which drifts, True GoodDrag's (eq. 6).
    radius: of the patch (r1).
    search: radius of the search (r2).
    stride: length of a step (β).
    factor: multiplies the mean over the patch: (2r+1)², or GoodDrag's released (2r)².
    reach: a handle within it of its target is left alone. If all are, the drag is done. 0: none is ever left
        alone, and one at its target is compared with its own patch there (GoodDrag's Algorithm 1).
    shorten: a step ends at the target where that is nearer than `stride` (the released codes); False: it has
        the full length always, as in the equations.

    Points and lengths are cells of `grid` (half the image's resolution in the released codes). The search
    stays inside the picture. The equations sum over channels; here, as in the released codes, it is their
    mean, which the published weight of the background goes with.
    """

    handles: tuple[Handle, ...]
    image: Grid
    grid: Grid
    radius: int
    search: int
    stride: float
    preserve: bool
    factor: float
    reach: float = 2.0
    shorten: bool = True

    @property
    def moves_regions(self) -> bool:
        return False

    def _starts(self) -> Tensor:
        return on_cells([h.start for h in self.handles], image=self.image, grid=self.grid)

    def _targets(self) -> Tensor:
        return on_cells([h.target for h in self.handles], image=self.image, grid=self.grid)

    def init(self, reference: Maps) -> Tensor:
        return self._starts()

    def plan(self, reference: Maps, ramp: tuple[float, ...]) -> PointPlan:
        starts = self._starts()
        return PointPlan(*(patches(reference, self.grid, starts, r) for r in (self.radius, 0)))

    def loss(self, features: Maps, reference: Any, state: Tensor, progress: float) -> Tensor:
        way = self._targets() - state
        length = way.norm(dim=-1, keepdim=True)
        step = way / length.clamp_min(1e-9) * (length.clamp(max=self.stride) if self.shorten else self.stride)
        if self.preserve:
            want = self._planned(reference).patch
        else:
            want = patches([x.detach() for x in features], self.grid, state, self.radius)
        gap = (patches(features, self.grid, state + step, self.radius) - want.detach()).abs().mean((0, 2, 3))
        loss: Tensor = self.factor * (gap * (length[:, 0] >= self.reach).to(gap)).sum()
        return loss

    def _planned(self, reference: Any) -> PointPlan:
        return reference if isinstance(reference, PointPlan) else self.plan(reference, ())

    @torch.no_grad()
    def track(self, features: Maps, reference: Any, state: Tensor) -> tuple[Tensor, bool]:
        """Finds the cell nearest, in L1 over channels, to the handle's first features (GoodDrag eq. 5)."""
        want = self._planned(reference).middle
        gap = (patches(features, self.grid, state, self.search) - want).abs().sum(0)
        new = state + nearest_shift(gap, state, self.search, self.grid)
        arrived = (new - self._targets()).norm(dim=-1) < self.reach
        return new, bool(arrived.all())

    def trace(self, state: Tensor) -> tuple[tuple[float, float], ...]:
        return in_pixels(state, grid=self.grid, image=self.image)

    def on_small(self, grid: Grid) -> PointSupervision:
        return self

    def wider(self, handles: tuple[Handle, ...], radius: int, patches: int) -> PointSupervision:
        radius = round(
            radius * 2 * self.grid.height / self.image.height
        )  # given in cells of half the picture
        factor, search = float((2 * radius + 1) ** 2), max(self.search, 4)
        return replace(self, handles=handles, radius=radius, factor=factor, search=search)


@dataclass(frozen=True)
class NoSupervision:
    """Nothing pulls: for baselines without updates."""

    @property
    def moves_regions(self) -> bool:
        return False

    def init(self, reference: Maps) -> None:
        return None

    def plan(self, reference: Maps, ramp: tuple[float, ...]) -> None:
        return None

    def loss(self, features: Maps, reference: Any, state: None, progress: float) -> Tensor:
        return features[0].new_zeros(())

    def track(self, features: Maps, reference: Any, state: None) -> tuple[None, bool]:
        return None, False

    def trace(self, state: None) -> tuple[tuple[float, float], ...]:
        return ()

    def on_small(self, grid: Grid) -> NoSupervision:
        return self

    def wider(self, handles: tuple[Handle, ...], radius: int, patches: int) -> NoSupervision:
        return self

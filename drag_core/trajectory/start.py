"""Starting points: latents moved by the full motion (copy-paste), and a refilled source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..motion.geometry import motion_matrix, rescale, warp
from ..motion.masks import moved, on_grid
from ..ranges import check_mode
from ..types import DragError, Grid, Region, Trajectory

Fill = Literal["noise", "keep"]


@dataclass(frozen=True)
class Paste:
    """Puts the source's latent, moved by A_i(1), into the moved mask, at levels 0 .. levels-1.

    The noisy latent moves by whole cells (nearest: blending would shrink its noise).

    split: only the noise does, and the clean part of the latent is carried along to the fraction of a cell.
    warped: the clean latent of the picture warped in pixels; it gives that part for turns and stretches too,
        which a latent does not follow.
    fill: "noise": at level 0 the vacated cells get fresh noise of the level's own deviation (RegionDrag);
        "keep": they stay.
    """

    regions: tuple[Region, ...]
    image: Grid
    levels: int = 1
    fill: Fill = "noise"
    seed: int = 0
    split: bool = False
    warped: Tensor | None = None

    def __post_init__(self) -> None:
        check_mode("the fill of a paste", self.fill, Fill)
        if self.levels < 1:
            raise DragError(f"a paste has {self.levels} levels; it must have 1 at least")

    def __call__(self, z: Tensor, source: Trajectory, level: int) -> Tensor:
        if level >= self.levels:
            return z
        size = Grid(*z.shape[-2:])
        target = torch.stack([on_grid(moved(r), size, 0.4) for r in self.regions]).amax(0).to(z)
        if level == 0 and self.fill == "noise":
            left = torch.stack([on_grid(r.mask, size, 0.3) for r in self.regions]).amax(0).to(z) * (
                1 - target
            )
            noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(self.seed)).to(z)
            z = z * (1 - left) + noise * z.std() * left
        for r in self.regions:
            here = on_grid(moved(r), size, 0.4).to(z)
            matrix = rescale(motion_matrix(r.motion), self.image, size)
            z = z * (1 - here) + self._carried(source, level, matrix).to(z) * here
        return z

    def _carried(self, source: Trajectory, level: int, matrix: Tensor) -> Tensor:
        if not self.split:
            return warp(source.z[level], matrix, mode="nearest", padding="border")
        clean = source.schedule.alpha[level] * source.z[-1]
        noise = warp(source.z[level] - clean, matrix, mode="nearest", padding="border")
        if self.warped is not None:
            return source.schedule.alpha[level] * self.warped + noise
        return warp(clean, matrix, padding="border") + noise


@dataclass(frozen=True)
class Refill:
    """Gives the cells of `area`, at level 0, the latent of `background`.

    background: the same picture, its regions painted over, inverted.
    area: (1, 1, h, w), best the whole editable mask: around a vacated source the inverted noise still
        remembers the object.
    """

    background: Trajectory
    area: Tensor | None = None

    def __call__(self, z: Tensor, source: Trajectory, level: int) -> Tensor:
        if level > 0:
            return z
        filled = self.background.z[0].to(z)
        return filled if self.area is None else torch.where(self.area.to(z) > 0.5, filled, z)


@dataclass(frozen=True)
class InOrder:
    """Applies `first`, then `second`."""

    first: Refill | Paste
    second: Refill | Paste

    def __call__(self, z: Tensor, source: Trajectory, level: int) -> Tensor:
        return self.second(self.first(z, source, level), source, level)

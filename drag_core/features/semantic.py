"""Points that carry their super-pixel (AdaptiveDrag).

These are its semantic regions and its position-supervised backtracking.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..kernels.lookup import nearest_shift, patches
from ..motion.geometry import in_pixels, on_cells
from ..motion.masks import on_grid
from ..motion.superpixels import COUNT, patch_at, superpixels
from ..types import Grid, Handle

Maps = list[Tensor]
WIDEST = 16  # cells: what of a super-pixel lies further from its handle is not compared
MOST = 32  # cells of a super-pixel that tracking reads at every shift, spread evenly over it


@dataclass(frozen=True)
class SemanticPlan:
    """What the updates of a level need of the source's features.

    shape: (P, n, n) in {0, 1}, which cells of the square around each handle are its super-pixel's.
    patch: (ΣC, P, n, n), the reference's features there.
    """

    shape: Tensor
    patch: Tensor
    radius: int
    cells: tuple[tuple[Tensor, Tensor], ...]  # (rows, columns) of each handle's cells that tracking reads


@dataclass(frozen=True)
class SemanticSupervision:
    """Motion supervision and tracking over the super-pixel of each handle, not a square (AdaptiveDrag §3.4).

    A handle's super-pixel is the patch of `labels` (H, W) under it, else its `region`, else one of SLIC on
    the reference's own features. The loss is drift-prone (`preserve` False, as DragDiffusion's that the paper
    goes on from) or information-preserving.

    Tracking (§3.4.1) keeps a new place only if it lies towards the target and at least the ideal step away, a
    `steps`-th of the drag. Else it goes on at the same place, which is what makes the loop as long as the
    drag needs. Towards means a positive cosine with the way to the target from here. Until a handle has
    overshot that is the paper's way (from the start); afterwards it lets the handle come back. Lengths are
    cells of `grid`.
    """

    handles: tuple[Handle, ...]
    image: Grid
    grid: Grid
    steps: int
    search: int
    stride: float
    preserve: bool
    labels: Tensor | None = None
    count: int = COUNT
    reach: float = 2.0

    @property
    def moves_regions(self) -> bool:
        return False

    def _starts(self) -> Tensor:
        return on_cells([h.start for h in self.handles], image=self.image, grid=self.grid)

    def _targets(self) -> Tensor:
        return on_cells([h.target for h in self.handles], image=self.image, grid=self.grid)

    def ideal(self) -> Tensor:
        """Computes (P,), the step d = l/n that every kept update covers at least."""
        out: Tensor = (self._targets() - self._starts()).norm(dim=-1) / self.steps
        return out

    def init(self, reference: Maps) -> Tensor:
        return self._starts()

    def plan(self, reference: Maps, ramp: tuple[float, ...]) -> SemanticPlan:
        labels = self.labels
        if labels is None and any(h.region is None for h in self.handles):
            labels = superpixels(reference[0], self.image, self.count)
        starts, masks = self._starts(), []
        for h, at in zip(self.handles, starts, strict=True):
            own = h.region
            if labels is not None and (self.labels is not None or own is None):
                own = patch_at(labels, h.start)
            assert own is not None
            covered = on_grid(own.cpu().float(), self.grid)
            square = patches([covered], self.grid, at[None], WIDEST)[0, 0] >= 0.5
            square[WIDEST, WIDEST] = True  # the handle's own cell, however thin the patch is
            masks.append(square)
        shape = torch.stack(masks)
        o = torch.arange(-WIDEST, WIDEST + 1)
        used = torch.nonzero(shape.any(0))
        radius = int(o[used].abs().max())
        cut = slice(WIDEST - radius, WIDEST + radius + 1)
        shape = shape[:, cut, cut]
        patch = patches(reference, self.grid, starts, radius)
        found = [torch.nonzero(m) for m in shape]
        few = [
            x[torch.linspace(0, len(x) - 1, min(len(x), MOST)).round().long()].to(patch.device) for x in found
        ]
        return SemanticPlan(shape.to(patch), patch, radius, tuple((x[:, 0], x[:, 1]) for x in few))

    def loss(self, features: Maps, reference: Any, state: Tensor, progress: float) -> Tensor:
        plan = self._planned(reference)
        way = self._targets() - state
        length = way.norm(dim=-1, keepdim=True)
        most = self.ideal().clamp_min(self.stride)[:, None]
        step = way / length.clamp_min(1e-9) * torch.minimum(length, most)
        if self.preserve:
            want = plan.patch
        else:
            want = patches([x.detach() for x in features], self.grid, state, plan.radius)
        gap = (patches(features, self.grid, state + step, plan.radius) - want.detach()).abs().mean(0)
        pulled = (gap * plan.shape).sum((1, 2))
        loss: Tensor = (pulled * (length[:, 0] >= self.reach).to(pulled)).sum()
        return loss

    def _planned(self, reference: Any) -> SemanticPlan:
        return reference if isinstance(reference, SemanticPlan) else self.plan(reference, ())

    @torch.no_grad()
    def track(self, features: Maps, reference: Any, state: Tensor) -> tuple[Tensor, bool]:
        """Finds where the super-pixel's first features are now, in L1, then makes the two tests.

        The distance is GoodDrag's eq. 4, over the patch.
        """
        plan, s = self._planned(reference), self.search
        wide = patches(features, self.grid, state, plan.radius + s)
        side = 2 * s + 1
        shift = torch.arange(side, device=wide.device)
        found = []
        for p, (rows, columns) in enumerate(plan.cells):  # only the super-pixel's cells are read
            at_y = (rows[:, None, None] + shift[:, None]).expand(-1, side, side)
            at_x = (columns[:, None, None] + shift).expand(-1, side, side)
            want = plan.patch[:, p, rows, columns][:, :, None, None]
            found.append((wide[:, p, at_y, at_x] - want).abs().sum((0, 1)))
        moved = nearest_shift(torch.stack(found), state, s, self.grid)
        kept = ((moved * (self._targets() - state)).sum(-1) > 0) & (moved.norm(dim=-1) >= self.ideal())
        arrived = (state - self._targets()).norm(dim=-1) < self.reach
        new = torch.where((kept & ~arrived)[:, None], state + moved, state)
        return new, bool(((new - self._targets()).norm(dim=-1) < self.reach).all())

    def trace(self, state: Tensor) -> tuple[tuple[float, float], ...]:
        return in_pixels(state, grid=self.grid, image=self.image)

    def on_small(self, grid: Grid) -> SemanticSupervision:
        return self

    def wider(self, handles: tuple[Handle, ...], radius: int, patches: int) -> SemanticSupervision:
        return replace(self, handles=handles, count=patches)

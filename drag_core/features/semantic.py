"""Points that are moved with their super-pixel (AdaptiveDrag).

These are its semantic regions (eq. 5-6) and its position-supervised backtracking (§3.4.1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from ..kernels.lookup import lookup_all, nearest_shift, patches
from ..motion.geometry import in_pixels, on_cells
from ..motion.masks import on_grid
from ..motion.superpixels import COUNT, patch_at, superpixels
from ..ranges import check_mode
from ..types import DragError, Grid, Handle, Point

Maps = list[Tensor]
Domain = Literal["square", "superpixel"]
Ahead = Literal["here", "start"]
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
class Division:
    """What the updates of a level need of the source where the super-pixel under the handle counts.

    labels: (H, W), the source's super-pixels, on the CPU.
    first: (ΣC, P), the source's features at the handles' starts.
    carried: what the start's super-pixel needs, where that counts too.
    """

    labels: Tensor
    first: Tensor
    carried: SemanticPlan | None = None


@dataclass(frozen=True)
class SemanticSupervision:
    """Motion supervision and tracking over the super-pixel of each handle, not a square (AdaptiveDrag §3.4).

    A handle's super-pixel is the patch of `labels` (H, W) under it, else its `region`, else one of SLIC on
    the reference's own features. The loss is drift-prone (`preserve` False, as DragDiffusion's that the paper
    goes on from) or information-preserving.

    follow: the loss compares the source's super-pixel under the handle's present place (the paper's A(p^k),
        eq. 5), looked up anew after every tracking; False: that of its start, carried along.
    domain: where a handle is looked for, and by what. "superpixel": among the cells of the one that it is in,
        by the features of its own first cell (eq. 6). "square": within `search` cells, by all cells of its
        first super-pixel.
    ahead: tracking keeps a new place only if it lies towards the target: by the way from the handle's
        "start" (§3.4.1), or from "here", which is the same until a handle has overshot and then lets it come
        back.
    shorten: a step ends at the target, and has `stride` at least or the drag's `steps`-th; False: it has the
        length `stride` always (eq. 5 with DragDiffusion's unit vector).

    A new place must also be the ideal step away, a `steps`-th of the drag. Else the next update goes on at
    the same place, which is what makes the loop as long as the drag needs (the paper's "reusing h^k as
    h^(k-1)" leaves open which of the two that is: here it is h^(k-1)). A handle within `reach` of its target
    rests while others move. The equations sum over channels; here, as in DragDiffusion's release, it is their
    mean, which the published weight of the background goes with. Lengths are cells of `grid`.
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
    domain: Domain = "square"
    ahead: Ahead = "here"
    follow: bool = False
    shorten: bool = True

    def __post_init__(self) -> None:
        check_mode("the domain of a semantic supervision", self.domain, Domain)
        check_mode("what is ahead in a semantic supervision", self.ahead, Ahead)
        if self.follow and self.preserve:
            raise DragError(
                "a semantic supervision that looks its super-pixel up anew compares with the last update's "
                "features: set preserve to False"
            )

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

    def plan(self, reference: Maps, ramp: tuple[float, ...]) -> SemanticPlan | Division:
        if not self.follow and self.domain == "square":
            return self._carry(reference)
        found = self.labels
        labels = superpixels(reference[0], self.image, self.count) if found is None else found.cpu()
        first = lookup_all(reference, self.grid, self._starts(), padding="border")
        both = self.follow and self.domain == "superpixel"
        return Division(labels, first, None if both else self._carry(reference))

    def _carry(self, reference: Maps) -> SemanticPlan:
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
        step = way / length.clamp_min(1e-9) * (torch.minimum(length, most) if self.shorten else self.stride)
        if isinstance(plan, Division):
            if self.follow:
                return self._divided(features, plan, state, step, length[:, 0] >= self.reach)
            assert plan.carried is not None
            plan = plan.carried
        if self.preserve:
            want = plan.patch
        else:
            want = patches([x.detach() for x in features], self.grid, state, plan.radius)
        gap = (patches(features, self.grid, state + step, plan.radius) - want.detach()).abs().mean(0)
        pulled = (gap * plan.shape).sum((1, 2))
        loss: Tensor = (pulled * (length[:, 0] >= self.reach).to(pulled)).sum()
        return loss

    def _divided(self, features: Maps, plan: Division, state: Tensor, step: Tensor, pulls: Tensor) -> Tensor:
        """Computes Σ_i Σ_{q in A(p_i)} |F(q + d_i) - sg F(q)|_1 (eq. 5) over the handles that pull."""
        total: Tensor = features[0].new_zeros(())
        still = [x.detach() for x in features]
        for at, d, pull in zip(state, step, pulls.tolist(), strict=True):
            if pull:
                q = self._cells(plan.labels, at)
                want = lookup_all(still, self.grid, q, padding="border")
                there = lookup_all(features, self.grid, q + d, padding="border")
                total = total + (there - want).abs().mean(0).sum()
        return total

    def _cells(self, labels: Tensor, at: Tensor) -> Tensor:
        """Lists the cells (N, 2), (x, y), of the super-pixel that the place `at` on the grid lies in."""
        own = patch_at(labels, self._pixel(at))
        cells = on_grid(own, self.grid)[0, 0] >= 0.5
        x, y = (
            min(max(int(v + 0.5), 0), n - 1)
            for v, n in zip(at.tolist(), (self.grid.width, self.grid.height), strict=True)
        )
        cells[y, x] = True  # the handle's own, however thin the patch is
        return torch.nonzero(cells).flip(1).to(at)

    def _pixel(self, at: Tensor) -> Point:
        return in_pixels(at[None], grid=self.grid, image=self.image)[0]

    def _searched(self, features: Maps, plan: Division, state: Tensor) -> Tensor:
        """Finds (P, 2) argmin over q in A(p) of |F(q) - F_0(p⁰)|_1 (eq. 6).

        A handle between cells is looked for as far between them: at its own place and whole cells from it.
        """
        new, most = [], torch.tensor([self.grid.width, self.grid.height], dtype=state.dtype) - 1
        for p, at in enumerate(state):
            q = self._cells(plan.labels, at) + at - (at + 0.5).floor()
            q = q[((q >= 0) & (q <= most)).all(1)]
            gap = (lookup_all(features, self.grid, q, padding="border") - plan.first[:, p, None]).abs().sum(0)
            new.append(q[int(gap.argmin())])
        return torch.stack(new)

    def _planned(self, reference: Any) -> SemanticPlan | Division:
        return reference if isinstance(reference, SemanticPlan | Division) else self.plan(reference, ())

    @torch.no_grad()
    def track(self, features: Maps, reference: Any, state: Tensor) -> tuple[Tensor, bool]:
        """Finds where the handle's first features are now, in L1, then makes the two tests (§3.4.1)."""
        plan = self._planned(reference)
        if isinstance(plan, Division) and self.domain == "superpixel":
            moved = self._searched(features, plan, state) - state
        else:
            carried = plan.carried if isinstance(plan, Division) else plan
            assert carried is not None
            moved = self._carried(features, carried, state)
        before = self._starts() if self.ahead == "start" else state
        kept = ((moved * (self._targets() - before)).sum(-1) > 0) & (moved.norm(dim=-1) >= self.ideal())
        arrived = (state - self._targets()).norm(dim=-1) < self.reach
        new = torch.where((kept & ~arrived)[:, None], state + moved, state)
        return new, bool(((new - self._targets()).norm(dim=-1) < self.reach).all())

    def _carried(self, features: Maps, plan: SemanticPlan, state: Tensor) -> Tensor:
        """Finds by which shift (P, 2) the first super-pixel is found again, over all its cells."""
        s = self.search
        wide = patches(features, self.grid, state, plan.radius + s)
        side = 2 * s + 1
        shift = torch.arange(side, device=wide.device)
        found = []
        for p, (rows, columns) in enumerate(plan.cells):  # only the super-pixel's cells are read
            at_y = (rows[:, None, None] + shift[:, None]).expand(-1, side, side)
            at_x = (columns[:, None, None] + shift).expand(-1, side, side)
            want = plan.patch[:, p, rows, columns][:, :, None, None]
            found.append((wide[:, p, at_y, at_x] - want).abs().sum((0, 1)))
        return nearest_shift(torch.stack(found), state, s, self.grid)

    def trace(self, state: Tensor) -> tuple[tuple[float, float], ...]:
        return in_pixels(state, grid=self.grid, image=self.image)

    def on_small(self, grid: Grid) -> SemanticSupervision:
        return self

    def wider(self, handles: tuple[Handle, ...], radius: int, patches: int) -> SemanticSupervision:
        return replace(self, handles=handles, count=patches)

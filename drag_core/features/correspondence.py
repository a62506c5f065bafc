"""Correspondence guidance (AdaptiveDrag §3.5, "CLoss").

While denoising, what is drawn around each target shall match what the picture has around its handle.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..autocast import uncast
from ..motion.geometry import on_cells, sample
from ..trajectory.solvers import Solver, Stepping
from ..types import KV, Backbone, Grid, Handle, Schedule, Task, Trajectory
from .descent import acting_size

RADIUS = 40  # released AdaptiveDrag: half side of the compared squares at 512 px, in pixels: 5 cells of 8


@dataclass(frozen=True)
class Correspondence:
    """CLoss of `handles` (image pixels of `image`) on latents, and its use as guidance.

    `radius`: half side of the compared squares in latent cells. `step`: how far one denoising step shifts its
    clean estimate, root mean square over the cells concerned, times the level's sigma. `temperature` divides
    the cosines, as in CLIP.
    """

    handles: tuple[Handle, ...]
    image: Grid
    radius: int
    step: float
    temperature: float = 0.07

    def loss(self, clean: Tensor, source: Tensor) -> Tensor:
        """Computes CLoss (eq. 4).

        This is Σ_i of the symmetric cross-entropy between the cells around handle i in `source` and those
        around target i in `clean`, both (1, C, h, w) clean latents. Each cell, described by its 3x3
        neighbourhood, must be more like its counterpart than like any other. Cells outside the latent in
        either place don't count; the loss is 0 if none is left.
        """
        size = Grid(*clean.shape[-2:])
        now, then = _described(clean), _described(source.to(clean))
        total = clean.new_zeros(())
        for handle in self.handles:
            a, b = self._cells(handle.start, size), self._cells(handle.target, size)
            limit = torch.tensor([size.width - 1, size.height - 1], dtype=a.dtype)
            both = ((a >= 0) & (a <= limit) & (b >= 0) & (b <= limit)).all(1)
            if int(both.sum()) > 1:
                rows = F.normalize(sample(then, a[both], padding="zeros"), dim=0).T
                columns = F.normalize(sample(now, b[both], padding="zeros"), dim=0)
                cosine = rows @ columns / self.temperature
                same = torch.arange(len(cosine), device=cosine.device)
                total = total + (F.cross_entropy(cosine, same) + F.cross_entropy(cosine.T, same)) / 2
        return total

    def _cells(self, point: tuple[float, float], size: Grid) -> Tensor:
        """Lists the latent cells (N, 2), (x, y), of the square around `point`.

        They lie between cells where the point does.
        """
        middle = on_cells([point], image=self.image, grid=size)
        o = torch.arange(-self.radius, self.radius + 1, dtype=torch.float64)
        dy, dx = torch.meshgrid(o, o, indexing="ij")
        return middle + torch.stack([dx, dy], -1).reshape(-1, 2)

    def gradient(self, clean: Tensor, source: Tensor, leaf: Tensor) -> Tensor | None:
        """Computes how `clean`, made from `leaf`, must change to match better.

        This is CLoss's gradient at `leaf`, scaled to root mean square 1 over the cells where it acts. None
        where nothing acts.
        """
        with uncast(clean.device):
            loss = self.loss(clean, source)
            if not loss.requires_grad:
                return None
            (found,) = torch.autograd.grad(loss, leaf)
        return found / acting_size(found)

    def solver(self, inner: Solver, source: Trajectory) -> Solver:
        """Makes a first-order step whose clean estimate is shifted against the gradient.

        Inversions go on as with `inner`.
        """

        def guided(
            backbone: Backbone, z: Tensor, s: Schedule, i: int, j: int, kv: KV, carry: Tensor | None
        ) -> tuple[Tensor, Tensor | None]:
            if j < i or not self.handles or self.step == 0:
                return inner(backbone, z, s, i, j, kv, carry)
            with torch.enable_grad():
                leaf = z.detach().clone().requires_grad_()
                predicted = backbone.predict(leaf, s.t[i], kv)
                if s.prediction == "velocity":
                    clean = leaf - s.t[i] * predicted
                else:
                    clean = (leaf - s.sigma[i] * predicted) / s.alpha[i]
                way = self.gradient(clean, source.z[-1], leaf)
            clean = clean.detach()
            if way is not None:
                clean = clean - self.step * s.sigma[i] * way
            noise = (z - s.alpha[i] * clean) / s.sigma[i]
            return s.alpha[j] * clean + s.sigma[j] * noise, None

        return Stepping(guided, inner.carries)


def correspondence(task: Task, step: float) -> Correspondence:
    """Builds CLoss of a drag's handles with squares of the released size."""
    return Correspondence(task.handles, task.image, usual_radius(task), step)


def usual_radius(task: Task) -> int:
    """Computes the half side of the compared squares in latent cells.

    It is the released size, which is meant at 512 pixels and grows with the picture, whatever a cell covers.
    """
    side = min(task.image.height, task.image.width)
    return max(1, round(RADIUS * side / 512 / task.cell))


def _described(z: Tensor) -> Tensor:
    """Describes every cell by its 3x3 neighbourhood, (1, 9·C, h, w), the border repeated."""
    return F.unfold(F.pad(z, (1, 1, 1, 1), mode="replicate"), 3).reshape(1, -1, *z.shape[-2:])

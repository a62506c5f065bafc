"""Muon: momentum made orthogonal (Jordan et al. 2024), for matrices and convolutions, many at once.

torch has a Muon of its own (torch.optim.Muon), but for plain matrices only and one after the other; here
convolutions count as matrices (out, in·kh·kw), a matrix that holds several fused ones is taken apart, and all
of one shape go through one stack, which on a GPU is some hundred launches less a step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

STEPS, A, B, C = 5, 3.4445, -4.7750, 2.0315  # the authors' quintic: singular values end in about [0.7, 1.2]


def orthogonal(g: Tensor) -> Tensor:
    """Computes for a stack of matrices (K, m, n) those with the same singular vectors and values near 1."""
    x = g.bfloat16() if g.is_cuda else g
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(STEPS):
        square = x @ x.mT  # of the shorter side
        x = A * x + (B * square + C * (square @ square)) @ x
    out: Tensor = (x.mT if tall else x).float()
    return out


class Muon(torch.optim.Optimizer):
    """Steps as long as AdamW's, of root mean square 0.2 · lr; Nesterov's momentum, decoupled weight decay.

    width: a matrix (k·width, width) with k > 1 is k fused ones (q, k, v; the outputs of a modulation), each
        made orthogonal on its own; None: none is fused.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        width: int | None = None,
        momentum: float = 0.95,
        weight_decay: float = 1e-3,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "width": width}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # takes no closure
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._step(params, group)

    def _step(self, params: list[Tensor], group: dict[str, Any]) -> None:
        for p in params:
            if "momentum" not in self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
        kept = [self.state[p]["momentum"] for p in params]
        grads = [p.grad for p in params if p.grad is not None]
        torch._foreach_lerp_(kept, grads, 1 - group["momentum"])
        ahead = torch._foreach_lerp(grads, kept, group["momentum"])
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        same: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for p, look in zip(params, ahead, strict=True):
            pieces = look.reshape(fused(p, group["width"]), -1, p[0].numel())
            same[pieces.shape[1], pieces.shape[2]].append((p, pieces))
        for (m, n), members in same.items():
            out = orthogonal(torch.cat([pieces for _, pieces in members]))
            parts = (out * (-0.2 * group["lr"] * max(m, n) ** 0.5)).split([len(x) for _, x in members])
            for (p, _), part in zip(members, parts, strict=True):
                p.add_(part.reshape(p.shape))


def fused(p: Tensor, width: int | None) -> int:
    """How many matrices one holds."""
    m, n = p.shape[0], p[0].numel()
    return m // width if width is not None and n == width and m > width and m % width == 0 else 1

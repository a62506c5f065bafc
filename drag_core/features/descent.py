"""Gradient descent that does not depend on the gradient's size."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def acting_size(gradient: Tensor) -> Tensor:
    """Computes the root mean square over the cells where the gradient acts; never 0."""
    acts = (gradient != 0).sum().clamp_min(1)
    size: Tensor = (gradient.square().sum() / acts).sqrt() + 1e-12
    return size


class NormalisedDescent(Optimizer):
    """Gradient descent by steps of one size, whatever the gradient's.

    A step has root mean square `lr` over the cells where the gradient acts.
    """

    def __init__(self, params: list[Tensor], lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(group["lr"] * p.grad / acting_size(p.grad))

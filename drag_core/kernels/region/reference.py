"""What a region pulls with, as the papers write it: the definition, and the tests' oracle."""

from __future__ import annotations

from torch import Tensor

from ...types import Grid
from ..lookup import lookup_all


def gap(now: list[Tensor], then: list[Tensor], size: Grid, to: Tensor, came_from: Tensor) -> Tensor:
    """Sums |F(p) - F_0(A⁻¹p)| over channels and places (DragFlow eq. 1).

    Compares `now` at `to` (N, 2) with `then` at `came_from` (N, 2). Both are cells of `size`, to which all
    maps (1, C, h, w) are read as if upsampled.
    """
    here = lookup_all(now, size, to, padding="border")
    return (here - lookup_all(then, size, came_from, padding="border")).abs().sum()

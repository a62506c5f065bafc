"""Reading the golden arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from drag_core.types import Handle, Point

HERE = Path(__file__).parent


def golden(name: str) -> dict[str, Tensor]:
    with np.load(HERE / f"{name}.npz") as arrays:
        return {key: torch.from_numpy(np.array(arrays[key])) for key in arrays.files}


def points(rows_and_columns: Tensor) -> list[Point]:
    """[row, col] rows as (x, y)."""
    return [(float(column), float(row)) for row, column in rows_and_columns.tolist()]


def handles(starts: Tensor, targets: Tensor) -> tuple[Handle, ...]:
    return tuple(Handle(a, b) for a, b in zip(points(starts), points(targets), strict=True))


def relative(got: Tensor, want: Tensor) -> float:
    """Largest difference over the largest wanted magnitude."""
    return float((got.double() - want.double()).abs().max() / want.double().abs().max())

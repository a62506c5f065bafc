"""Differences of two rows over the same scenes, with their 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 4000


@dataclass(frozen=True)
class Difference:
    """Mean of second minus first, its 95 % interval, and in how many of `count` scenes it rises."""

    mean: float
    low: float
    high: float
    rises: int
    count: int

    def __str__(self) -> str:
        if self.count == 0:
            return "none"
        return f"{self.mean:+.2f} [{self.low:+.2f}, {self.high:+.2f}], {self.rises}/{self.count}"


def difference(values: Sequence[float]) -> Difference:
    """Computes the mean of paired differences and its interval, by a seeded bootstrap over scenes.

    Those that are no numbers (the column does not exist in that scene) do not count.
    """
    x = np.array([v for v in values if not math.isnan(v)])
    if len(x) == 0:
        return Difference(math.nan, math.nan, math.nan, 0, 0)
    drawn = np.random.default_rng(0).integers(0, len(x), (DRAWS, len(x)))
    low, high = np.percentile(x[drawn].mean(1), (2.5, 97.5))
    return Difference(float(x.mean()), float(low), float(high), int((x > 0).sum()), len(x))

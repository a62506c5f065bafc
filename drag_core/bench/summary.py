"""What a benchmark's records say: means, their intervals, of how many they are, differences of two rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..metrics.protocols import column_of
from .jobs import OK
from .lines import Record
from .paired import DRAWS, Difference, difference

Values = dict[tuple[str, int], tuple[float, int]]  # sample, number of its seed -> value, and what it weighs


@dataclass(frozen=True)
class Cell:
    """A row's mean of a metric over samples, its 95 % interval, and of how many.

    median: of the samples' values.
    deviation: of the means of each seed, where there are several; else nan.
    """

    mean: float
    low: float
    high: float
    median: float
    count: int
    deviation: float


EMPTY = Cell(math.nan, math.nan, math.nan, math.nan, 0, math.nan)


def rows_in(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(r["row"] for r in records))


def keys_in(records: Sequence[Record]) -> list[str]:
    """Lists the metrics in the records, each once, in their order, those without any value too."""
    return list(dict.fromkeys(k for r in records for k in r["metrics"]))


def values(records: Sequence[Record], row: str, key: str) -> Values:
    """Collects a row's values of a metric, rounded as the protocol's script does before its mean."""
    column, out = column_of(key), Values()
    for r in records:
        told = r["metrics"].get(key) if r["row"] == row else None
        if told is None or told["value"] is None:
            continue
        value = float(told["value"])
        if column is not None and column.rounded is not None:
            value = round(value, column.rounded)
        pooled = column is not None and column.pooling == "points"
        out[r["sample"], r["base"]] = (value, told["count"] if pooled else 1)
    return out


def cell(records: Sequence[Record], row: str, key: str) -> Cell:
    """Averages a metric over a row's samples, of points or of pictures as its protocol says."""
    found = values(records, row, key)
    if not found:
        return EMPTY
    by_sample: dict[str, list[tuple[float, int]]] = {}
    for (sample, _), pair in found.items():
        by_sample.setdefault(sample, []).append(pair)
    x = np.array([np.mean([v for v, _ in pairs]) for pairs in by_sample.values()])
    weight = np.array([pairs[0][1] for pairs in by_sample.values()], np.float64)
    drawn = np.random.default_rng(0).integers(0, len(x), (DRAWS, len(x)))
    means = (x * weight)[drawn].sum(1) / np.maximum(weight[drawn].sum(1), 1e-9)
    low, high = np.percentile(means, (2.5, 97.5))
    bases = sorted({base for _, base in found})
    by_seed = [np.mean([v for (_, b), (v, _) in found.items() if b == base]) for base in bases]
    deviation = float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else math.nan
    mean = float((x * weight).sum() / max(weight.sum(), 1e-9))
    return Cell(mean, float(low), float(high), float(np.median(x)), len(x), deviation)


def paired(records: Sequence[Record], first: str, second: str, key: str) -> Difference:
    """Compares two rows: second minus first, over the samples (and seeds) that both have.

    A row without seeds of its own stands beside every seed of the other.
    """
    a, b = values(records, first, key), values(records, second, key)
    alone = {sample: v for (sample, _), v in a.items()}
    seeded = len(alone) < len(a)
    by_sample: dict[str, list[float]] = {}
    for (sample, base), (value, _) in b.items():
        other = a.get((sample, base)) if seeded else alone.get(sample)
        if other is not None:
            by_sample.setdefault(sample, []).append(value - other[0])
    return difference([float(np.mean(v)) for v in by_sample.values()])


def coverage(records: Sequence[Record], row: str) -> tuple[int, int]:
    """Counts of a row the samples that it has whole, and those that were asked for."""
    mine = [r for r in records if r["row"] == row]
    asked = {r["sample"] for r in mine}
    return len(asked - {r["sample"] for r in mine if r["status"] != OK}), len(asked)


def notes_in(records: Sequence[Record]) -> list[tuple[str, list[str]]]:
    """Lists every note with the samples that have it, the commonest first."""
    found: dict[str, dict[str, None]] = {}
    for r in records:
        for note in r["notes"]:
            found.setdefault(note, {})[r["sample"]] = None
    return sorted(((n, list(s)) for n, s in found.items()), key=lambda x: -len(x[1]))


def reasons_in(records: Sequence[Record]) -> list[tuple[str, list[str], list[str]]]:
    """Lists every reason of a failure with its samples and rows."""
    found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for r in records:
        if r["status"] != OK:
            samples, rows = found.setdefault(r["reason"], ({}, {}))
            samples[r["sample"]], rows[r["row"]] = None, None
    return [(reason, list(s), list(rows)) for reason, (s, rows) in found.items()]

"""Timing of ways of doing the same, in turn, and the table of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

# dense half-precision TFLOP/s with float32 sums, as the makers print them
PEAKS = {
    "H200": 989, "H100 PCIe": 756, "H100": 989, "A100": 312, "L40S": 362, "L4": 121, "A10": 125,
    "RTX 5090": 210, "RTX 4090": 165, "RTX 3090": 71, "V100": 125, "T4": 65,
}  # fmt: skip


@dataclass(frozen=True)
class Timing:
    """`ms` of one update (median), the peak of memory above what was there before, and the work counted."""

    name: str
    ms: float
    peak_gb: float
    tflop: float
    share: float | None  # of the card's peak FLOP/s


class Clock:
    """Marks on the device's own time line; on a CPU wall time, which is there to test the logic."""

    def __init__(self, device: str) -> None:
        self.cuda = device.startswith("cuda")

    def mark(self) -> Any:
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()  # type: ignore[no-untyped-call]
        return event

    def between(self, a: Any, b: Any) -> float:
        """Milliseconds."""
        if not self.cuda:
            return float(1000 * (b - a))
        b.synchronize()
        return float(a.elapsed_time(b))


Way = Callable[[], float]  # makes an update, gives its milliseconds


def captured(work: Callable[[], Any], warm: int) -> torch.cuda.CUDAGraph:
    """Records `work` as a CUDA graph, after `warm` runs on another stream."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(warm):
            work()
    torch.cuda.current_stream().wait_stream(side)
    made = torch.cuda.CUDAGraph()
    with torch.cuda.graph(made):
        work()
    return made


def interleaved(ways: dict[str, Way], rounds: int = 20, warm: int = 3) -> dict[str, float]:
    """The median of every way, one after the other in each round, forwards and backwards in turn."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for i in range(warm + rounds):
        for name in ways if i % 2 else reversed(ways):
            ms = ways[name]()
            if i >= warm:
                times[name].append(ms)
    return {name: statistics.median(t) for name, t in times.items()}


def peak_flops(card: str) -> float | None:
    """TFLOP/s of the first known name that `card` contains."""
    return next((float(v) for name, v in PEAKS.items() if name in card), None)


def plain_update(update: Callable[[], Any], clock: Clock) -> Way:
    def way() -> float:
        before = clock.mark()
        update()
        return clock.between(before, clock.mark())

    return way


def timings(
    ways: dict[str, Way], work: dict[str, float], device: str, card: str, rounds: int
) -> list[Timing]:
    """`work`: TFLOP of an update of each way."""
    peaks = {}
    for name, way in ways.items():
        if device.startswith("cuda"):
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            way()
            peaks[name] = (torch.cuda.max_memory_allocated() - before) / 1e9
    found = interleaved(ways, rounds)
    most = peak_flops(card)
    return [
        Timing(n, ms, peaks.get(n, 0.0), work[n], None if most is None else work[n] / (ms / 1000) / most)
        for n, ms in found.items()
    ]


def markdown(card: str, found: dict[str, list[Timing]]) -> str:
    lines = [f"Measured on {card}, torch {torch.__version__}, random weights, half precision.", ""]
    for group, rows in found.items():
        lines += [f"| {group} | ms an update | a second | peak GB above the weights | share of peak FLOPs |"]
        lines += ["|---|---|---|---|---|"]
        for r in rows:
            share = "–" if r.share is None else f"{100 * r.share:.0f} %"
            lines.append(f"| {r.name} | {r.ms:.1f} | {1000 / r.ms:.1f} | {r.peak_gb:.2f} | {share} |")
        lines.append("")
    return "\n".join(lines)

"""What an edit cost: seconds by stage and the most memory, measured or told by a node's report."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ..types import DragError


@dataclass
class Cost:
    """Seconds by stage in the order they ran, and the most memory in MB (nan: not known)."""

    seconds: dict[str, float] = field(default_factory=dict)
    peak_mb: float = math.nan

    @property
    def total(self) -> float:
        return sum(self.seconds.values()) if self.seconds else math.nan


@contextmanager
def stage(cost: Cost, name: str, device: str = "cpu") -> Iterator[None]:
    """Context manager: adds the time spent inside to `name`, the device's work waited for before and after.

    The peak is the most memory since the process began on a CPU, and of tensors inside the stage on a card;
    the host's offloading changes both.
    """
    on_card = torch.device(device).type == "cuda"
    if on_card:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    began = time.perf_counter()
    try:
        yield
    finally:
        if on_card:
            torch.cuda.synchronize(device)
        cost.seconds[name] = cost.seconds.get(name, 0.0) + time.perf_counter() - began
        peak = torch.cuda.max_memory_allocated(device) / 2**20 if on_card else resident_mb()
        cost.peak_mb = peak if math.isnan(cost.peak_mb) else max(cost.peak_mb, peak)


def resident_mb() -> float:
    """Reads the most memory this process has held, in MB; nan where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return math.nan
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if Path("/System/Library").exists() else most / 2**10  # macOS counts bytes


def told(report: str) -> Cost:
    """Reads what DragOptimize's report or the command line's JSON says: `seconds`, `peak_memory_mb`."""
    try:
        data = json.loads(report)
    except json.JSONDecodeError:
        data = None
    if not isinstance(data, dict) or not isinstance(data.get("seconds"), (int, float)):
        raise DragError("the report is no JSON with seconds in it: connect DragOptimize's report, or nothing")
    peak = data.get("peak_memory_mb")
    return Cost({"edit": float(data["seconds"])}, float(peak) if isinstance(peak, (int, float)) else math.nan)

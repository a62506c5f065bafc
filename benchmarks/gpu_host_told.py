"""What gpu_host.py finds, a line of JSON at a time, and how much time it has left."""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

BEGAN = time.time()
OUT = Path(os.environ.get("OUT") or "out")
RUN: dict[str, Any] = {"part": "main", "deadline": BEGAN + 100, "small": False}


def say(what: str, **row: Any) -> None:
    line = {"at": round(time.time() - BEGAN, 1), "run": RUN["part"], "what": what, **row}
    text = json.dumps(line, default=str)
    print(text[:1500], flush=True)
    OUT.mkdir(parents=True, exist_ok=True)
    with (OUT / "gpu_host.jsonl").open("a") as file:
        file.write(text + "\n")


def timed(what: str, work: Callable[[], Any], wants: float = 5) -> Any:
    """Runs a step and writes what it found, or what came in the way; skips it where time is short."""
    import torch

    if RUN["deadline"] - time.time() < wants:
        say(what, skipped="time")
        return None
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    began = time.time()
    try:
        found = work()
        peak = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None
        say(what, seconds=round(time.time() - began, 2), peak_gb=peak, found=found)
        return found
    except BaseException as e:
        say(what, error=f"{type(e).__name__}: {e}"[:400], trace=traceback.format_exc().splitlines()[-12:])
        return None

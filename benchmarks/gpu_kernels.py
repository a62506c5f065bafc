"""python -m benchmarks.gpu_kernels [--seconds 60] [--json FILE]

The region pull on this machine's card: right against the definition and the windows, then its time beside the
floor and the windows, then blocks. A line of JSON for each thing as it is found; what fails or has no time
left does not stop the rest. Needs torch with triton and nothing else. Without a GPU: says so and leaves with
status 2.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.clock import captured
from benchmarks.pulls import Case, box, definition, motion, odd, real
from drag_core.kernels import region
from drag_core.kernels.region import fused, poses, windowed
from drag_core.types import Grid

DEVICE = "cuda"
Pull = Callable[[], list[Tensor]]  # loss and gradients
VARIANTS = [(64, 1), (128, 2), (128, 1), (64, 2), (256, 2), (128, 4), (256, 4), (32, 1)]
SPREADS = [(16, 64, 4), (8, 64, 2), (8, 128, 4), (32, 64, 4), (16, 128, 8), (4, 256, 4)]


class Told:
    """Prints and writes lines; knows how much time is left."""

    def __init__(self, seconds: float, file: Path | None) -> None:
        self.end, self.file, self.failed = time.monotonic() + seconds, file, 0

    def say(self, **line: Any) -> None:
        text = json.dumps({k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in line.items()})
        print(text, flush=True)
        if self.file:
            with self.file.open("a") as f:
                f.write(text + "\n")

    def all(self, what: str, of: dict[str, Callable[[], dict[str, Any]]]) -> None:
        for name, make in of.items():
            if time.monotonic() > self.end:
                self.say(what=what, name=name, left_out="no time left")
                continue
            start = time.monotonic()
            try:
                self.say(what=what, name=name, **make(), s=time.monotonic() - start)
            except Exception:
                self.failed += 1
                self.say(what=what, name=name, error=traceback.format_exc()[-900:])


def tiny(case: Case) -> Case:
    """What compiles to the same kernels, with few channels."""
    return replace(case, sizes=tuple((c if c % 16 else 16, h, w) for c, h, w in case.sizes))


def warm(case: Case, blocks: fused.Blocks = fused.BLOCKS) -> None:
    """In a process of its own: compiles into triton's cache on the disk."""
    try:
        fused.BLOCKS = blocks  # type: ignore[misc]
        way(case, case.maps(1, DEVICE), case.maps(2, DEVICE), True)()
        torch.cuda.synchronize()
    except Exception as error:  # the run itself says it
        print(f"not warmed: {case.name}: {str(error)[:200]}", file=sys.stderr)


def warmed(jobs: list[tuple[Case, fused.Blocks]], workers: int = 10) -> dict[str, Any]:
    """Compiles side by side, which one process does one by one; what takes too long is left to the run."""
    pool = ProcessPoolExecutor(workers, get_context("spawn"))
    done, left = wait([pool.submit(warm, *job) for job in jobs], timeout=45)
    pool.shutdown(wait=not left, cancel_futures=True)
    return {"kernels": len(done), "left": len(left)}


def way(case: Case, now: list[Tensor], then: list[Tensor], fast: bool) -> Pull:
    """Loss and gradients of one update, by the kernel or by windows."""
    scale = case.scales(str(now[0].device))
    x = [m.detach().requires_grad_() for m in now]
    if fast:
        kept, planned = fused.laid(then), poses.pose(then, case.grid, case.regions, fused.BLOCKS.channels)
        assert planned is not None

        def pull() -> Tensor:
            return fused.pull(x, kept, planned, scale)
    else:
        windows = region.windows(then, case.grid, case.regions)

        def pull() -> Tensor:
            return windowed.pull(x, then, windows, scale)

    def run() -> list[Tensor]:
        loss = pull()
        return [loss.detach(), *torch.autograd.grad(loss, x)]

    return run


def checked(case: Case, told: Told) -> dict[str, Any]:
    now, then = case.maps(1, DEVICE), case.maps(2, DEVICE)
    run = way(case, now, then, True)
    got, again = run(), run()
    want = definition(case, now, then)
    slow = way(case, now, then, False)()
    apart = [float((a - b).abs().max() / b.abs().max()) for a, b in zip(got[1:], want[1], strict=True)]
    off = float((got[0] - want[0]).abs() / want[0].abs())
    most = {torch.float32: 5e-6, torch.float16: 2e-3, torch.bfloat16: 1e-2}[case.dtype]
    same = all(map(torch.equal, got, again))
    bad = off > 2e-6 or max(apart) > most or not same
    told.failed += bad
    windows = float((got[0] - slow[0]).abs() / slow[0].abs())
    return {"bad": bad, "loss": off, "gradient": max(apart), "same_bits": same, "loss_to_windows": windows}


def ties(told: Told) -> dict[str, Any]:
    grid = Grid(51, 37)
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        for name, one in (("not moved", motion()), ("turned about a cell", motion(turn=0.7, about=(9, 12)))):
            mask = box(grid, 12, 9, 1, 1) if "turned" in name else box(grid, 7, 5, 20, 21)
            case = Case("ties", ((5, 13, 11), (64, 13, 11)), grid, ((one, mask, 1.0),), dtype)
            now = case.maps(1, DEVICE)
            found[f"{name} {dtype}"] = float(sum(x.abs().sum() for x in way(case, now, now, True)()))
    told.failed += any(found.values())
    return found


def eager(run: Pull, rounds: int = 10) -> float:
    """Microseconds of a call by the wall clock, the median of rounds of three."""
    times = []
    for i in range(rounds + 2):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(3):
            run()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - start) / 3e-6)
        if i > 3 and sum(times) > 3e5:
            break
    return statistics.median(times[2:])


def graph(run: Pull, rounds: int = 9) -> float:
    """Microseconds of a call replayed as a CUDA graph, the median."""
    made = captured(run, 2)
    times = []
    for _ in range(rounds):
        a, b = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        made.replay()
        a.record()  # type: ignore[no-untyped-call]
        for _ in range(10):
            made.replay()
        b.record()  # type: ignore[no-untyped-call]
        b.synchronize()
        times.append(a.elapsed_time(b) * 100)
    return statistics.median(times)


def floor(case: Case, rate: float) -> float:
    """Microseconds: what is touched of both maps read once, every gradient written once."""
    planned = poses.pose([torch.empty(1, *s) for s in case.sizes], case.grid, case.regions)
    assert planned is not None
    total = 0
    for i, (h, w) in zip(planned.order, planned.crops, strict=True):
        c, high, wide = case.sizes[i]
        total += c * (2 * h * w + high * wide)
    return total * case.dtype.itemsize / rate * 1e6


def timed(case: Case, rate: float) -> dict[str, Any]:
    now, then = case.maps(1, DEVICE), case.maps(2, DEVICE)
    best, out = floor(case, rate), {}
    for name, fast in (("kernel", True), ("windows", False)):
        run = way(case, now, then, fast)
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        out[f"{name}_peak"] = (torch.cuda.max_memory_allocated() - before) / sum(m.nbytes for m in now)
        out[f"{name}_eager"] = eager(run)
        out[f"{name}_graph"] = graph(run)
    start = time.perf_counter()
    poses.pose(then, case.grid, case.regions)
    torch.cuda.synchronize()
    planned = (time.perf_counter() - start) * 1e6
    return {"floor": best, **out, "over_floor": out["kernel_graph"] / best, "plan": planned}


def varied(case: Case, blocks: fused.Blocks, quads: int) -> dict[str, Any]:
    now, then = case.maps(1, DEVICE), case.maps(2, DEVICE)
    before = fused.BLOCKS, poses.QUADS
    try:
        fused.BLOCKS, poses.QUADS = blocks, quads  # type: ignore[misc]
        return {"graph": graph(way(case, now, then, True))}
    finally:
        fused.BLOCKS, poses.QUADS = before  # type: ignore[misc]


def copying() -> float:
    """Bytes a second that a copy on the card reads and writes."""
    a = torch.empty(2**28, device=DEVICE)
    b = torch.empty_like(a)
    return 2 * a.nbytes / (graph(lambda: [b.copy_(a)], 3) * 1e-6)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_kernels", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args(argv)
    if not torch.cuda.is_available():
        print("not measured: there is no CUDA device here", file=sys.stderr)
        return 2
    told = Told(args.seconds, args.json)
    rate = copying()
    told.say(what="card", name=torch.cuda.get_device_name(), torch=torch.__version__, copy_tb_s=rate / 1e12)
    torch.cuda.empty_cache()
    cases = {c.name: c for c in real()}
    some = [c for n, c in cases.items() if c.last and ("3520 f32, 256" in n or "bf16, 256" in n)]
    base = fused.BLOCKS
    ways = {f"{c}, {w} warps": (replace(base, channels=c, warps=w), poses.QUADS) for c, w in VARIANTS}
    ways |= {f"quads {q}": (base, q) for q in (1, 16, 128, 256, 1024)}
    ways |= {f"{r} registers": (replace(base, registers=r), poses.QUADS) for r in (96, 168)}
    ways |= {f"spread {s}": (replace(base, spread=s), poses.QUADS) for s in SPREADS}
    jobs = [(tiny(c), base) for c in (*cases.values(), *odd())]
    jobs += [(tiny(c), blocks) for blocks, _ in ways.values() for c in some]
    told.all("warmed", {"all": lambda: warmed(jobs)})
    kinds = fused.KINDS
    told.all("works", {"here": lambda: {str(k): fused.works(torch.device(DEVICE, 0), k) for k in kinds}})
    told.all("check", {c.name: lambda c=c: checked(c, told) for c in odd()})
    told.all("ties", {"0": lambda: ties(told)})
    told.say(what="checked", failed=told.failed)
    timing = {n: lambda c=c: timed(c, rate) for n, c in cases.items()}
    first = list(timing)[:7]
    told.all("time", {n: timing[n] for n in first})
    told.all(
        "blocks", {f"{n}: {c.name}": lambda c=c, v=v: varied(c, *v) for n, v in ways.items() for c in some}
    )
    told.all("time", {n: run for n, run in timing.items() if n not in first})
    told.say(what="done", failed=told.failed)
    return int(told.failed > 0)


if __name__ == "__main__":
    sys.exit(main())

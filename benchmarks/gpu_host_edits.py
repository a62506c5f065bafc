"""The edits of gpu_host.py: whole drags through the product's own loop, their updates, memory and launches.

And what a recording that fails leaves behind.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from gpu_host_models import recorded
from gpu_host_told import RUN, timed


class Stopped(BaseException):
    """The end of a profile."""


class Watch:
    """Marks the device's time at every step; or ends with a profile of the updates 10 to 12."""

    def __init__(self, profile: bool = False) -> None:
        self.profile, self.prof, self.marks, self.host, self.stages = profile, None, [], [], []
        self.found: dict[str, Any] = {}

    def __call__(self, *args: Any, **kw: Any) -> Callable[[Any], None]:
        import torch

        cuda = torch.cuda.is_available()

        def told(step: Any) -> None:
            mark = torch.cuda.Event(enable_timing=True) if cuda else time.perf_counter()
            if cuda:
                mark.record()
            self.marks.append(mark)
            self.host.append(time.perf_counter())
            self.stages.append((step.stage, step.level))
            if self.profile and len(self.marks) in (10, 13):
                self._profile()
            if self.found:
                raise Stopped

        return told

    def _profile(self) -> None:
        import torch
        from torch.profiler import ProfilerActivity, profile

        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if self.prof is None:
            kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
            self.prof = profile(activities=kinds)
            self.prof.__enter__()
            return
        self.prof.__exit__(None, None, None)
        rows = self.prof.key_averages()
        device = [r for r in rows if str(r.device_type).endswith("CUDA")]
        asked = {r.key: round(r.count / 3, 1) for r in rows if "Launch" in r.key}
        calls = {r.key: round(r.count / 3, 1) for r in rows if r.key.startswith("aten::")}
        most = sorted(calls, key=lambda k: calls[k], reverse=True)[:10]
        kernels = sorted(device, key=lambda r: r.self_device_time_total, reverse=True)[:12]
        self.found = {
            "device_ms": round(sum(r.self_device_time_total for r in device) / 3e3, 2),
            "launches": asked,
            "operators": round(sum(calls.values())),
            "most": {k: calls[k] for k in most},
            "kernels": [[r.key[:70], round(r.self_device_time_total / 3e3, 3), r.count / 3] for r in kernels],
        }

    def row(self) -> dict[str, Any]:
        import torch

        if not self.marks:
            return {}
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            gaps = [a.elapsed_time(b) for a, b in zip(self.marks, self.marks[1:], strict=False)]
        else:
            gaps = [1000 * (b - a) for a, b in zip(self.marks, self.marks[1:], strict=False)]
        host = [1000 * (b - a) for a, b in zip(self.host, self.host[1:], strict=False)]
        same = [a == b for a, b in zip(self.stages, self.stages[1:], strict=False)]
        updates = [g for g, s in zip(gaps, same, strict=True) if s]
        others = [g for g, s in zip(gaps, same, strict=True) if not s]
        return {
            "update_ms": _median(updates),
            "host_ms": _median([h for h, s in zip(host, same, strict=True) if s]),
            "slowest_ms": [round(g) for g in sorted(updates)[-4:]],
            "other_step_ms": _median(others),
            **self.found,
        }


def _median(xs: list[float]) -> float | None:
    return round(statistics.median(xs), 2) if xs else None


def task_of(side: int, points: int = 0) -> Any:
    """A square in the middle, moved; or pairs of points."""
    import torch
    from region_drag_editing.drag_core.types import AffineMotion, Grid, Handle, Region, Task

    mask = torch.zeros(side, side)
    mask[side // 4 : side // 2, side // 4 : side // 2] = 1
    editable = torch.zeros(side, side)
    editable[side // 8 : -side // 8, side // 8 : -side // 8] = 1
    if points:
        places = [(side * (0.3 + 0.014 * i), side * 0.4) for i in range(points)]
        pairs = tuple(Handle((x, y), (x + 0.2 * side, y + 0.05 * side)) for x, y in places)
        return Task(Grid(side, side), handles=pairs, editable=editable)
    motion = AffineMotion(shift=(0.22 * side, 0.07 * side), anchor=(0.375 * side, 0.375 * side))
    return Task(Grid(side, side), (Region(mask, motion),), editable=editable)


class Edits:
    """Inversions and drags of one model, with recordings and without."""

    def __init__(self, model: tuple[Any, Any, Any], steps: int, strength: float) -> None:
        self.patcher, self.positive, self.z = model
        self.steps, self.strength = steps, strength
        self.inversions: dict[str, Any] = {}
        self.results: dict[str, Any] = {}

    def invert(self, wanted: bool, kv: str = "none") -> dict[str, Any]:
        import torch
        from region_drag_editing.nodes.host import inversion

        inversion._last.clear()
        with recorded(wanted), torch.inference_mode():
            made = inversion.invert_latent(
                self.patcher, self.positive, self.z, steps=self.steps, strength=self.strength, kv=kv
            )
        self.inversions[kv] = made
        before = self.results.setdefault(f"inversion {kv}", made.trajectory.z[0])
        return {
            "s": made.seconds,
            "calls": made.calls,
            "same_bits": torch.equal(made.trajectory.z[0], before),
        }

    def drag(
        self, recipe: str, wanted: bool, kv: str = "none", points: int = 0, profile: bool = False
    ) -> dict[str, Any]:
        import torch
        from region_drag_editing.nodes.host import optimise
        from region_drag_editing.nodes.host.wish import DragChoices

        watch, own = Watch(profile), optimise.listener
        task = task_of(8 * self.z.shape[-1], points)
        wish = DragChoices(recipe, kv="off" if kv == "none" else "recipe")
        optimise.listener = watch
        try:
            with recorded(wanted), torch.inference_mode():
                made = optimise.drag_latent(self.patcher, self.positive, self.inversions[kv], task, wish)
        except Stopped:
            return watch.found
        finally:
            optimise.listener = own
        report = made.report
        names = ("updates", "model_calls", "seconds", "peak_memory_mb", "cuda_graph")
        z = made.result.z.cpu()
        before = self.results.setdefault(f"{recipe} {kv} {points}", z)
        away = float((z - before).norm() / before.norm())
        ends = [report["losses"][0], report["losses"][-1]] if report["losses"] else []
        return {**{k: report[k] for k in names}, "losses": ends, "away": away, **watch.row()}


def edits(model: tuple[Any, Any, Any]) -> None:
    """Of the large model first without recordings, then with; then the embedded model's drag."""
    ours = Edits(model, 12 if RUN["small"] else 50, 0.75)
    for wanted in (False, True):
        name = "recorded" if wanted else "as it is"
        timed(f"inversion, {name}", lambda w=wanted: ours.invert(w))
    runs: tuple[tuple[str, int, bool], ...] = (
        ("dragnext", 0, False), ("dragnext", 0, True), ("dragnext", 0, True),
        ("gooddrag", 12, False), ("gooddrag", 12, True),
    )  # fmt: skip
    for recipe, points, wanted in runs:
        name = f"{recipe}, {'recorded' if wanted else 'as it is'}"
        timed(name, lambda r=recipe, w=wanted, p=points: ours.drag(r, w, "none", p), 8)
    for wanted in (True, False):
        name = f"dragnext profiled, {'recorded' if wanted else 'as it is'}"
        timed(name, lambda w=wanted: ours.drag("dragnext", w, profile=True), 6)
    timed("dragnext, recorded, channels last", lambda: _channels_last(ours), 8)
    timed("embedded-sd", _embedded, 10)
    timed("inversion with K/V", lambda: ours.invert(True, "auto"), 6)
    if "auto" in ours.inversions:
        timed("dragnext with K/V, recorded", lambda: ours.drag("dragnext", True, "auto"), 8)


def _channels_last(ours: Edits) -> dict[str, Any]:
    from region_drag_editing.nodes.host.backbones import held

    held.CHANNELS_LAST = True
    try:
        return {**ours.drag("dragnext", True), "profile": ours.drag("dragnext", True, profile=True)}
    finally:
        held.CHANNELS_LAST = False


def _embedded() -> dict[str, Any]:
    """A drag of the embedded model, float32: bits with recordings against without, and of two without."""
    import torch
    from region_drag_editing.nodes.host.loaders import load_embedded

    with torch.inference_mode():
        model, positive, vae = load_embedded("embedded-sd")
        side = 128 if RUN["small"] else 512
        y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
        z = vae.encode(torch.stack([x, y, 0.5 + 0.5 * torch.sin(9 * x)], -1)[None])
    ours = Edits((model, positive, z), 32 if RUN["small"] else 50, 0.4)
    rows = {"inversion": ours.invert(False), "inversion, recorded": ours.invert(True)}
    for name, wanted in (("as it is", False), ("as it is, again", False), ("recorded", True)):
        rows[name] = ours.drag("dragnext", wanted)
    return rows


def abandon() -> None:
    """A recording that waits for the device, after which everything must be as before."""
    import torch
    from region_drag_editing.drag_core.backends.recorders import CudaRecorder, Rehearsal

    cuda = torch.cuda.is_available()
    device = torch.device("cuda", 0) if cuda else torch.device("cpu")
    recorder: Any = CudaRecorder(device) if cuda else Rehearsal()
    x = torch.ones(64, 64, device=device)

    def bad() -> Any:
        y = x @ x
        return (y * float(y.sum().item()),)

    def fails() -> str:
        for way in (recorder.warm, recorder.record):
            try:
                way(bad)
            except Exception as e:
                last = f"{type(e).__name__}: {str(e).splitlines()[0]}"
            else:
                return f"no error in {way.__name__}"
        return last

    def after() -> dict[str, Any]:
        noise = torch.randn(8, device=device)
        big = torch.empty(2**28 if cuda else 8, device=device).fill_(1)
        total = float(big.sum() / big.numel())
        del big
        if cuda:
            torch.cuda.empty_cache()
        replay, (out,) = recorder.record(lambda: (x @ x + 1,))
        x.fill_(2)
        replay()
        recorder.close()
        free = torch.cuda.memory_stats()["reserved_bytes.all.current"] if cuda else 0
        return {"noise": float(noise.abs().sum()) > 0, "sum": total, "replay": float(out[0, 0]), "held": free}

    timed("a recording that waits", fails, 1)
    timed("after it", after, 1)

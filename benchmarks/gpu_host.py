"""COMFYUI_PATH=... OUT=... PYTHON benchmarks/gpu_host.py [PART] [--deadline S] [--small]

What recorded passes (CUDA graphs) are worth in a real ComfyUI, run by its own Python on a machine with a
card: bits against passes as they are, an update, a whole edit, memory. Random weights of Stable Diffusion
1.5's size. Lines of JSON into $OUT/gpu_host.jsonl as it goes. Parts: main, bits (short, of any memory mode
and allocator), abandon (a recording that fails on purpose). None: main here, then the others, each in a
process of its own, side by side. --small: small networks on a CPU, recorded by the stand-in.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from gpu_host_edits import abandon, edits
from gpu_host_models import recorded, unet
from gpu_host_told import BEGAN, RUN, say, timed

ROOT = Path(__file__).resolve().parents[1]
COMFYUI = Path(os.environ.get("COMFYUI_PATH") or Path.home() / "ComfyUI").expanduser().absolute()
LEVELS = (781.0, 781.0, 781.0, 781.0, 381.0, 41.0)
ASYNC = {
    "PYTORCH_CUDA_ALLOC_CONF": "backend:cudaMallocAsync",
    "PYTORCH_ALLOC_CONF": "backend:cudaMallocAsync",
}
# the allocator and the mode that a user of an NVIDIA card has are the last ones
ASIDE: dict[str, tuple[str, dict[str, str]]] = {
    "a recording that fails": ("abandon", {"DRAG_MODE": "normal"}),
    "dynamic VRAM": ("bits", {"DRAG_MODE": "dynamic"}),
    "cudaMallocAsync": ("bits", {"DRAG_MODE": "normal", **ASYNC}),
    "dynamic VRAM, cudaMallocAsync": ("bits", {"DRAG_MODE": "dynamic", **ASYNC}),
}


def boot() -> Any:
    """ComfyUI in this process, and the pack of this checkout."""
    os.environ.setdefault("DRAG_MODE", "cpu" if RUN["small"] else "normal")
    sys.path.insert(0, str(ROOT / "tests" / "host"))
    import standins

    kept = standins.start(COMFYUI)
    standins.load_pack()
    import comfy.model_management as mm
    import torch
    from region_drag_editing.drag_core.backends import recorders
    from region_drag_editing.nodes.host import graphs

    if RUN["small"]:
        graphs.recorder_for = lambda device: recorders.Rehearsal()
        if "rehearsal" in sys.modules:  # all of it stays on the imitated card
            sys.modules["rehearsal"].PAGED = 2**40  # type: ignore[attr-defined]
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    allocator = torch.cuda.get_allocator_backend() if torch.cuda.is_available() else None
    say("start", card=card, torch=torch.__version__, allocator=allocator, state=str(mm.vram_state))
    return kept


def passes(backbone: Any, z0: Any, kinds: tuple[str, ...], rounds: int) -> dict[str, Any]:
    """Features, gradients and predictions at several levels, then the time of features with gradient."""
    import torch
    from region_drag_editing.nodes.host import graphs

    taps = _taps(backbone)
    z = z0.float().to(backbone.call.device)
    out: list[Any] = []

    def gradient(k: int, t: float) -> list[Any]:
        x = (z + 0.1 * k).requires_grad_()
        maps, _ = backbone.features(x, t, taps)
        (g,) = torch.autograd.grad(sum((k + 1) * m.abs().mean() for m in maps), x)
        return [*(m.detach() for m in maps), g]

    for k, t in enumerate(LEVELS):
        with torch.no_grad():
            out += backbone.features(z + 0.1 * k, t, taps)[0] if "features" in kinds else []
            out += [backbone.predict(z + 0.1 * k, t)] if "predict" in kinds else []
        out += gradient(k, t) if "gradient" in kinds else []
    wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    times = []
    for k in range(rounds):
        wait()
        began = time.perf_counter()
        gradient(k, LEVELS[k % 2])
        wait()
        times.append(1000 * (time.perf_counter() - began))
    held = backbone.graphs
    return {
        "tensors": [x.cpu() for x in out],
        "said": graphs.said(backbone),
        "trace": held.trace.splitlines()[-12:] if held is not None else [],
        "ms": round(statistics.median(times), 2) if times else None,
    }


def _taps(backbone: Any) -> Any:
    from region_drag_editing.drag_core.types import FeatureTap

    return tuple(FeatureTap(b) for b in backbone.blocks if b.startswith("up"))[:3]


def asked(
    model: tuple[Any, Any, Any],
    wanted: bool,
    mode: str = "thread_local",
    kinds: tuple[str, ...] = ("features", "predict", "gradient"),
    rounds: int = 10,
) -> dict[str, Any]:
    """passes() in a session as a node opens it."""
    import torch
    from region_drag_editing.drag_core.types import FeatureTap
    from region_drag_editing.nodes.host.session import SessionNeeds, run

    patcher, positive, z = model
    need = SessionNeeds((FeatureTap("up.2"),), "gradient" in kinds, sigmas=(0.0, 10.0))
    with recorded(wanted, mode), torch.inference_mode():
        found: dict[str, Any] = run(patcher, positive, z, lambda b, z0: passes(b, z0, kinds, rounds), need)
    return found


def compared(got: dict[str, Any], want: dict[str, Any]) -> dict[str, Any]:
    import torch

    pairs = list(zip(got.pop("tensors"), want["tensors"], strict=True))
    worst = max(float((a - b).norm() / b.norm().clamp(min=1e-30)) for a, b in pairs)
    return {**got, "same_bits": sum(torch.equal(a, b) for a, b in pairs), "of": len(pairs), "worst": worst}


def bits(model: tuple[Any, Any, Any], name: str) -> None:
    """Passes recorded against passes as they are, with those twice for a measure; what else to try if not."""
    kept: dict[str, Any] = {}

    def eager() -> Any:
        kept["want"] = asked(model, False)
        return {k: v for k, v in kept["want"].items() if k != "tensors"}

    timed(f"{name}: as they are", eager)
    if "want" not in kept:
        return
    timed(f"{name}: as they are, again", lambda: compared(asked(model, False, rounds=0), kept["want"]))
    found = timed(f"{name}: recorded", lambda: compared(asked(model, True), kept["want"]))
    if found is not None and "recorded" in str(found["said"]):
        return
    for mode in ("unchecked", "relaxed", "global"):
        timed(f"{name}: recorded, {mode}", lambda m=mode: _tail(asked(model, True, m, rounds=3)))
    for kinds in (("predict",), ("features",), ("gradient",)):
        timed(f"{name}: {kinds[0]} alone", lambda k=kinds: _tail(asked(model, True, "relaxed", k, 0)))


def _tail(found: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in found.items() if k != "tensors"}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/gpu_host.py", description=__doc__)
    parser.add_argument("part", nargs="?", choices=("main", "bits", "abandon"))
    parser.add_argument("--deadline", type=float, default=100, help="seconds for all of it")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--name", help="of this run, in the lines")
    args = parser.parse_args(argv)
    RUN.update(part=args.name or args.part or "main", deadline=BEGAN + args.deadline, small=args.small)
    aside = args.part is None
    RUN["deadline"] -= 35 if aside else 0  # of the processes beside
    try:
        kept = boot()
        if args.part == "abandon":
            abandon()
        else:
            model = unet(args.small)
            bits(model, "sd15")
            if args.part != "bits":
                edits(model)
        say("done", kept=len(kept))
    except BaseException as e:
        say("ended", error=f"{type(e).__name__}: {e}"[:400], trace=traceback.format_exc().splitlines()[-12:])
    if aside:
        beside(BEGAN + args.deadline - time.time(), args.small)
    return 0


def beside(seconds: float, small: bool) -> None:
    """The other parts, each in a process of its own."""
    runs = []
    for name, (part, env) in ASIDE.items():
        command = [sys.executable, __file__, part, "--name", name, "--deadline", str(seconds - 3)]
        env = {"DRAG_MODE": "cpu"} if small else env
        runs.append(
            (name, subprocess.Popen([*command, *(["--small"] if small else [])], env=os.environ | env))
        )
    ends = time.time() + seconds
    for name, run in runs:
        try:
            say("beside", name=name, status=run.wait(max(ends - time.time(), 1)))
        except subprocess.TimeoutExpired:
            run.kill()
            say("beside", name=name, error="killed: out of time")


if __name__ == "__main__":
    sys.exit(main())

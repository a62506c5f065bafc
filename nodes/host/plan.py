"""What fits: a drag's memory on this device, size by size, before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.model_management as mm
import psutil

from ...drag_core.block import Block
from ...drag_core.trajectory.kvplan import KVMemory, KVPlan
from ...drag_core.types import DragError, FeatureTap
from . import memory
from .family import family_in
from .inversion import choose_kv, choose_solver, kv_layers, plan_memory
from .schedule import prediction_of, sampling_of
from .whole import net_of

GIB = 2**30
CONTEXT = 0.8 * GIB  # CUDA context, fragments, workspaces: an assumption
SIDES = (512, 768, 1024, 1280, 1536)
STREAMED = 0.35  # of the drag's weights at most may come from RAM in every update


@dataclass(frozen=True)
class Fit:
    """Bytes on the device while updating at (width, height): activations and K/V.

    Besides the verdict, and whether it fits without streaming weights.
    """

    size: tuple[int, int]
    plain: int
    checkpoints: int
    resident: int
    kv: KVPlan | None
    whole: bool
    verdict: str


def taps_of(patcher: Any) -> tuple[tuple[FeatureTap, ...], bool]:
    """Finds the usual recipe's taps on this model, and whether its updates run the whole network."""
    family = family_in(patcher)
    return family.ground().usual_taps, family.preset is None and not family.joint


def available(patcher: Any, gb: float) -> tuple[int, str]:
    """Counts the bytes there are, and says where they come from."""
    if gb > 0:
        return int(gb * GIB), f"a card of {gb:g} GB"
    if mm.is_device_cpu(patcher.load_device):
        return int(psutil.virtual_memory().available), "this machine without a GPU"
    return memory.free_bytes(patcher), f"{mm.get_torch_device_name(patcher.load_device)}, what is free now"


def fit(
    patcher: Any,
    size: tuple[int, int],
    room: int,
    layers: tuple[str, ...],
    calls: int,
    budget: float,
    storage: KVMemory,
) -> Fit:
    """Computes what updating at `size` takes.

    size: (width, height) in pixels.
    calls: evaluations whose K/V are kept.
    """
    net, taps = net_of(patcher), taps_of(patcher)
    family = family_in(patcher)
    cells = (size[1] // family.cell, size[0] // family.cell)
    item = int(patcher.model.get_dtype_inference().itemsize)
    plain, ckpt = (memory.activation_bytes(net, cells, *taps, r, item) for r in (False, True))
    ckpt = ckpt if family.joint else plain
    during = tuple(b for b in layers if Block.parse(b).kind == "double") if family.joint else ()
    resident = memory.kv_size(patcher, cells, during, 1).bytes("pageable") if during else 0
    try:
        kept = plan_memory(patcher, cells, layers, calls, 0, budget, storage, tell=False)
        said = ""
    except DragError as error:
        kept, said = None, f"; {error}"
    weights = memory.drag_bytes(patcher, taps[0])
    left = room - CONTEXT - resident
    if weights + plain <= left:
        verdict = "fits"
    elif weights + ckpt <= left:
        verdict = "fits with checkpoints (four tenths more work)"
    elif ckpt + (1 - STREAMED) * weights <= left:
        streamed = (weights + ckpt - left) / GIB
        verdict = f"fits with checkpoints and {streamed:.1f} GiB of weights from RAM, slower"
    else:
        verdict = f"too large: needs {(weights + ckpt + resident + CONTEXT) / GIB:.1f} GiB"
    return Fit(size, plain, ckpt, resident, kept, weights + ckpt <= left, verdict + said)


def largest(patcher: Any, room: int, shape: float, *rest: Any) -> tuple[int, int] | None:
    """Finds the largest picture of width / height `shape` whose updates fit without streaming.

    Sides go in steps of 64.
    """
    found: tuple[int, int] | None = None
    for side in range(256, 4097, 64):
        size = [max(64, round(side * k / 64) * 64) for k in (shape**0.5, shape**-0.5)]
        if not fit(patcher, (size[0], size[1]), room, *rest).whole:
            break
        found = (size[0], size[1])
    return found


def report(
    patcher: Any,
    gb: float,
    width: int,
    height: int,
    steps: int,
    strength: float,
    kv: str,
    budget: float,
    storage: KVMemory,
) -> str:
    """Writes a table in plain text, one line a size."""
    family = family_in(patcher)
    layers = choose_kv(kv, *kv_layers(patcher))
    solver = choose_solver("auto", prediction_of(sampling_of(patcher)))
    calls = max(1, round(steps * strength)) + (solver == "fireflow")
    room, where = available(patcher, gb)
    taps, _ = taps_of(patcher)
    whole, part = int(patcher.model_size()), memory.drag_bytes(patcher, taps)
    sizes = [(width, height)] if width and height else [(s, s) for s in SIDES]
    rest = (layers, calls, budget, storage)
    lines = [
        f"{family.label} on {where}: {room / GIB:.1f} GiB",
        f"weights {whole / GIB:.1f} GiB, {part / GIB:.1f} GiB of them while updating"
        + (" (the other blocks wait in RAM)" if part < whole else ""),
        "picture      activations  with checkpoints  K/V on the card  K/V in RAM           verdict",
    ]
    for size in sizes:
        f = fit(patcher, size, room, *rest)
        kept = "none" if f.kv is None else f"{f.kv.bytes / GIB:.2f} GiB {f.kv.storage}"
        lines.append(
            f"{f'{size[0]}x{size[1]}':12s} {f.plain / GIB:7.2f} GiB  {f.checkpoints / GIB:12.2f} GiB  "
            f"{f.resident / GIB:11.2f} GiB  {kept:20s} {f.verdict}"
        )
    best = largest(patcher, room, width / height if width and height else 1.0, *rest)
    lines.append("largest that fits: " + ("none" if best is None else f"{best[0]}x{best[1]}"))
    if whole > room - CONTEXT:
        lines.append("inverting and denoising run the whole model: ComfyUI keeps a part of it in RAM")
    return "\n".join(lines)

"""Compiles the kernels for cards that are not here, and reads what the compiler made of them without a GPU.

python tests/kernels/compiled.py [80 gfx942 ...]    prints the table
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from drag_core.kernels.region import triton as kernels
from drag_core.kernels.region import triton_ends as ends
from drag_core.kernels.region.fused import BLOCKS, Blocks

TARGETS = ("75", "80", "86", "89", "90", "120", "gfx942")
FIRSTS = {f"first{i}": "i32" for i in (1, 2, 3)}
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


@dataclass(frozen=True)
class Job:
    name: str
    source: ASTSource
    warps: int
    options: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Usage:
    """Registers of a thread, spilled bytes, loads and stores of 16 bytes."""

    registers: int
    spilled: int
    loads: int
    stores: int


def source(fn: Any, types: dict[str, str], constants: dict[str, Any], aligned: list[str]) -> ASTSource:
    order = list(fn.arg_names)
    signature = {n: types.get(n, "constexpr") for n in order}
    attributes = {(order.index(a),): [["tt.divisibility", 16]] for a in aligned}
    values = {(order.index(k),): v for k, v in constants.items()}
    return ASTSource(fn, signature=signature, constexprs=values, attrs=attributes)


def pull(kind: str, separable: bool, crop: bool, channels: int) -> ASTSource:
    maps = [f"{a}{i}" for a in "xr" for i in range(4)]
    types = FIRSTS | dict.fromkeys(maps, f"*{kind}")
    types |= dict.fromkeys(("scale", "floats", "room", "parts"), "*fp32")
    types |= dict.fromkeys(("meta", "ints"), "*i32") | {"inside": "*u8"}
    types |= dict.fromkeys(("K", "sizes"), "i32")
    constants = {"MAPS": 4, "SEPARABLE": separable, "CROP": crop, "EVEN": True, "BC": channels}
    return source(kernels.pull_kernel, types, constants, [*maps, "room"])


def spread(kind: str, last: bool, blocks: tuple[int, int, int]) -> ASTSource:
    maps = [f"g{i}" for i in range(4)]
    types = FIRSTS | dict.fromkeys(maps, f"*{kind}") | {"meta": "*i32"}
    types |= dict.fromkeys(("scale", "grad", "room"), "*fp32")
    constants = {"MAPS": 4, "LAST": last, "EVEN": True, "BN": blocks[0], "BC": blocks[1]}
    return source(ends.spread_kernel, types, constants, [*maps, "room"])


def crop(kind: str) -> ASTSource:
    maps = [f"{a}{i}" for a in "xy" for i in range(4)]
    types = FIRSTS | dict.fromkeys(maps, f"*{kind}") | {"meta": "*i32"}
    return source(ends.crop_kernel, types, {"MAPS": 4, "BN": 32, "BC": 32}, maps)


def jobs(target: str, blocks: Blocks = BLOCKS) -> Iterator[Job]:
    """The kernels as `fused` launches them; cards before the 80s have no bfloat16."""
    for kind in ("fp32", "fp16", "bf16"):
        if kind == "bf16" and target == "75":
            continue
        for separable in (True, False):
            name = f"pull {kind} {'lines' if separable else 'cells'} {blocks.channels}"
            made = pull(kind, separable, False, blocks.channels)
            yield Job(name, made, blocks.warps, blocks.options(separable))
        yield Job(f"spread {kind}", spread(kind, True, blocks.spread), blocks.spread[2])
    made = pull("fp32", True, True, blocks.channels)
    yield Job("pull fp32 lines, crop", made, blocks.warps, blocks.options(True))
    yield Job("spread fp32, cells last", spread("fp32", False, blocks.spread), blocks.spread[2])
    yield Job("crop fp32", crop("fp32"), 4)


def usage(job: Job, target: str) -> Usage:
    amd = target.startswith("gfx")
    card = GPUTarget("hip", target, 64) if amd else GPUTarget("cuda", int(target), 32)
    made = triton.compile(
        job.source, target=card, options={"num_warps": job.warps} | ({} if amd else job.options)
    )
    if amd:
        text = made.asm["amdgcn"]
        pairs = re.findall(r"\.(vgpr_count|vgpr_spill_count|sgpr_spill_count):\s+(\d+)", text)
        found = {k: int(v) for k, v in pairs}
        spilled = found["vgpr_spill_count"] + found["sgpr_spill_count"]
        wide = (text.count(f"{w}_dwordx4") for w in ("load", "store"))
        return Usage(found["vgpr_count"], spilled, *wide)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as f:
        f.write(made.asm["cubin"])
        f.flush()
        said = subprocess.run(
            [TOOLS / "cuobjdump", "--dump-resource-usage", f.name], capture_output=True, text=True, check=True
        ).stdout
    found = {k: int(v) for k, v in re.findall(r"(REG|STACK|LOCAL):(\d+)", said)}
    ptx = made.asm["ptx"]
    wide = (len(re.findall(rf"{w}\.global[^\n]*\.v4\.b32", ptx)) for w in ("ld", "st"))
    return Usage(found["REG"], found["STACK"] + found["LOCAL"], *wide)


def main(targets: list[str]) -> int:
    channels, warps = int(os.environ.get("BC", BLOCKS.channels)), int(os.environ.get("WARPS", BLOCKS.warps))
    worst = 0
    print(f"triton {triton.__version__}\n| target | kernel | registers | spilled | wide loads, stores |")
    print("|---|---|---|---|---|")
    for target in targets or TARGETS:
        for job in jobs(target, replace(BLOCKS, channels=channels, warps=warps)):
            u = usage(job, target)
            worst = max(worst, u.spilled)
            row = (target, job.name, u.registers, u.spilled, f"{u.loads}, {u.stores}")
            print("|", " | ".join(map(str, row)), "|", flush=True)
    return int(worst > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

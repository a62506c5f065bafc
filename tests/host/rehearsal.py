"""A card on a machine without one: card.cpp built once and named "npu", which the host knows how to use, so that
it takes its own way with a card: weights moved, lowered, offloaded. What no rehearsal shows: the card's rounding.

Imported in the host's own Python; imports nothing of this repository.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

SOURCE = Path(__file__).with_name("card.cpp")
ROOM = 8 * 2**30  # bytes that the card says it has
NO_COMPILER = "no C++ compiler to rehearse a card with: apt install g++ (or run this where there is a card)"


def built() -> Path:
    """The library, made on the first call for this torch and this source: a minute."""
    home = Path(torch.__file__).parent
    key = hashlib.sha256(SOURCE.read_bytes() + torch.__version__.encode()).hexdigest()[:16]
    place = Path(tempfile.gettempdir(), f"drag-rehearsal-{os.getuid() if hasattr(os, 'getuid') else 0}")
    library = place / f"card-{key}.so"
    if library.exists():
        return library
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        raise RuntimeError(NO_COMPILER)
    place.mkdir(mode=0o700, exist_ok=True)
    made = library.with_suffix(f".{os.getpid()}")
    abi = int(torch.compiled_with_cxx11_abi())
    folders = [f"-I{home / 'include' / p}" for p in ("", "torch/csrc/api/include")]
    flags = ["-O1", "-shared", "-fPIC", "-std=c++20", f"-D_GLIBCXX_USE_CXX11_ABI={abi}", "-w", *folders]
    subprocess.run(
        [compiler, *flags, str(SOURCE), "-o", str(made), f"-L{home / 'lib'}", "-ltorch_cpu", "-lc10"], check=True
    )
    os.replace(made, library)
    return library


def _module() -> ModuleType:
    """What torch and the host ask of `torch.npu`."""
    npu = ModuleType("torch.npu")

    def give(name: str, value: Any) -> None:
        setattr(npu, name, lambda *args, **kw: value)

    for name, value in {
        "_is_in_bad_fork": False,
        "_lazy_init": None,
        "current_device": 0,
        "device_count": 1,
        "is_available": True,
        "is_initialized": True,
        "get_device_name": "rehearsal",
        "get_amp_supported_dtype": [torch.float16, torch.bfloat16],
        "mem_get_info": (ROOM, ROOM),
        "memory_stats": {"active_bytes.all.current": 0, "reserved_bytes.all.current": 0},
        "empty_cache": None,
        "synchronize": None,
        "set_device": None,
        "manual_seed_all": None,
        "manual_seed": None,
    }.items():
        give(name, value)
    return npu


def pages() -> None:
    raise NotImplementedError


def card() -> None:
    """From now on torch has the device "npu", and the host, not yet imported, takes it for its card."""
    torch.ops.load_library(str(built()))
    torch.utils.rename_privateuse1_backend("npu")
    torch._register_device_module("npu", _module())
    torch.utils.generate_methods_for_privateuse1_backend()
    sys.modules["torch_npu"] = ModuleType("torch_npu")

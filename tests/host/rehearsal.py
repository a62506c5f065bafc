"""A card on a machine without one: card.cpp built once and named "npu", which the host knows how to use, so
that it takes its own way with a card: weights moved, cast, offloaded, paged. What it does not show: a card's
rounding.

Imported in the host's own Python; imports nothing of this repository.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
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
PAGED = 2**20  # of a model that stay on it under dynamic VRAM; the tests' models have some MB


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
        raise RuntimeError("no C++ compiler to rehearse a card with: apt install g++")
    place.mkdir(mode=0o700, exist_ok=True)
    made = library.with_suffix(f".{os.getpid()}")
    abi = int(torch.compiled_with_cxx11_abi())
    folders = [f"-I{home / 'include' / p}" for p in ("", "torch/csrc/api/include")]
    flags = ["-O1", "-shared", "-fPIC", "-std=c++20", f"-D_GLIBCXX_USE_CXX11_ABI={abi}", "-w", *folders]
    subprocess.run(
        [compiler, *flags, str(SOURCE), "-o", str(made), f"-L{home / 'lib'}", "-ltorch_cpu", "-lc10"],
        check=True,
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


def _data() -> property:
    """Parameter.data, which between the CPU and a CUDA card may be set to data on the other device."""
    own = torch.Tensor.data

    def put(self: Any, value: torch.Tensor) -> None:
        if self.device.type == value.device.type:
            own.__set__(self, value)
            return
        new = torch.nn.Parameter(value, requires_grad=self.requires_grad)
        new.__dict__.update(self.__dict__)
        torch.utils.swap_tensors(self, new)

    return property(own.__get__, put)


def _as_to_a_card(whole: Any) -> Any:
    """Module._apply, which gives a parameter that goes to a CUDA card new data in its place. One made in
    inference mode and moved outside it is then neither an inference tensor nor a plain one: of no use.
    """

    def apply(self: Any, fn: Any, recurse: bool = True) -> Any:
        held = {k: p for k, p in self._parameters.items() if p is not None and p.is_inference()}
        whole(self, fn, recurse)
        for k, p in held.items():
            new = self._parameters[k]
            if new is not p and not new.is_inference() and new.device.type == "npu":
                with torch.inference_mode():
                    husk = torch.nn.Parameter(torch.empty_like(new), requires_grad=new.requires_grad)
                husk.data = new.data
                self._parameters[k] = husk
        return self

    return apply


def card() -> None:
    """From now on torch has the device "npu", and the host, not yet imported, takes it for its card."""
    torch.ops.load_library(str(built()))
    torch.utils.rename_privateuse1_backend("npu")
    torch._register_device_module("npu", _module())
    torch.utils.generate_methods_for_privateuse1_backend()
    torch.nn.Parameter.data = _data()  # type: ignore[assignment]
    torch.nn.Module._apply = _as_to_a_card(torch.nn.Module._apply)  # type: ignore[method-assign]
    sys.modules["torch_npu"] = ModuleType("torch_npu")


class _Pages:
    """A model's pages on the card under comfy-aimdo: the first PAGED bytes stay, the rest is streamed."""

    def __init__(self, size: int, device: int) -> None:
        self.place = torch.empty(int(size), dtype=torch.uint8, device=torch.device("npu", device))
        self.offset, self.turn, self.used = 0, 1, 0

    def alloc(self, size: int) -> tuple[Any, int, int]:
        at = (self.offset + 511) & ~511
        self.offset = at + size
        return self, at, size

    def fault(self, at: int, size: int) -> bytes | None:
        if at + size > PAGED:
            return None
        self.used = max(self.used, at + size)
        return self.turn.to_bytes(4, "little")

    def loaded_size(self) -> int:
        return self.used

    def free_memory(self, size: int) -> int:
        freed, self.used, self.turn = self.used, 0, self.turn + 1  # what was there is so no longer
        return freed

    def unpin(self, at: int, size: int) -> None: ...
    def prioritize(self, *args: Any, **kw: Any) -> None: ...
    def deprioritize(self) -> None: ...
    def set_watermark_limit(self, size: int) -> None: ...
    def set_watermark(self, size: int) -> None: ...


class _Host:
    """Memory of the machine that the host would pin: none is asked for with its pinning off."""

    def __init__(self, size: int, *args: Any, **kw: Any) -> None:
        self.size = int(size)

    def truncate(self, size: int, *args: Any, **kw: Any) -> None:
        self.size = int(size)


class _File:
    def __init__(self, path: Any) -> None:
        self.file = open(path, "rb")  # noqa: SIM115
        self.map = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_COPY)

    def get(self) -> int:
        return ctypes.addressof(ctypes.c_uint8.from_buffer(self.map))

    def get_file_handle(self) -> int:
        return self.file.fileno()

    def bounce(self) -> bool:
        return True


def _read(file: int, offset: int, size: int, stream: int, place: int, device: int, **kw: Any) -> None:
    ctypes.memmove(place, os.pread(file, size, offset), size)


def pages() -> None:
    """comfy-aimdo without its driver: the host's own dynamic patcher moves real weights to the imitated card.
    After card(), before comfy.memory_management is imported.
    """
    import comfy.cli_args
    import comfy_aimdo.control
    import comfy_aimdo.host_buffer
    import comfy_aimdo.model_mmap
    import comfy_aimdo.model_vbar
    import comfy_aimdo.torch

    comfy.cli_args.args.disable_pinned_memory = True
    comfy_aimdo.control.init = lambda **kw: True
    comfy_aimdo.control.init_devices = lambda devices: bool(list(devices))
    comfy_aimdo.control.set_log_info = lambda: None
    comfy_aimdo.host_buffer.HostBuffer = _Host
    comfy_aimdo.host_buffer.read_file_to_device = _read
    comfy_aimdo.host_buffer.cleanup_file_reader = lambda: None
    comfy_aimdo.model_mmap.ModelMMAP = _File
    comfy_aimdo.model_vbar.ModelVBAR = _Pages
    comfy_aimdo.torch.aimdo_to_tensor = lambda a, device: a[0].place[a[1] : a[1] + a[2]]

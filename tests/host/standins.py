"""Lets a process of the host's Python start ComfyUI on a machine where parts of it don't load: on the CPU, or
on a card, in the memory mode that DRAG_MODE names.

Imported in the host's own Python, by scripts that lie beside it; imports nothing of this repository.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# "dynamic" is what users of an NVIDIA card have: main.py switches it on, and a process that only imports
# comfy never sees it. "normal" is every other card, and NVIDIA with --disable-dynamic-vram.
MODES = ("cpu", "normal", "dynamic", "lowvram", "novram", "highvram")
PACK = "region_drag_editing"  # the name that load_pack() gives the pack

# of torchvision's operators, the two that its Python part asks for while it is imported
OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def forget(package: str) -> None:
    for name in [n for n in sys.modules if n == package or n.startswith(package + ".")]:
        del sys.modules[name]


def stand_in() -> list[Any]:
    """Where torchvision or torchaudio don't load beside this torch (a CPU build next to theirs for CUDA),
    enough of them that `import comfy.sd` succeeds; nothing here calls them. The result must be kept.
    """
    import torch

    kept: list[Any] = []
    try:
        import torchvision  # noqa: F401
    except (ImportError, OSError, RuntimeError):
        forget("torchvision")
        library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in OPERATORS:
            library.define(schema)
        kept.append(library)
        import torchvision  # noqa: F401
    try:
        import torchaudio  # noqa: F401
    except (ImportError, OSError, RuntimeError):
        forget("torchaudio")
        whole = ModuleType("torchaudio")
        for name in ("functional", "transforms"):
            part = ModuleType(f"torchaudio.{name}")
            part.__spec__ = ModuleSpec(part.__name__, None)
            sys.modules[part.__name__] = part
            setattr(whole, name, part)
        whole.__spec__, whole.__path__ = ModuleSpec("torchaudio", None, is_package=True), []
        sys.modules["torchaudio"] = whole
    return kept


def host_path(comfyui: Path) -> None:
    """ComfyUI first on sys.path, and off it the folders of this repository and the current one: `nodes`,
    `server` and `tests` there would shadow ComfyUI's.
    """
    ours = (ROOT, ROOT / "tests", ROOT / "tests" / "host")
    sys.path[:] = [p for p in sys.path if p and Path(p).resolve() not in ours]
    sys.path.insert(0, str(comfyui))


def allocator() -> None:
    """What main.py does before torch is imported: on a card PyTorch takes CUDA's own allocator. Asked for
    afterwards, as where stand_in() came first, the first use of the card ends in torch's own assertion.
    After host_path(). DRAG_ALLOCATOR=native: torch's own, as under --disable-cuda-malloc.
    """
    if os.environ.get("DRAG_ALLOCATOR") != "native" and importlib.util.find_spec("cuda_malloc") is not None:
        import cuda_malloc  # noqa: F401


def on_cpu(comfyui: Path) -> list[Any]:
    """Makes `import comfy...` work in this process, on the CPU. The result must be kept."""
    host_path(comfyui)
    kept = stand_in()
    import comfy.cli_args

    comfy.cli_args.args.cpu = True  # before comfy.model_management, which reads it when imported
    return kept


def card() -> ModuleType | None:
    """rehearsal.py with its card in place, on a machine without one; None where there is one."""
    import torch

    if torch.cuda.is_available():
        return None
    sys.path.insert(0, str(Path(__file__).parent))
    import rehearsal

    rehearsal.card()
    return rehearsal


def start(comfyui: Path) -> list[Any]:
    """Makes `import comfy...` work in this process in the mode DRAG_MODE (default cpu); on a machine without
    a card the others run on an imitated one. The result must be kept.
    """
    mode = os.environ.get("DRAG_MODE") or "cpu"
    if mode not in MODES:
        raise RuntimeError(f"DRAG_MODE is {mode!r}; it must be one of {', '.join(MODES)}")
    if mode == "cpu":
        return on_cpu(comfyui)
    host_path(comfyui)
    allocator()
    rehearsal = card()
    kept = stand_in()
    import comfy.cli_args

    if mode in ("lowvram", "novram", "highvram"):
        setattr(comfy.cli_args.args, mode, True)
    if mode == "dynamic":
        if rehearsal is not None:
            rehearsal.pages()
        _dynamic(comfy.cli_args.args)
    return kept


def _dynamic(args: Any) -> None:
    """What main.py does for an NVIDIA card, before anything else of comfy is imported."""
    import comfy_aimdo.control

    comfy_aimdo.control.init(simple_vram_headroom=None, nvml_pressure=True)
    import comfy.memory_management
    import comfy.model_management as mm
    import comfy.model_patcher

    devices = [(d.index, int(args.vram_headroom * 1024**3)) for d in mm.get_all_torch_devices()]
    if not comfy_aimdo.control.init_devices(devices):
        raise RuntimeError("comfy-aimdo does not work with this card: no dynamic mode to test")
    # Below this level its library logs from inside CUDA's allocator, through Python: where memory is freed
    # while an exception passes, that takes the exception away, and the process dies (0.4.13, H200).
    comfy_aimdo.control.set_log_info()
    comfy.model_patcher.CoreModelPatcher = comfy.model_patcher.ModelPatcherDynamic
    comfy.memory_management.aimdo_enabled = True


def load_pack() -> ModuleType:
    """The pack from this checkout as ComfyUI loads it, from the file and outside the root, but under a name
    that can be imported: `from region_drag_editing.nodes.host import grad`.
    """
    spec = importlib.util.spec_from_file_location(
        PACK, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None and spec.loader is not None
    pack = sys.modules[PACK] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    return pack

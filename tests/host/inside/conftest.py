"""Boots ComfyUI in this process (on the CPU, or as DRAG_MODE says: standins.py) and loads the pack: tests
here import `comfy`, `nodes` (ComfyUI's) and `region_drag_editing` (ours, from this checkout).

By hand: COMFYUI_PYTHON -m pytest tests/host/inside/test_pack.py, in any folder.
"""

from __future__ import annotations

import atexit
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMFYUI = Path(os.environ.get("COMFYUI_PATH") or Path.home() / "ComfyUI").expanduser().absolute()

if not (COMFYUI / "comfy" / "sd.py").exists():
    raise RuntimeError(f"no ComfyUI in {COMFYUI}: set COMFYUI_PATH")
sys.path.insert(0, str(HERE.parent))
import standins  # noqa: E402

KEPT = standins.start(COMFYUI)  # takes the folder off sys.path again
standins.load_pack()

import comfy.model_management as mm  # noqa: E402
import folder_paths  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

# What a node writes here goes away with the process.
FOLDER = tempfile.TemporaryDirectory(prefix="drag-host-")
atexit.register(FOLDER.cleanup)
for name in ("output", "input", "temp", "user"):
    folder = Path(FOLDER.name, name)
    folder.mkdir()
    getattr(folder_paths, f"set_{name}_directory")(str(folder))


@pytest.fixture(autouse=True, scope="module")
def float32_is_float32(request: pytest.FixtureRequest) -> Iterator[None]:
    """On a card convolutions take TF32 (10 bits of mantissa) unless told otherwise: no bound of float32
    holds. Modules with AS_THE_HOST = True leave it as users have it. And cuDNN chooses its algorithm by free
    memory: a drag of the embedded UNet is then up to 2e-4 from its repetition, and without that choice, as
    under --deterministic, the same bits (FLUX: 2e-7 both ways; H200, 2026-11-27).
    """
    with pytest.MonkeyPatch.context() as m:
        if not mm.is_device_cpu(mm.get_torch_device()):
            m.setattr(torch.backends.cudnn, "deterministic", True)
            if not getattr(request.module, "AS_THE_HOST", False):
                m.setattr(torch.backends.cudnn, "allow_tf32", False)
        yield

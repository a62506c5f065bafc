"""Where the host is on this machine, and how to start its Python."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMFYUI = Path(os.environ.get("COMFYUI_PATH") or Path.home() / "ComfyUI").expanduser().absolute()
PYTHON = Path(os.environ.get("COMFYUI_PYTHON") or Path.home() / "comfy-venv/bin/python")
PYTHON = PYTHON.expanduser().absolute()  # not resolved: through the link a venv's Python leaves its venv


def missing() -> str | None:
    """What of the host is not there, and how to get it; None if all is."""
    if not (COMFYUI / "comfy" / "sd.py").exists():
        return (
            f"no ComfyUI in {COMFYUI}: git clone https://github.com/Comfy-Org/ComfyUI {COMFYUI}, or set "
            "COMFYUI_PATH"
        )
    if not PYTHON.exists():
        return (
            f"no Python of ComfyUI at {PYTHON}: python3 -m venv {PYTHON.parents[1]}, then {PYTHON} -m pip "
            f"install -r {COMFYUI / 'requirements.txt'}, or set COMFYUI_PYTHON"
        )
    return None


NO_COMPILER = "neither a CUDA card nor a C++ compiler to rehearse one with (apt install g++)"


def compiler() -> str | None:
    """What builds the imitated card (rehearsal.py)."""
    return shutil.which("g++") or shutil.which("c++")


def has_card() -> bool:
    """Whether the host's torch has a CUDA card."""
    asks = "import torch, sys; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([str(PYTHON), "-c", asks], capture_output=True, env=environment()).returncode == 0


def lacks(module: str) -> bool:
    """Whether the host's Python has no such module."""
    asked = subprocess.run([str(PYTHON), "-c", f"import {module}"], capture_output=True, env=environment())
    return asked.returncode != 0


def environment() -> dict[str, str]:
    """This process's, without what belongs to its own Python."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return env | {"COMFYUI_PATH": str(COMFYUI)}

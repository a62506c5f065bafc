"""Starts ComfyUI's server on the CPU, or in the mode DRAG_MODE, also where torchvision or torchaudio don't
load (see standins.py).

COMFYUI_PYTHON boot.py COMFYUI_PATH [--while-stdin-is-open] -- <arguments of main.py>
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
from pathlib import Path

from standins import MODES, allocator, card, host_path, stand_in

# main.py's own switches; "dynamic" is what it does of itself on an NVIDIA card
SWITCHES = {"cpu": ["--cpu"], "normal": ["--disable-dynamic-vram"], "dynamic": []}
SWITCHES |= {m: [f"--{m}"] for m in MODES if m not in SWITCHES}


def leave_with_parent() -> None:
    """End with the process that holds the other end of stdin, however that one ends."""

    def wait() -> None:
        while sys.stdin.buffer.read(1024):
            pass
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    own, theirs = sys.argv[1:split], sys.argv[split + 1 :]
    if not own or own[1:] not in ([], ["--while-stdin-is-open"]):
        sys.exit(__doc__)
    comfyui = Path(own[0]).resolve()
    if own[1:]:
        leave_with_parent()
    mode = os.environ.get("DRAG_MODE") or "cpu"
    host_path(comfyui)
    sys.argv = [str(comfyui / "main.py"), *SWITCHES[mode], *theirs]
    import comfy.options

    comfy.options.enable_args_parsing()
    allocator()
    if mode != "cpu":
        card()
    kept = stand_in()
    runpy.run_path(sys.argv[0], run_name="__main__")
    del kept


if __name__ == "__main__":
    main()

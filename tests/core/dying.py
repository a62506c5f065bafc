"""Jobs that take their worker with them; a module that loads nothing, since every new worker imports it."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def dies_once(job: tuple[int, str]) -> int:
    """Squares a number; at 2 the worker is killed, until the marker is there."""
    number, marker = job
    if number == 2 and not Path(marker).exists():
        Path(marker).write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def always_dies(job: int) -> int:
    os._exit(1)

"""A mark on disk while a CUDA graph is recorded: if the process dies of it, the next one records none.

CUDA's own allocator ends the process where a recording breaks (torch frees memory in a destructor, which may
not raise). What is known to break one is found before, on one H200 it never happened; but a queue must not be
lost to it twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import folder_paths

from ...drag_core.backends.recorders import Recorder, Tensors, Work

NAME = "drag_recording_ended_badly.txt"


def place() -> Path:
    return Path(folder_paths.get_user_directory()) / NAME


def ended_badly() -> str:
    """Says that an earlier process ended while it recorded, and what to do; or ""."""
    path = place()
    if not path.is_file():
        return ""
    return f"ComfyUI ended while one was recorded; delete {path} to allow them again"


@dataclass(frozen=True)
class Marked:
    """A recorder whose recordings leave a file behind if the process ends in them."""

    inner: Recorder

    def warm(self, work: Work) -> None:
        self.inner.warm(work)

    def record(self, work: Work) -> tuple[Callable[[], None], Tensors]:
        path = place()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"A CUDA graph was being recorded at {time.strftime('%Y-%m-%d %H:%M:%S')}.\n")
        try:
            return self.inner.record(work)
        finally:
            with suppress(OSError):
                path.unlink()

    def close(self) -> None:
        self.inner.close()

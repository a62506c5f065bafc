"""Waits for something slow that is no computation, with the host's interrupt and an end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import comfy.model_management as mm

STEP = 0.1  # s between two looks at the interrupt


def waited(run: Callable[[], Any], stop: Callable[[], None], seconds: float) -> Any:
    """Returns what `run` does, in a thread of its own; what it raises is raised here.

    TimeoutError after `seconds`. Then, and when the user interrupts, `stop` shall make `run` end.
    """
    done: list[Any] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            done.append(run())
        except BaseException as e:  # it is raised in the thread that waits
            failed.append(e)

    thread = threading.Thread(target=work, daemon=True)
    end = time.monotonic() + seconds
    thread.start()
    try:
        while thread.is_alive():
            thread.join(STEP)
            mm.throw_exception_if_processing_interrupted()
            if thread.is_alive() and time.monotonic() > end:
                raise TimeoutError
    finally:
        if thread.is_alive():
            stop()
    if failed:
        raise failed[0]
    return done[0]

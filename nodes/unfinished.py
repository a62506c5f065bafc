"""What the editor gives for regions while nothing can be dragged yet, and what takes regions says of it."""

from __future__ import annotations

from dataclasses import dataclass

from ..drag_core.types import DragError, Task


@dataclass(frozen=True)
class Unfinished:
    """What stands in place of a Task: the editor itself runs and shows its picture.

    said: for whoever needs a drag.
    Not the host's ExecutionBlocker: that one ends in success, and a script would wait for its picture.
    """

    said: str


def drawn(regions: Task | Unfinished) -> Task:
    """Returns the task; DragError with the editor's sentence where it is not finished."""
    if isinstance(regions, Unfinished):
        raise DragError(regions.said)
    return regions

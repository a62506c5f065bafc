"""The pictures that a drag can start from, alike in every node that gives them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..drag_core.motion.masks import leaving
from ..drag_core.pictures.draft import draft_of
from ..drag_core.pictures.inpaint import painted_over
from ..drag_core.types import Task


@dataclass(frozen=True)
class Starts:
    """What stands for the picture, (3, H, W) in [0, 1].

    filled: with the regions painted over.
    warped: the draft, and its notes.
    """

    filled: Tensor
    warped: Tensor
    notes: tuple[str, ...] = ()


def starts_of(pixels: Tensor, task: Task) -> Starts:
    """Makes both of `pixels` (3, H, W) in [0, 1], the picture that `task` is drawn on."""
    filled = painted_over(pixels, leaving(task)) if task.regions else pixels
    draft = draft_of(pixels, task, filled=filled)
    return Starts(filled, draft.picture, draft.notes)

"""What a listener is told while an edit runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from .ranges import check_mode
from .types import Point

Stage = Literal["identity", "finish", "invert", "drag"]


@dataclass(frozen=True)
class Step:
    """What a listener is told after every update and every denoising step.

    An exception raised by the listener cancels cleanly. `check` raises DragError where the updates so far
    have left the range of latents. It waits for the device, so it is for listeners which do anyway.
    """

    done: int
    total: int
    level: int
    z: Tensor
    handles: tuple[Point, ...] = ()
    stage: Stage = "drag"
    check: Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        check_mode("the stage of a step", self.stage, Stage)


OnStep = Callable[[Step], None]


def quiet(step: Step) -> None:
    """Does nothing: no listener."""

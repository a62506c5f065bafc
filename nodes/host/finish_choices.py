"""What the user set on DragFinish."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ...drag_core.ranges import Ranged, check_mode, span
from ...drag_core.trajectory.finish import STEPS

KVFrom = Literal["none", "draft"]


@dataclass(frozen=True)
class FinishChoices(Ranged):
    """What the user set on DragFinish."""

    whose = "Drag Finish's"

    strength: float = field(
        default=0.5,
        metadata=span(
            0.05,
            0.95,
            "From how much noise the model draws, as a share: more lets it draw more freely, less keeps more "
            "of the draft.",
            0.05,
        ),
    )
    steps: int = field(
        default=STEPS,
        metadata=span(1, 100, "Model calls from that noise to the picture, evenly; more than 4 hardly help."),
    )
    core: float = field(
        default=0.0,
        metadata=span(
            0.0,
            1.0,
            "How much of strength the moved thing itself is redrawn from: 0 keeps its own pixels, 0.5 lets "
            "the model touch it up, 1 draws it as freely as the hole.",
            0.05,
        ),
    )
    rest: float = field(
        default=0.0,
        metadata=span(
            0.0,
            1.0,
            "How much of strength the rest of what may change is redrawn from, around the thing and the "
            "hole: 0 keeps it.",
            0.05,
        ),
    )
    kv: KVFrom = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_mode("kv", self.kv, KVFrom)

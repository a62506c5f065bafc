"""What DragOptimize's report says of a paper's variant: what is left of it here, and what comes before it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...drag_core.recipes.remains import before_it, remains
from ...drag_core.types import Task
from .family import family_in
from .inversion import Inversion
from .wish import DragChoices, ground_of, settled

TRAIN = "put Drag Identity LoRA before Drag Invert"
AUTO_MASK = "take the regions of Drag Auto Mask"


def variant_notes(patcher: Any, inversion: Inversion, task: Task, wish: DragChoices) -> tuple[str, ...]:
    """Writes a sentence for each; none for our variant."""
    family = family_in(patcher)
    task, wish = replace(task, cell=family.cell), settled(wish, family, task)
    said = remains(task, ground_of(family, inversion), wish)
    # a LoRA, like any other patch of weights: which of them it is, the host does not keep
    trained = bool(getattr(patcher, "patches", None))
    before = before_it(task, wish, trained=trained, advice=TRAIN, mask_advice=AUTO_MASK)
    return before if said is None else (said, *before)

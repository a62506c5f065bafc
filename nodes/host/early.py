"""What can be refused of a drag before anything is inverted for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from ...drag_core.choice import AUTO, automatic, choose
from ...drag_core.types import Task, Variant
from .family import family_in


def refused_early(patcher: Any, task: Task, recipe: str, variant: Variant) -> None:
    """DragError if the model can't be dragged, or `recipe` is none for it or for what is marked."""
    family = family_in(patcher)
    task = replace(task, cell=family.cell)
    name = automatic(family.name, task) if recipe == AUTO else recipe
    if name == "custom":
        return
    with torch.inference_mode(False):
        choose(family.name, family.label, task, name, variant, family.preset)

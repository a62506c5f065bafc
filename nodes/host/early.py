"""What can be refused of a drag before anything is inverted for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from ...drag_core.recipes.choice import CUSTOM, check_recipe
from ...drag_core.types import Task, Variant
from .family import family_in
from .patches import refuse_injected
from .wish import DragChoices, settled


def refused_early(patcher: Any, task: Task, recipe: str, variant: Variant) -> None:
    """Raises DragError if the model can't be dragged, or `recipe` is none for it or for what is marked."""
    family = family_in(patcher)
    refuse_injected(patcher)
    task = replace(task, cell=family.cell)
    wish = settled(DragChoices(recipe, variant), family, task)
    if wish.recipe == CUSTOM:
        return
    with torch.inference_mode(False):
        check_recipe(wish.recipe, family=family.name, model=family.label, task=task, variant=variant)

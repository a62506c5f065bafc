"""What can be refused of a drag before anything is inverted for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...drag_core.recipes.choice import CUSTOM, check_recipe
from ...drag_core.types import Task, Variant
from .family import family_in
from .patches import refuse_injected
from .wish import DragChoices, check_size, settled


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


def refused_for_size(patcher: Any, task: Task, samples: Tensor) -> None:
    """Raises DragError if a LATENT's samples are not of a picture of the task's size, as a drag would."""
    check_size(replace(task, cell=family_in(patcher).cell), samples)

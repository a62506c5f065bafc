"""A recipe by its name, checked against the model and the trajectory."""

from __future__ import annotations

from .drag import Recipe
from .presets import Preset
from .recipes import RECIPES, copy_paste
from .solvers import ddim, fireflow
from .types import DragError, Task, Variant

FAMILY = {"dragflow": "flux", "dragnext": "sd", "gooddrag": "sd", "dragdiffusion": "sd", "adaptivedrag": "sd"}
MOVES_REGIONS = ("dragflow", "dragnext", "copy_paste")
DEFAULT_RECIPE = {"sd": "dragnext", "flux": "dragflow"}


def choose(
    family: str,
    model: str,
    task: Task,
    recipe: str,
    variant: Variant = "ours",
    preset: Preset | None = None,
    seed: int = 0,
) -> Recipe:
    """`family`: "sd" or "flux"; `model` is its name for the user; the schedule is the recipe's or the
    preset's.
    """
    if recipe == "copy_paste":
        solver = fireflow if family == "flux" else ddim
        schedule = preset.schedule if preset else RECIPES[DEFAULT_RECIPE[family]](task, variant).schedule
        return copy_paste(task, schedule, solver, seed=seed)
    if recipe not in RECIPES:
        raise DragError(f"there is no recipe {recipe!r}; recipes: {', '.join(RECIPES)}, copy_paste")
    if FAMILY[recipe] != family:
        fitting = " or ".join(r for r, f in FAMILY.items() if f == family)
        raise DragError(
            f"recipe {recipe} does not fit {model}, a model of the {family} family: use {fitting}"
        )
    return RECIPES[recipe](task, variant)

"""A recipe by its name, checked against the model and the trajectory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..trajectory.solvers import ddim, fireflow
from ..types import DragError, FeatureTap, Task, Variant
from . import RECIPES
from .copy_paste import copy_paste
from .presets import Preset
from .recipe import Recipe

FAMILY = {"dragflow": "flux", "dragnext": "sd", "gooddrag": "sd", "dragdiffusion": "sd", "adaptivedrag": "sd"}
MOVES_REGIONS = ("dragflow", "dragnext", "copy_paste")
DEFAULT_RECIPE = {"sd": "dragnext", "flux": "dragflow"}
AUTO = "auto"  # the recipe that automatic() names


def automatic(family: str, task: Task) -> str:
    """The recipe for a model of `family` ("sd" or "flux") and what is marked: the paper's for its regions,
    or gooddrag for points alone. DragError where no paper's recipe drags this.
    """
    if task.regions or not task.handles:
        return DEFAULT_RECIPE[family]
    if family == "sd":
        return "gooddrag"
    raise DragError(
        "this drag has points alone, and the recipe for models of the flux family moves regions: mark a "
        "region, or choose recipe custom with method point"
    )


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


def unet_taps(wanted: tuple[FeatureTap, ...], blocks: Iterable[str]) -> tuple[FeatureTap, ...]:
    """Taps for SD1.5's four up blocks on a UNet with `blocks`: counted from the last one (SDXL has three)."""
    ups = sum(b.startswith("up.") for b in blocks)
    moved = [(int(t.block.split(".")[1]) - 4 + ups, t) for t in wanted if t.block.startswith("up.")]
    return tuple(FeatureTap(f"up.{i}", t.site) for i, t in moved if i >= 0)


def on_unet(recipe: Recipe, blocks: Iterable[str], kv: tuple[str, ...]) -> Recipe:
    """A recipe for SD1.5 on a UNet with `blocks` whose K/V layers are `kv`."""
    return replace(recipe, taps=unet_taps(recipe.taps, blocks), kv_blocks=kv if recipe.kv_blocks else ())

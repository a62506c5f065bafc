"""Which recipe: by its name, or the one that "auto" stands for; checked against the model and the drag."""

from __future__ import annotations

from typing import Any

from ..types import DragError, Family, Task, Variant
from . import METHODS
from .common import need_regions
from .numbers import Numbers
from .record import Method, Moves, Way

AUTO = "auto"
COPY_PASTE = "copy_paste"
CUSTOM = "custom"
FINISH = "finish"  # a draft whose hole is drawn: an edit without an inversion, so that no drag() runs
RECIPES = (*METHODS, COPY_PASTE)  # that have a name of their own


def default_method(family: Family, moves: Moves = "regions") -> Method | None:
    """Chooses what "auto" takes for a model of `family`; None where no paper moves such things on it."""
    fitting = (m for m in METHODS.values() if m.family == family and m.moves == moves and m.default)
    return next(fitting, None)


def default_recipe(family: Family) -> str:
    """Names the recipe of a family for its regions."""
    method = default_method(family)
    assert method is not None
    return method.name


def automatic(family: Family, task: Task) -> str:
    """Chooses the recipe for a model of `family` and what is marked.

    It is a paper's for regions, or for points alone. Raises DragError where no paper's recipe drags this.
    """
    method = default_method(family, "regions" if task.regions or not task.handles else "points")
    if method is None:
        raise DragError(
            f"this drag has points alone, and the recipe for models of the {family} family moves regions: "
            "mark a region, or choose recipe custom with method point"
        )
    return method.name


def edit_recipe(family: Family, regions: bool, published: bool = False) -> str:
    """Chooses what "auto" stands for in a whole edit, where regions, or points alone, are marked.

    Regions move rigidly: there the picture warped in pixels is right but for the hole, which the model draws
    (`python -m benchmarks.drafts`; a recipe of updates ends no higher). Where no paper drags points alone on
    such a model, the super-pixels under them move as regions.
    published: something is asked for that only a paper's recipe has, as its variant or an adapter.
    """
    if regions and not published:
        return FINISH
    method = default_method(family, "regions" if regions else "points")
    return default_recipe(family) if method is None else method.name


def because(recipe: str, family: Family | None, regions: bool) -> str:
    """Says why "auto" took this recipe; finish does not go by the family."""
    if recipe == FINISH:
        how = "they move in pixels, the model draws what they leave"
        return f"recipe auto took {recipe}: regions are marked; {how}"
    marked = "regions are marked" if regions else "points alone are marked"
    if not regions and METHODS[recipe].moves == "regions":
        marked += ", and no paper drags these there: what lies under them moves as a region"
    return f"recipe auto took {recipe}: the model is of the {family} family, and {marked}"


def check_name(recipe: str) -> None:
    """Raises DragError if a whole edit knows no recipe of this name."""
    if recipe not in (known := (AUTO, *RECIPES, FINISH)):
        raise DragError(f"there is no recipe {recipe!r}; recipes: {', '.join(known)}")


def check_recipe(recipe: str, *, family: Family, model: str, task: Task, variant: Variant = "ours") -> None:
    """Raises DragError if `recipe`, a name but "custom", is none for this model or for what is marked.

    `model` is its name for the user.
    """
    if recipe == COPY_PASTE:
        need_regions(task, COPY_PASTE)
    else:
        fitting_method(recipe, family=family, model=model).build(task, variant)


def fitting_method(recipe: str, *, family: Family, model: str) -> Method:
    """Finds the published method called `recipe`.

    Raises DragError if there is none, or if it was made for models of another family.

    model: this one's name for the user.
    """
    check_name(recipe)
    if METHODS[recipe].family != family:
        fitting = " or ".join(m.name for m in METHODS.values() if m.family == family)
        raise DragError(
            f"recipe {recipe} does not fit {model}, a model of the {family} family: use {fitting}"
        )
    return METHODS[recipe]


def usual_numbers(way: Way) -> Numbers:
    """Returns where own numbers of a way start: the first method's that goes it."""
    return next(m.numbers for m in METHODS.values() if m.way == way)


def shown_numbers() -> dict[str, tuple[Way, dict[str, Any]]]:
    """Returns each method as a set of numbers of its way: what an editor shows when it is chosen."""
    return {m.name: (m.way, vars(m.numbers).copy()) for m in METHODS.values()}


def ignored(recipe: str, method: str, numbers: dict[str, Any]) -> str | None:
    """Tells the user that `recipe` ignores `numbers` of the way `method`, where they were set by hand.

    None for recipe "custom", and where they are what an editor shows unasked: a paper's numbers, of which
    each way's defaults are one set.
    """
    all_shown = shown_numbers()
    shown = [values for way, values in all_shown.values() if way == method]
    if recipe == CUSTOM or any(all(own.get(k) == v for k, v in numbers.items()) for own in shown):
        return None
    way, own = all_shown.get(recipe, ("", {}))
    usual = own if way == method else next(iter(shown), {})
    set_by_hand = ", ".join(f"{k}={v}" for k, v in numbers.items() if usual.get(k) != v)
    of = "" if way == method else f" of method {method}"
    return f"recipe {recipe} ignores {set_by_hand}{of}: choose custom to use it"

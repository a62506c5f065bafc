"""Which recipe `auto` is, and which numbers of a custom recipe a paper's recipe leaves unused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from drag_core.recipes import METHODS
from drag_core.recipes.choice import (
    RECIPES,
    automatic,
    because,
    check_recipe,
    edit_recipe,
    ignored,
    shown_numbers,
)
from drag_core.types import AffineMotion, DragError, Grid, Handle, Region, Task

GRID = Grid(64, 64)
NUMBERS = shown_numbers()
MASK = torch.zeros(64, 64)
MASK[10:20, 10:20] = 1
REGION = Region(MASK, AffineMotion(shift=(20.0, 8.0)))
HANDLE = Handle((15.0, 15.0), (35.0, 23.0))


@pytest.mark.parametrize(
    ("family", "regions", "handles", "wanted"),
    [
        ("flux", (REGION,), (HANDLE,), "dragflow"),
        ("sd", (REGION,), (), "dragnext"),
        ("sd", (), (HANDLE,), "gooddrag"),
    ],
)
def test_auto_is_a_recipe_that_fits(family: str, regions: Any, handles: Any, wanted: str) -> None:
    task = Task(GRID, regions, handles)
    name = automatic(family, task)
    assert name == wanted and METHODS[name].family == family
    check_recipe(name, family=family, model="the model", task=task)  # not refused


@pytest.mark.parametrize(
    ("family", "regions", "wanted", "why"),
    [
        (
            "flux",
            True,
            "finish",
            "regions are marked; they move in pixels, the model draws what they leave",
        ),
        (
            "sd",
            True,
            "finish",
            "regions are marked; they move in pixels, the model draws what they leave",
        ),
        ("sd", False, "gooddrag", "of the sd family, and points alone are marked"),
        ("flux", False, "dragflow", "no paper drags these there: what lies under them moves as a region"),
    ],
)
def test_auto_in_a_whole_edit_says_why(family: Any, regions: bool, wanted: str, why: str) -> None:
    name = edit_recipe(family, regions)
    assert name == wanted
    assert because(name, family, regions).startswith(f"recipe auto took {wanted}: ")
    assert because(name, family, regions).endswith(why)


@pytest.mark.parametrize(("family", "wanted"), [("flux", "dragflow"), ("sd", "dragnext")])
def test_a_papers_variant_asks_for_its_recipe(family: Any, wanted: str) -> None:
    name = edit_recipe(family, True, published=True)
    assert name == wanted
    assert because(name, family, True).endswith(f"of the {family} family, and regions are marked")


def test_auto_refuses_what_no_recipe_drags() -> None:
    with pytest.raises(DragError, match="points alone.*choose recipe custom with method point"):
        automatic("flux", Task(GRID, (), (HANDLE,)))


@pytest.mark.parametrize("recipe", [*RECIPES, "custom"])
@pytest.mark.parametrize("shown", NUMBERS)
def test_what_an_editor_shows_unasked_is_no_wish(recipe: str, shown: str) -> None:
    """Old workflows and scripts have any method's numbers beside a paper's recipe."""
    method, numbers = NUMBERS[shown]
    assert ignored(recipe, method, dict(numbers)) is None
    assert ignored(recipe, method, {k: float(v) for k, v in numbers.items()}) is None  # as JSON may say it


@pytest.mark.parametrize(
    ("recipe", "method", "changed", "said"),
    [
        ("dragflow", "region", {"iterations": 30}, "recipe dragflow ignores iterations=30: choose custom"),
        (
            "dragdiffusion",
            "point",
            {"levels": 9, "preserve": False},
            "recipe dragdiffusion ignores levels=9, updates=30",
        ),
        ("dragflow", "pbsi", {"levels": 3}, "recipe dragflow ignores levels=3 of method pbsi: choose custom"),
        ("copy_paste", "region", {"hold": 1}, "recipe copy_paste ignores hold=1 of method region: choose"),
    ],
)
def test_numbers_set_by_hand_are_named(recipe: str, method: str, changed: dict[str, Any], said: str) -> None:
    start = next(values for way, values in NUMBERS.values() if way == method)
    message = ignored(recipe, method, {**start, **changed})
    assert message is not None and message.startswith(said)
    assert ignored("custom", method, {**start, **changed}) is None

"""The numbers of a custom recipe, DragOptimize's input `method`: made from the methods' own records."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

from comfy_api.latest import io

from ..drag_core.recipes import METHODS
from ..drag_core.recipes.choice import usual_numbers
from ..drag_core.recipes.record import FAMILY_NAMES, Way
from .inputs import ranged


def methods() -> list[io.DynamicCombo.Option]:
    """Lists the ways of dragging, each with its numbers at the values of the first method that goes it."""
    return [io.DynamicCombo.Option(way, _inputs(way)) for way in get_args(Way)]


def _inputs(way: Way) -> list[io.Input]:
    usual = usual_numbers(way)
    return [ranged(usual, field.name) for field in fields(usual)]


def described() -> str:
    """Lists the published methods, each with its models and things, as "dragflow (FLUX, regions)"."""
    groups: dict[tuple[str, str], list[str]] = {}
    for m in METHODS.values():
        groups.setdefault((FAMILY_NAMES[m.family], m.moves), []).append(m.name)
    said = []
    for (family, moves), names in groups.items():
        listed = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
        said.append(f"{listed} ({family}, {moves})")
    return ", ".join(said)

"""Inputs that several nodes have alike, and what they mean."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal

from comfy_api.latest import io

from ..drag_core.ranges import Ranged, check_mode, span_of
from ..drag_core.recipes import METHODS

Acts = Literal["both", "inversion", "editing"]  # where an adapter does
FAMILIES = {"flux": "FLUX", "sd": "Stable Diffusion"}
# The papers' steps by family, for a tooltip: "FLUX 25, Stable Diffusion 50".
STEPS = ", ".join(dict.fromkeys(f"{FAMILIES[m.family]} {m.inversion.steps}" for m in METHODS.values()))


def number(
    kind: type[io.Int] | type[io.Float],
    name: str,
    default: float,
    low: float,
    high: float,
    tooltip: str,
    step: float | None = None,
    **more: Any,
) -> io.Input:
    """Makes an io.Int or io.Float input."""
    stepped = {} if step is None else {"step": step}
    return kind.Input(name, default=default, min=low, max=high, tooltip=tooltip, **stepped, **more)


def ranged(
    record: Ranged, field: str, tooltip: str | None = None, name: str | None = None, **more: Any
) -> io.Input:
    """Makes the input for a field of a record: its value there, its range, its sentence (or `tooltip`)."""
    found = next(f for f in fields(record) if f.name == field)
    limits, value = span_of(found), getattr(record, field)
    assert limits is not None
    said = tooltip or limits.says
    if found.type == "bool":
        return io.Boolean.Input(name or field, default=value, tooltip=said)
    kind = io.Int if found.type == "int" else io.Float
    low, high = (int(x) if kind is io.Int else x for x in (limits.low, limits.high))
    return number(kind, name or field, value, low, high, said, limits.step, **more)


def sampling_range() -> list[io.Float.Input]:
    """Makes the inputs for the part of sampling a patch acts in: see nodes.host.patches.sigma_range."""
    return [
        number(io.Float, "start_percent", 0.0, 0.0, 1.0, "From this share of sampling on.", 0.01),
        number(io.Float, "end_percent", 1.0, 0.0, 1.0, "Up to this share of sampling.", 0.01),
    ]


def stage_input(tooltip: str) -> io.Combo.Input:
    """Makes the input for where an adapter acts; `by_stage` then gives the two models."""
    return io.Combo.Input("stage", options=["both", "inversion", "editing"], default="both", tooltip=tooltip)


def by_stage(stage: Acts, plain: io.Model.Type, adapted: io.Model.Type) -> tuple[io.Model.Type, ...]:
    """Returns the models (to invert with, to edit with)."""
    check_mode("stage", stage, Acts)
    return tuple(plain if stage == other else adapted for other in ("editing", "inversion"))

"""Inputs that several nodes have alike, and what they mean."""

from __future__ import annotations

from comfy_api.latest import io


def number(
    kind: type[io.Int] | type[io.Float],
    name: str,
    default: float,
    low: float,
    high: float,
    tooltip: str,
    step: float | None = None,
) -> io.Input:
    """An io.Int or io.Float input."""
    more = {} if step is None else {"step": step}
    return kind.Input(name, default=default, min=low, max=high, tooltip=tooltip, **more)


def sampling_range() -> list[io.Float.Input]:
    """In which part of sampling a patch acts: see nodes.host.patches.sigma_range."""
    return [
        number(io.Float, "start_percent", 0.0, 0.0, 1.0, "From this share of sampling on.", 0.01),
        number(io.Float, "end_percent", 1.0, 0.0, 1.0, "Up to this share of sampling.", 0.01),
    ]


def stage_input(tooltip: str) -> io.Combo.Input:
    """Where an adapter acts; `by_stage` then gives the two models."""
    return io.Combo.Input("stage", options=["both", "inversion", "editing"], default="both", tooltip=tooltip)


def by_stage(stage: str, plain: io.Model.Type, adapted: io.Model.Type) -> tuple[io.Model.Type, ...]:
    """The models (to invert with, to edit with)."""
    return tuple(plain if stage == other else adapted for other in ("editing", "inversion"))

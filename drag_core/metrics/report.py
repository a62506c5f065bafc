"""Every number of a drag, as a table and as data.

Beside each stands the same number for no edit at all. Both columns matter: on a flat or repetitive picture an
edit that did nothing scores well. All numbers are of 8-bit pixels as the host's SaveImage writes them, so
that the saved files give the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..types import DragError, Grid, Task
from .cost import Cost
from .line import CHANGED, Line
from .lpips import LpipsNet
from .matched import Features, Found, matched, seen_matches
from .perceptual import perceptual
from .plain import ALL, accuracy, background, compared, content, located, referred


@dataclass(frozen=True, eq=False)
class Looks:
    """What the networks' metrics look with; None: those are not there, and their lines say what they need.

    original, edited: DIFT features of both pictures.
    """

    lpips: LpipsNet | None = None
    original: Features | None = None
    edited: Features | None = None


NONE = Looks()


@dataclass(frozen=True)
class Report:
    """What `measure` found, with sentences on how to read it as `notes`."""

    size: Grid
    regions: int
    pairs: int
    lines: tuple[Line, ...]
    notes: tuple[str, ...]


def measure(
    original: Tensor,
    edited: Tensor,
    task: Task,
    reference: Tensor | None = None,
    looks: Looks = NONE,
    cost: Cost | None = None,
) -> Report:
    """Computes all metrics of an edit.

    original, edited: (3, H, W) in [0, 1] of the task's size.
    reference: the right result, if there is one.
    cost: what the edit took, if that is known.
    """
    given = {"original": original, "edited": edited} | ({} if reference is None else {"reference": reference})
    check_pictures(given, task.image)
    seen = {name: as_saved(picture) for name, picture in given.items()}
    a, b, truth = seen["original"], seen["edited"], seen.get("reference")
    whole = torch.ones(task.image.height, task.image.width)
    lines = accuracy(a, b, task) + background(a, b, task)
    lines += content(a, b, task.regions) if task.regions else []
    lines += compared("whole", "whole picture, to the original", a, a, b, whole, ALL, CHANGED)
    lines += referred(truth, a, b, task.regions) if truth is not None else []
    lines += perceptual(a, b, task, looks.lpips, truth)
    lines += matched(task, looks.original, looks.edited)
    lines += _spent(cost) if cost is not None else []
    return Report(
        task.image, len(task.regions), len(task.handles), tuple(lines), (*_notes(task), *_reasons(lines))
    )


def places(
    original: Tensor, edited: Tensor, task: Task, looks: Looks = NONE
) -> list[tuple[str, tuple[Found, ...]]]:
    """Lists where the content was found, by how: in the features, or without any by template matching."""
    seen = seen_matches(task, looks.original, looks.edited)
    return seen or [("template matching", located(original, edited, task))]


def _spent(cost: Cost) -> list[Line]:
    peak = "most memory at once" if math.isfinite(cost.peak_mb) else "n/a: the system does not tell"
    stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in cost.seconds.items())
    return [
        Line("seconds", "seconds", cost.total, math.nan, 2, "s", stages),
        Line("peak_memory", "peak memory", cost.peak_mb, math.nan, 0, "MB", peak),
    ]


def as_saved(image: Tensor) -> Tensor:
    """Makes the picture as the host's SaveImage keeps it.

    It has 8 bits, cut off, not rounded; float64 in [0, 1].
    """
    return (image.detach().cpu().float() * 255).clamp(0, 255).byte().double() / 255


def check_pictures(pictures: dict[str, Tensor], size: Grid) -> None:
    """Refuses pictures (3, H, W), by their names, that are not of one size, or hold no numbers."""
    sizes = {name: f"{p.shape[-1]}x{p.shape[-2]}" for name, p in pictures.items()}
    for name, picture in pictures.items():
        if sizes[name] != sizes["original"]:
            raise DragError(
                f"the {name} picture is {sizes[name]} and the original is {sizes['original']}: compare "
                f"pictures of one size (paste the edit back into its original, or scale it)"
            )
        if not torch.isfinite(picture).all():
            raise DragError(
                f"the {name} picture holds values that are no numbers (NaN or infinite), often from half "
                f"precision: edit and decode it in fp32"
            )
    if sizes["original"] != f"{size.width}x{size.height}":
        raise DragError(
            f"the regions are for a {size.width}x{size.height} picture and these are {sizes['original']}: "
            f"connect the regions that were made on this picture"
        )


def _notes(task: Task) -> tuple[str, ...]:
    out = ["The column `no edit` is the original taken as the edit: what counts is the way from there."]
    if any(r.motion.angle or r.motion.scale != (1.0, 1.0) for r in task.regions):
        out.append(
            "DAI compares unturned, unscaled patches: with a turn or a scale even a perfect edit is above 0."
        )
    if task.regions:
        out += [
            "Moved content is the original's region, warped by its motion, against the edit inside the "
            "target; what the model redraws with reason (light, a side once hidden) counts against it.",
            "Centroid error is how far from its target the moved content is found by template matching; it "
            "sees shifts only, no turn and no second copy, and a plain region fits in many places.",
        ]
    return tuple(out)


def table(report: Report) -> str:
    """Writes the report as aligned text: a heading, one metric a line, then the notes."""
    cells = rows(report)
    wide = [max(len(r[i]) for r in cells) for i in range(3)]
    body = [f"{n:<{wide[0]}}  {x:>{wide[1]}}  {y:>{wide[2]}}  {hint}".rstrip() for n, x, y, hint in cells]
    return "\n".join([title(report), "", *body, "", *report.notes])


def title(report: Report) -> str:
    """Says what was measured."""
    size = f"{report.size.width}x{report.size.height}"
    parts = f"{_count(report.regions, 'region')}, {_count(report.pairs, 'point pair')}"
    return f"Drag metrics: {size} picture, {parts}"


def rows(report: Report) -> list[tuple[str, str, str, str]]:
    """Lists the table's cells: the heading, then name, edited, no edit and how to read it of every metric."""
    return [("metric", "edited", "no edit", "")] + [
        (x.name, _number(x, x.edited), _number(x, x.no_edit), _said(x)) for x in report.lines
    ]


def missing(report: Report) -> list[int]:
    """Lists the rows of `rows` that have no value for the edit."""
    return [i for i, line in enumerate(report.lines, 1) if math.isnan(line.edited)]


def as_dict(report: Report) -> dict[str, Any]:
    """Turns the report into JSON's form, metrics by key.

    Each is {edited, no_edit, unit, hint, count, protocol, backbone, backbone_sha256, comparable_to_paper,
    reason}, with None for no value.
    """
    return {
        "width": report.size.width,
        "height": report.size.height,
        "regions": report.regions,
        "pairs": report.pairs,
        "metrics": {
            x.key: {
                "edited": None if math.isnan(x.edited) else x.edited,
                "no_edit": None if math.isnan(x.no_edit) else x.no_edit,
                "unit": x.unit,
                "hint": x.hint,
                "count": x.count,
                "protocol": x.origin.protocol,
                "backbone": x.origin.backbone,
                "backbone_sha256": x.origin.sha256,
                "comparable_to_paper": x.origin.comparable,
                "reason": x.origin.reason,
            }
            for x in report.lines
        },
        "notes": list(report.notes),
    }


def _said(line: Line) -> str:
    """Says how to read a line, and if its value may not stand beside the paper's; why is in the notes."""
    return f"{line.hint}; not comparable to the paper" if _apart(line) else line.hint


def _apart(line: Line) -> bool:
    return line.origin.comparable is False and not math.isnan(line.edited)


def _reasons(lines: Sequence[Line]) -> list[str]:
    """Says why values may not stand beside the papers' own, a sentence for each reason."""
    by_reason: dict[str, list[str]] = {}
    for line in filter(_apart, lines):
        by_reason.setdefault(line.origin.reason, []).append(line.name.split(",")[0])
    return [f"Not comparable to the paper, {', '.join(names)}: {why}." for why, names in by_reason.items()]


def _number(line: Line, value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.{line.digits}f} {line.unit}".rstrip()


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")

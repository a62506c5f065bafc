"""Every number of a drag that needs no network, as a table and as data.

Beside each stands the same number for no edit at all. Both columns matter: on a flat or repetitive picture an
edit that did nothing scores well. All numbers are of 8-bit pixels as the host's SaveImage writes them, so
that the saved files give the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..motion.geometry import apply, motion_matrix, warp
from ..motion.masks import centroid, moved
from ..types import DragError, Grid, Region, Task
from .dai import RADII, dai
from .place import Match, locate
from .region import l1, psnr, ssim

# dB; on the generated scenes what had moved was found at 17 and more, what was gone "found" at 5 to 13
FOUND = 15.0
LOWER, HIGHER, CHANGED = "lower is better", "higher is better", "how much changed; neither way is better"
KINDS: dict[str, tuple[Callable[[Tensor, Tensor, Tensor | None], float], int, str, str]] = {
    "PSNR": (psnr, 2, "dB", HIGHER),
    "SSIM": (ssim, 4, "", HIGHER),
    "L1": (l1, 5, "", LOWER),
}
ALL = tuple(KINDS)
COVERED = "the targets cover the sources"


@dataclass(frozen=True)
class Line:
    """One metric: its value for the edit and for the original taken as the edit (nan: none), and a hint."""

    key: str
    name: str
    edited: float
    no_edit: float
    digits: int
    unit: str
    hint: str


@dataclass(frozen=True)
class Report:
    """What `measure` found, with sentences on how to read it as `notes`."""

    size: Grid
    regions: int
    pairs: int
    lines: tuple[Line, ...]
    notes: tuple[str, ...]


def measure(original: Tensor, edited: Tensor, task: Task, reference: Tensor | None = None) -> Report:
    """Computes all metrics of an edit.

    original, edited: (3, H, W) in [0, 1] of the task's size.
    reference: the right result, if there is one.
    """
    given = {"original": original, "edited": edited} | ({} if reference is None else {"reference": reference})
    _check(given, task.image)
    seen = {name: as_saved(picture) for name, picture in given.items()}
    a, b, whole = seen["original"], seen["edited"], torch.ones(task.image.height, task.image.width)
    lines = _accuracy(a, b, task) + _background(a, b, task)
    lines += _content(a, b, task.regions) if task.regions else []
    lines += _compared("whole", "whole picture, to the original", a, a, b, whole, ALL, CHANGED)
    if reference is not None:
        truth = seen["reference"]
        lines += _compared("reference", "whole picture, to the reference", truth, a, b, whole, ALL)
        if task.regions:
            there = _union([moved(r) for r in task.regions])
            lines += _compared("reference_target", "target region, to the reference", truth, a, b, there)
            left, name = vacated(task.regions, there), "vacated area, to the reference"
            why = "" if left.any() else COVERED
            lines += _compared("reference_vacated", name, truth, a, b, left, why=why)
    return Report(task.image, len(task.regions), len(task.handles), tuple(lines), _notes(task))


def as_saved(image: Tensor) -> Tensor:
    """Makes the picture as the host's SaveImage keeps it.

    It has 8 bits, cut off, not rounded; float64 in [0, 1].
    """
    return (image.detach().cpu().float() * 255).clamp(0, 255).byte().double() / 255


def _check(pictures: dict[str, Tensor], size: Grid) -> None:
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


def _accuracy(a: Tensor, b: Tensor, task: Task) -> list[Line]:
    pairs = [(h.start, h.target) for h in task.handles]
    out = []
    for radius in RADII:
        now, before = dai(a, b, pairs, radius), dai(a, a, pairs, radius)
        hint = f"{LOWER}; {now.pairs} of {len(pairs)} pairs"
        if now.skipped:
            hint += f", {now.skipped} left out: a patch of radius {radius} leaves the picture"
        for variant, name in (("paper", "Eq. 8"), ("script", "script")):
            x, y = getattr(now, variant), getattr(before, variant)
            out.append(Line(f"dai_{variant}_{radius}", f"DAI ({name}), radius {radius}", x, y, 5, "", hint))
    return out


def _background(a: Tensor, b: Tensor, task: Task) -> list[Line]:
    outside = torch.zeros_like(a[0]) if task.editable is None else 1 - task.editable.float()
    why = "" if (outside > 0.5).any() else "everything may change"
    return _compared("background", "background", a, a, b, outside, ALL, why=why)


def _content(a: Tensor, b: Tensor, regions: tuple[Region, ...]) -> list[Line]:
    """Compares what the regions should look like after their motion with what is there.

    And measures what stayed behind.
    """
    wanted, own = carried(a, regions)
    target = _union(own)
    out = _compared("moved", "moved content", wanted, a, b, target)
    for i, (region, mask) in enumerate(zip(regions, own, strict=True)):
        which = f" of region {i + 1}" if len(regions) > 1 else ""
        now, before = (locate(wanted, mask, p, _reach(region)) for p in (b, a))
        x, y = (m.distance if m and m.psnr >= FOUND else math.nan for m in (now, before))
        hint = f"n/a: {_lost(now)}" if math.isnan(x) else f"{LOWER}; to 1 px"
        out.append(Line(f"centroid_{i + 1}", f"centroid error{which}", x, y, 1, "px", hint))
        x, y = (m.psnr if m else math.nan for m in (now, before))
        out.append(
            Line(
                f"fit_{i + 1}",
                f"fit at that centroid{which}",
                x,
                y,
                2,
                "dB",
                _hint("how well the content fits there", x),
            )
        )
    left = vacated(regions, target)
    x, y = psnr(a, b, left), psnr(a, a, left)
    hint = _hint(f"{LOWER}; 100 is all still there", x, "" if left.any() else COVERED)
    return [*out, Line("left_behind", "left behind, PSNR to the original", x, y, 2, "dB", hint)]


def carried(image: Tensor, regions: tuple[Region, ...]) -> tuple[Tensor, list[Tensor]]:
    """Moves every region's content of a picture (3, H, W) to its target, later regions on top.

    Also returns of each target the part (H, W) not under a later one. Sources stay where they were.
    """
    out, own = image, list[Tensor]()
    for region in regions:
        there = moved(region)
        content = warp(image[None], motion_matrix(region.motion), padding="border")[0]
        out = torch.where(there > 0.5, content, out)
        own = [*(m * (1 - there) for m in own), there]
    return out, own


def vacated(regions: tuple[Region, ...], target: Tensor) -> Tensor:
    """Marks what the regions leave, (H, W) in {0, 1}: their sources where no target is."""
    return _union([r.mask.float() for r in regions]) * (1 - target)


def _union(masks: list[Tensor]) -> Tensor:
    return torch.stack(masks).amax(0)


def _reach(region: Region) -> int:
    """Computes how far to search: as far as an unmoved region lies from its target, and a quarter more."""
    centre = centroid(region.mask)
    return max(16, round(1.25 * math.dist(centre, apply(motion_matrix(region.motion), centre))))


def _lost(match: Match | None) -> str:
    if match is None:
        return "under 20 pixels of it are in the picture"
    return f"not found, the best place fits with {match.psnr:.1f} dB (under {FOUND:g})"


def _compared(
    key: str,
    name: str,
    wanted: Tensor,
    original: Tensor,
    edited: Tensor,
    mask: Tensor,
    kinds: tuple[str, ...] = ("PSNR", "SSIM"),
    hint: str = "",
    why: str = "",
) -> list[Line]:
    """Compares edit and no edit with `wanted` inside the mask.

    Outside it all are made equal, so that SSIM's windows at the rim judge the inside alone.
    """
    out = []
    for kind in kinds:
        function, digits, unit, better = KINDS[kind]
        x, y = (function(torch.where(mask > 0.5, wanted, p), p, mask) for p in (edited, original))
        said = _hint(hint or better, x, why)
        out.append(Line(f"{key}_{kind.lower()}", f"{name}, {kind}", x, y, digits, unit, said))
    return out


def _hint(better: str, value: float, why: str = "") -> str:
    return f"n/a: {why or 'too few pixels'}" if math.isnan(value) else better


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
    size = f"{report.size.width}x{report.size.height}"
    parts = f"{_count(report.regions, 'region')}, {_count(report.pairs, 'point pair')}"
    rows = [("metric", "edited", "no edit", "")]
    rows += [(x.name, _number(x, x.edited), _number(x, x.no_edit), x.hint) for x in report.lines]
    wide = [max(len(r[i]) for r in rows) for i in range(3)]
    body = [f"{n:<{wide[0]}}  {x:>{wide[1]}}  {y:>{wide[2]}}  {hint}".rstrip() for n, x, y, hint in rows]
    return "\n".join([f"Drag metrics: {size} picture, {parts}", "", *body, "", *report.notes])


def as_dict(report: Report) -> dict[str, Any]:
    """Turns the report into JSON's form, metrics by key.

    Each is {edited, no_edit, unit, hint}, with None for no value.
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
            }
            for x in report.lines
        },
        "notes": list(report.notes),
    }


def _number(line: Line, value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.{line.digits}f} {line.unit}".rstrip()


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")

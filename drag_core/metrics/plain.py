"""The numbers of a drag that need no network: accuracy, background, what was carried, what stayed behind."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ..motion.geometry import apply, motion_matrix, warp
from ..motion.masks import centroid, moved
from ..types import Region, Task
from .dai import RADII, dai
from .line import HIGHER, LOWER, Line, Origin, hint
from .matched import Found
from .place import Match, locate, turned
from .protocols import PROTOCOLS
from .region import l1, psnr, ssim

# dB; on the generated scenes what had moved was found at 17 and more, what was gone "found" at 5 to 13
FOUND = 15.0
KINDS: dict[str, tuple[Callable[[Tensor, Tensor, Tensor | None], float], int, str, str]] = {
    "PSNR": (psnr, 2, "dB", HIGHER),
    "SSIM": (ssim, 4, "", HIGHER),
    "L1": (l1, 5, "", LOWER),
}
ALL = tuple(KINDS)
NEAR, TO_ANGLE = f"{LOWER}; to 1 px", f"{LOWER}; to 0.25°; a round or plain thing shows no turn"
WHICH = "which form the published tables have is not known: GoodDrag's script divides by the pairs twice"
COVERED = "the targets cover the sources"


def accuracy(a: Tensor, b: Tensor, task: Task) -> list[Line]:
    """Computes GoodDrag's DAI in both forms at every radius."""
    pairs = [(h.start, h.target) for h in task.handles]
    out = []
    origin = Origin(PROTOCOLS["gooddrag"].stamp, comparable=True, reason=WHICH)
    for radius in RADII:
        now, before = dai(a, b, pairs, radius), dai(a, a, pairs, radius)
        said = f"{LOWER}; {now.pairs} of {len(pairs)} pairs"
        if now.skipped:
            said += f", {now.skipped} left out: a patch of radius {radius} leaves the picture"
        for variant, name in (("paper", "Eq. 8"), ("script", "script")):
            x, y = getattr(now, variant), getattr(before, variant)
            key, called = f"dai_{variant}_{radius}", f"DAI ({name}), radius {radius}"
            out.append(Line(key, called, x, y, 5, "", said, origin, now.pairs))
    return out


def background(a: Tensor, b: Tensor, task: Task) -> list[Line]:
    """Compares original and edit where nothing may change."""
    outside = torch.zeros_like(a[0]) if task.editable is None else 1 - task.editable.float()
    why = "" if (outside > 0.5).any() else "everything may change"
    return compared("background", "background", a, a, b, outside, ALL, why=why)


def content(a: Tensor, b: Tensor, regions: tuple[Region, ...]) -> list[Line]:
    """Compares what the regions should look like after their motion with what is there.

    And measures what stayed behind.
    """
    wanted, own = carried(a, regions)
    target = united(own)
    out = compared("moved", "moved content", wanted, a, b, target)
    for i, (region, mask) in enumerate(zip(regions, own, strict=True)):
        which = f" of region {i + 1}" if len(regions) > 1 else ""
        out += _placed(f"_{i + 1}", which, wanted, mask, (b, a), region)
    left = vacated(regions, target)
    x, y = psnr(a, b, left), psnr(a, a, left)
    said = hint(f"{LOWER}; 100 is all still there", x, "" if left.any() else COVERED)
    return [*out, Line("left_behind", "left behind, PSNR to the original", x, y, 2, "dB", said)]


def _placed(
    end: str, which: str, wanted: Tensor, mask: Tensor, pictures: tuple[Tensor, Tensor], region: Region
) -> list[Line]:
    """Looks for the content in edit and original: how far off it is, how well it fits, how it is turned.

    wanted, mask: what it should look like, and where.
    end, which: the ends of the lines' keys and names.
    """
    now, before = (locate(wanted, mask, p, _reach(region)) for p in pictures)
    out = []
    x, y = (m.distance if m and m.psnr >= FOUND else math.nan for m in (now, before))
    lost = f"n/a: {_lost(now)}"
    out.append(
        Line(f"centroid{end}", f"centroid error{which}", x, y, 1, "px", lost if math.isnan(x) else NEAR)
    )
    x, y = (m.psnr if m else math.nan for m in (now, before))
    said = hint("how well the content fits there", x)
    out.append(Line(f"fit{end}", f"fit at that centroid{which}", x, y, 2, "dB", said))
    x, y = (_turn(wanted, mask, p, m, region) for p, m in zip(pictures, (now, before), strict=True))
    out.append(Line(f"angle{end}", f"angle error{which}", x, y, 2, "°", lost if math.isnan(x) else TO_ANGLE))
    return out


def _turn(wanted: Tensor, mask: Tensor, picture: Tensor, match: Match | None, region: Region) -> float:
    """Computes by how many degrees the content is turned where it was found; nan where it is no content.

    What was not found unturned is looked for at its target: a turn not made lies there.
    """
    if match is None:
        return math.nan
    most = min(180.0, max(15.0, 1.25 * abs(math.degrees(region.motion.angle))))
    offset = match.offset if match.psnr >= FOUND else (0, 0)
    angle, fit = turned(wanted, mask, picture, offset, most)
    return abs(angle) if fit >= FOUND else math.nan


def located(original: Tensor, edited: Tensor, task: Task) -> tuple[Found, ...]:
    """Finds every region's content in the edit by template matching: from its centroid to where it is.

    Points alone have no content to look for: theirs is found nowhere.
    """
    if not task.regions:
        return tuple(Found(h.start, h.target, (math.nan, math.nan)) for h in task.handles)
    out = []
    wanted, own = carried(original, task.regions)
    for region, mask in zip(task.regions, own, strict=True):
        start = centroid(region.mask)
        target = apply(motion_matrix(region.motion), start)
        match = locate(wanted, mask, edited, _reach(region))
        there = (math.nan, math.nan)
        if match is not None and match.psnr >= FOUND:
            there = (target[0] + match.offset[0], target[1] + match.offset[1])
        out.append(Found(start, target, there))
    return tuple(out)


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
    return united([r.mask.float() for r in regions]) * (1 - target)


def united(masks: list[Tensor]) -> Tensor:
    """Marks what any of the masks has set."""
    return torch.stack(masks).amax(0)


def _reach(region: Region) -> int:
    """Computes how far to search: as far as an unmoved region lies from its target, and a quarter more."""
    centre = centroid(region.mask)
    return max(16, round(1.25 * math.dist(centre, apply(motion_matrix(region.motion), centre))))


def _lost(match: Match | None) -> str:
    if match is None:
        return "under 20 pixels of it are in the picture"
    return f"not found, the best place fits with {match.psnr:.1f} dB (under {FOUND:g})"


def compared(
    key: str,
    name: str,
    wanted: Tensor,
    original: Tensor,
    edited: Tensor,
    mask: Tensor,
    kinds: tuple[str, ...] = ("PSNR", "SSIM"),
    better: str = "",
    why: str = "",
) -> list[Line]:
    """Compares edit and no edit with `wanted` inside the mask.

    Outside it all are made equal, so that SSIM's windows at the rim judge the inside alone.
    """
    out = []
    for kind in kinds:
        function, digits, unit, way = KINDS[kind]
        x, y = (function(torch.where(mask > 0.5, wanted, p), p, mask) for p in (edited, original))
        said = hint(better or way, x, why)
        out.append(Line(f"{key}_{kind.lower()}", f"{name}, {kind}", x, y, digits, unit, said))
    return out


def referred(truth: Tensor, a: Tensor, b: Tensor, regions: tuple[Region, ...]) -> list[Line]:
    """Compares the edit with the right result: whole, where the content should be, where it was."""
    whole = torch.ones_like(a[0])
    out = compared("reference", "whole picture, to the reference", truth, a, b, whole, ALL)
    if not regions:
        return out
    _, own = carried(a, regions)
    there = united(own)
    out += compared("reference_target", "target region, to the reference", truth, a, b, there)
    left, name = vacated(regions, there), "vacated area, to the reference"
    why = "" if left.any() else COVERED
    out += compared("reference_vacated", name, truth, a, b, left, why=why)
    for i, (region, mask) in enumerate(zip(regions, own, strict=True)):
        which = (f" of region {i + 1}" if len(regions) > 1 else "") + ", to the reference"
        out += [
            replace(line, key=f"reference_{line.key}")
            for line in _placed(f"_{i + 1}", which, truth, mask, (b, a), region)
            if not line.key.startswith("fit")
        ]
    return out

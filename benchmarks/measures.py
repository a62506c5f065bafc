"""What a finished drag of a drawn scene is measured by, beside drag_core.bench.cases.measure()."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor

from drag_core.bench.cases import Case, measure
from drag_core.metrics.region import psnr, ssim
from drag_core.motion.geometry import motion_matrix, warp
from drag_core.motion.masks import grow

COLUMNS = ("target", "vacated", "edited", "background", "ssim", "centroid", "angle", "shadow")
BEYOND = 0.35  # rad on either side of a turn that are tried too
STEP = math.radians(1)
DARK = 0.03  # of 1: what counts as a shadow
FEWEST = 60  # px of shadow that must show for it to be measured


def measured(image: Tensor, case: Case) -> dict[str, float]:
    """Measures a picture (3, H, W) against the truth: dB, SSIM of the editable area, px, degrees, a share."""
    there = grow(case.truth_mask, 2)
    return measure(image, case) | {
        "edited": psnr(image, case.truth, case.editable),
        "ssim": ssim(image, case.truth, case.editable),
        "angle": angle_error(image, case, there),
        "shadow": shadow_left(image, case),
    }


def angle_error(image: Tensor, case: Case, area: Tensor) -> float:
    """Measures by how many degrees the thing is turned wrongly, by the turn at which it fits best.

    Tried in whole degrees from well before the start to beyond the truth. NaN where nothing turns.
    """
    asked = case.motion.angle
    if not asked:
        return math.nan
    first, last = min(0.0, asked) - BEYOND, max(0.0, asked) + BEYOND
    count = round((last - first) / STEP)
    best, found = math.inf, asked
    for k in range(count + 1):
        angle = first + k * STEP
        matrix = motion_matrix(replace(case.motion, angle=angle))
        mask = warp(case.mask[None, None], matrix, padding="zeros")[0, 0] * area
        if float(mask.sum()) < FEWEST:
            continue
        thing = warp(case.source[None], matrix, padding="border")[0]
        error = float(((thing - image).square().mean(0) * mask).sum() / mask.sum())
        # where the thing was turned out of the area fewer pixels would be compared: those count as wrong
        error += float(1 - mask.sum() / case.mask.sum()) * 0.05
        if error < best:
            best, found = error, angle
    return abs(math.degrees(found - asked))


def shadow_left(image: Tensor, case: Case) -> float:
    """Measures how much of the shadow that should be gone is still there: 0 none, 1 all of it.

    NaN where no shadow goes.
    """
    if case.with_shadow is None:
        return math.nan
    gone = (case.truth - case.source).mean(0)
    area = case.with_shadow * (1 - grow(case.mask, 3)) * (1 - grow(case.truth_mask, 3)) * (gone > DARK)
    if float(area.sum()) < FEWEST:
        return math.nan
    left = (case.truth - image).mean(0)
    return float((left * area).sum() / (gone * area).sum())

"""GoodDrag's Dragging Accuracy Index: whether the patch around each handle is now found around its target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..types import Point

RADII = (1, 5, 10, 20)


@dataclass(frozen=True)
class Dai:
    """GoodDrag's index in both its forms.

    paper: Eq. 8.
    script: what compute_DAI.py prints, Eq. 8 divided by the number of pairs once more.
    Both on pictures in [0, 1], lower is better, nan if no pair could be measured.
    """

    script: float
    paper: float
    pairs: int
    skipped: int


def dai(original: Tensor, edited: Tensor, pairs: Sequence[tuple[Point, Point]], radius: int) -> Dai:
    """Computes DAI (GoodDrag Eq. 8) of pictures (3, H, W) in [0, 1] over (handle, target) pairs.

    Per pair the squared differences of two patches of (1 + 2·radius)² pixels, summed over the three
    channels, per pixel of the patch. Points go to the nearest pixel. A pair whose patch leaves the picture is
    skipped and counted: the script fails there, and padding would change the number.
    """
    found = []
    for start, target in pairs:
        a, b = _patch(original, start, radius), _patch(edited, target, radius)
        if a is not None and b is not None:
            found.append(float((a.double() - b.double()).square().sum()) / (1 + 2 * radius) ** 2)
    used = len(found)
    paper = sum(found) / used if used else math.nan
    return Dai(paper / used if used else math.nan, paper, used, len(pairs) - used)


def _patch(image: Tensor, centre: Point, radius: int) -> Tensor | None:
    x, y = (math.floor(v + 0.5) for v in centre)
    h, w = image.shape[-2:]
    if not (radius <= x < w - radius and radius <= y < h - radius):
        return None
    return image[:, y - radius : y + radius + 1, x - radius : x + radius + 1]

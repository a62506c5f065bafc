"""Image fidelity of DragFlow (App. E.1) and the region distances of DragNeXt.

Pictures are (3, H, W) in [0, 1], masks (H, W) in {0, 1}. A mask is multiplied in [-1, 1], as the released
code does: what lies outside is mid-grey, and a distance over a small region is small. `distance` is given
the masked pictures in [-1, 1]; with LPIPS it is lpips.distance_of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ..motion.geometry import motion_matrix, warp
from ..motion.masks import moved as moved_mask
from ..ranges import check_mode
from ..types import DragError, Region
from .lpips import SIDE, Distance, resized

Variant = Literal["paper", "released"]
Cut = Literal["grey224", "bbox224"]


def if_bg(original: Tensor, edited: Tensor, editable: Tensor, distance: Distance) -> float:
    """Computes IF_bg (DragFlow eq. 31): 1 - the distance outside the editable mask B; higher is better."""
    kept = 1 - _binary(editable)
    return 1 - distance(*(_masked(x, kept) for x in (original, edited)))


def if_s2s(original: Tensor, edited: Tensor, regions: Sequence[Region], distance: Distance) -> float:
    """Computes IF_s2s (DragFlow eq. 30), the mean over the regions.

    1 - the distance inside a region's source; lower is better: what moved away is no longer there.
    """
    found = [distance(*(_masked(x, r.mask) for x in (original, edited))) for r in _some(regions)]
    return 1 - sum(found) / len(found)


def if_s2t(
    original: Tensor,
    edited: Tensor,
    regions: Sequence[Region],
    distance: Distance,
    variant: Variant = "paper",
    moved: Sequence[Tensor] | None = None,
) -> float:
    """Computes IF_s2t (DragFlow eq. 28, 29), the mean over the regions.

    1 - the distance between the carried source and the edit inside a region's target; higher is better.

    variant: "paper" masks the source before it is carried; "released" carries the whole picture, so that
        behind the region's rim what stood beside it is seen.
    moved: the masks (H, W) of the targets, where a data set brings them. None: the moved regions.
    """
    check_mode("variant", variant, Variant)
    there = [moved_mask(r) for r in _some(regions)] if moved is None else list(moved)
    if len(there) != len(regions):
        raise DragError(f"there are {len(regions)} regions and {len(there)} target masks: give one for each")
    found = []
    for region, target in zip(regions, there, strict=True):
        source = _masked(original, region.mask if variant == "paper" else torch.ones_like(region.mask))
        carried = warp(source[None], motion_matrix(region.motion), padding="zeros")[0]
        found.append(distance(carried * _binary(target).to(carried), _masked(edited, target)))
    return 1 - sum(found) / len(found)


def part(
    original: Tensor,
    edited: Tensor,
    mask: Tensor,
    other: Tensor,
    distance: Distance,
    cut: Cut = "grey224",
) -> float:
    """Computes the distance of `mask` in the original to `other` in the edit: DragNeXt's ue, ed, th and hh.

    ue: both the uneditable area, ed: both the editable area, hh: both the handle region, th: handle region
    and target region. The papers' IF is 1 - this. How they cut a region out is not published.

    cut: "grey224" leaves the pictures whole, mid-grey outside the masks; "bbox224" cuts each to the box of
        its mask and resizes it to 224x224, mid-grey outside the mask within.
    """
    check_mode("cut", cut, Cut)
    pair = (_masked(original, mask), _masked(edited, other))
    if cut == "bbox224":
        boxes = (_box(mask), _box(other))
        pair = tuple(
            resized(x[:, rows, columns], SIDE) for x, (rows, columns) in zip(pair, boxes, strict=True)
        )  # type: ignore[assignment]
    return distance(*pair)


def _masked(picture: Tensor, mask: Tensor) -> Tensor:
    return (picture * 2 - 1) * _binary(mask).to(picture)


def _binary(mask: Tensor) -> Tensor:
    return (mask > 0.5).float()


def _some(regions: Sequence[Region]) -> Sequence[Region]:
    if not regions:
        raise DragError("this fidelity is over the drag's regions and there are none: mark a region")
    return regions


def _box(mask: Tensor) -> tuple[slice, slice]:
    """Finds rows and columns of the tight box around the set pixels."""
    if not (mask > 0.5).any():
        raise DragError("a mask is empty, so that there is no part of the picture to compare")
    lines = [torch.nonzero((mask > 0.5).any(d))[:, 0] for d in (1, 0)]
    rows, columns = (slice(int(x[0]), int(x[-1]) + 1) for x in lines)
    return rows, columns

"""Super-pixels (SLIC) of a feature map, the patch of a point, and the editable mask that follows from a drag.

AdaptiveDrag §3.3-3.4. The features say what belongs together: any map (1, C, h, w) of the picture does (SAM
2, DINO, a UNet's block), and Lab colour where there is none. Labels are (H, W) int64, counted from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..types import DragError, Grid, Point, Task
from .masks import grow

Seeing = Callable[[Tensor], Tensor]  # a picture (1, 3, H, W) in [0, 1] -> a feature map (1, C, h, w) of it
COUNT = 200  # patches asked for (AdaptiveDrag's released code)
LONGEST = 256  # SLIC's longest side: above it the patches' edges gain nothing and the time grows
CHANNELS = 16  # principal components kept of a wide map


def lab(image: Tensor) -> Tensor:
    """Computes the CIE Lab colour (1, 3, H, W) of an RGB picture (1, 3, H, W) in [0, 1]."""
    rgb = image[0].detach().cpu().float().clamp(0, 1).permute(1, 2, 0).contiguous().numpy()
    return torch.from_numpy(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)).permute(2, 0, 1)[None]


def superpixels(
    features: Tensor, size: Grid, count: int = COUNT, compactness: float = 0.1, edges: bool = True
) -> Tensor:
    """Labels (H, W) about `count` connected patches of a picture of `size`.

    features: (1, C, h, w), which pixels of a patch are alike in.
    compactness: weighs nearness against likeness once the map's spread is 1: 0.01 follows every edge, 1 gives
        squares.

    Deterministic. Raises DragError where scikit-image is missing or the map is not finite.
    """
    if not torch.isfinite(features).all():
        raise DragError("the features for the super-pixels are not finite: choose another feature source")
    slic = _slic()
    share = min(1.0, LONGEST / max(size.height, size.width))
    work = Grid(max(1, round(size.height * share)), max(1, round(size.width * share)))
    maps = _principal(features.detach().float().cpu())
    maps = F.interpolate(maps, (work.height, work.width), mode="bilinear", align_corners=False)
    count = max(1, min(count, work.height * work.width // 4))
    found = slic(
        maps[0].permute(1, 2, 0).double().numpy(),
        n_segments=count,
        compactness=compactness,
        convert2lab=False,
        channel_axis=-1,
        start_label=0,
        enforce_connectivity=edges,
    )
    labels = torch.from_numpy(np.asarray(found, np.int64))
    if work == size:
        return labels
    return F.interpolate(labels[None, None].double(), (size.height, size.width), mode="nearest")[0, 0].long()


def _slic() -> Any:
    try:
        from skimage.segmentation import slic
    except ImportError:
        raise DragError(
            "super-pixels need scikit-image and it is not installed: run `pip install -r requirements.txt` "
            "in ComfyUI's Python (or `pip install scikit-image`)"
        ) from None
    return slic


def _principal(x: Tensor) -> Tensor:
    """Computes the map's principal components, at most CHANNELS of them, spread to 1 in all."""
    _, c, h, w = x.shape
    rows = x[0].flatten(1).T.double()
    rows = rows - rows.mean(0)
    if c > CHANNELS:
        _, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
        rows = rows @ vectors[:, -CHANNELS:]
    rows = rows / rows.square().sum(1).mean().sqrt().clamp_min(1e-9)
    return rows.T.reshape(1, -1, h, w).float()


def label_at(labels: Tensor, point: Point) -> int:
    """Returns the super-pixel under `point`; a point outside counts as the nearest pixel."""
    h, w = labels.shape
    x, y = (min(max(int(v + 0.5), 0), n - 1) for v, n in zip(point, (w, h), strict=True))
    return int(labels[y, x])


def patch_at(labels: Tensor, point: Point) -> Tensor:
    """Masks the super-pixel under `point`, (H, W) in {0, 1}."""
    return (labels == label_at(labels, point)).float()


def means(features: Tensor, *, labels: Tensor) -> Tensor:
    """Computes every patch's mean of `features` (1, C, h, w), spread to 1 in all, as (N, C).

    Zeros for labels that no pixel has.
    """
    maps = F.interpolate(_principal(features.detach().float().cpu()), tuple(labels.shape), mode="bilinear")
    rows, at = maps[0].flatten(1).T, labels.flatten()
    total = rows.new_zeros(int(at.max()) + 1, rows.shape[1]).index_add_(0, at, rows)
    return total / torch.bincount(at, minlength=len(total)).clamp_min(1)[:, None]


def neighbours(labels: Tensor) -> dict[int, list[int]]:
    """Lists the labels that share an edge with a label."""
    pairs = torch.cat(
        [
            torch.stack([labels[:, :-1].flatten(), labels[:, 1:].flatten()], 1),
            torch.stack([labels[:-1].flatten(), labels[1:].flatten()], 1),
        ]
    )
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    out: dict[int, list[int]] = {}
    for a, b in torch.unique(torch.cat([pairs, pairs.flip(1)]), dim=0).tolist():
        out.setdefault(a, []).append(b)
    return out


def around(points: Sequence[Point], *, labels: Tensor, features: Tensor, likeness: float) -> list[Tensor]:
    """Returns, for each point, the patch under it with those like it around it, (H, W) in {0, 1}.

    These are the patches connected to it through patches whose mean lies within `likeness` of its own (in
    units of the map's spread; 0: the one patch).
    """
    if likeness <= 0:
        return [patch_at(labels, point) for point in points]
    mean, links = means(features, labels=labels), neighbours(labels)
    out = []
    for point in points:
        first = label_at(labels, point)
        inside, edge = {first}, [first]
        while edge:
            here = edge.pop()
            for b in links.get(here, ()):
                if b not in inside and float((mean[b] - mean[first]).norm()) < likeness:
                    inside.add(b)
                    edge.append(b)
        out.append(_covered(labels, inside))
    return out


def _covered(labels: Tensor, wanted: set[int]) -> Tensor:
    """Masks the pixels of the `wanted` labels, (H, W) in {0, 1}."""
    return torch.isin(labels, torch.tensor(sorted(wanted))).float()


def swept(mask: Tensor, start: Point, target: Point) -> Tensor:
    """Covers all that `mask` does while it moves straight by `target` - `start`, (H, W) in {0, 1}."""
    dx, dy = target[0] - start[0], target[1] - start[1]
    steps = max(1, int(np.ceil(max(abs(dx), abs(dy)))))
    out = mask.clone()
    for k in range(1, steps + 1):
        out = torch.maximum(out, shifted(mask, round(dx * k / steps), round(dy * k / steps)))
    return out


def shifted(mask: Tensor, dx: int, dy: int) -> Tensor:
    """Moves `mask` (H, W) by whole pixels, zeros coming in."""
    h, w = mask.shape
    out = torch.zeros_like(mask)
    if abs(dx) < w and abs(dy) < h:
        out[max(dy, 0) : h + min(dy, 0), max(dx, 0) : w + min(dx, 0)] = mask[
            max(-dy, 0) : h + min(-dy, 0), max(-dx, 0) : w + min(-dx, 0)
        ]
    return out


def auto_mask(
    pairs: Sequence[tuple[Point, Point]],
    *,
    labels: Tensor,
    features: Tensor,
    likeness: float = 0.0,
    margin: int = 0,
) -> Tensor:
    """Finds what may change for these (handle, target) pairs, (H, W) in {0, 1} (AdaptiveDrag §3.3).

    It is the patches under the handles, extended along the lines to the targets, and the patches that the
    lines touch, grown by `margin` px.
    """
    if not pairs:
        raise DragError("an automatic mask follows from points and there is none: set a point pair")
    starts = [start for start, _ in pairs]
    own = around(starts, labels=labels, features=features, likeness=likeness)
    touched: set[int] = set()
    for (x0, y0), (x1, y1) in pairs:
        n = max(1, int(np.ceil(np.hypot(x1 - x0, y1 - y0))))
        touched |= {label_at(labels, (x0 + (x1 - x0) * k / n, y0 + (y1 - y0) * k / n)) for k in range(n + 1)}
    out = _covered(labels, touched)
    for mask, (start, target) in zip(own, pairs, strict=True):
        out = out.maximum(swept(mask, start, target))
    return grow(out, margin)


def divided(
    task: Task,
    features: Tensor,
    *,
    count: int = COUNT,
    likeness: float = 0.0,
    margin: int = 0,
    painted: bool = False,
) -> Task:
    """Gives `task` the super-pixels of its picture, and the automatic mask of its points (AdaptiveDrag §3.3).

    features: (1, C, h, w) of the picture. painted: what the user has said may change stays.
    """
    labels = superpixels(features, task.image, count)
    if painted:
        return replace(task, labels=labels)
    pairs = [(h.start, h.target) for h in task.handles]
    editable = auto_mask(pairs, labels=labels, features=features, likeness=likeness, margin=margin)
    return replace(task, labels=labels, editable=editable, automatic=False)

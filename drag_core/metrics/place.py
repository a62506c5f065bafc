"""Where a moved thing is in a picture.

It is found with the scene known without it, or by searching for what it looked like.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from ..motion.geometry import motion_matrix, warp
from ..motion.masks import centroid
from ..types import AffineMotion, Point
from .region import FEWEST

TIE = 1e-5  # mean squared errors this close count as equal: 0.8 of 255 grey levels

SHAKE = 2  # px that a turn may shift what is found


@dataclass(frozen=True)
class Match:
    """The best place of a template.

    offset: (dx, dy) in whole pixels from where it was expected.
    psnr: how well it fits there, in dB.
    """

    offset: tuple[int, int]
    psnr: float

    @property
    def distance(self) -> float:
        return math.hypot(*self.offset)


def residue_centroid(image: Tensor, empty: Tensor, area: Tensor) -> Point:
    """Finds the centroid of what `image` shows inside `area` and the scene without the thing does not.

    image: (3, H, W).
    empty: the same scene without the thing.
    area: (H, W).
    Pixels are weighted by the difference above 0.25 (summed over channels, at most 0.6). nan if there is
    nothing.
    """
    weight = ((image - empty).abs().sum(0) - 0.25).clamp(0, 0.6) * area
    total = float(weight.sum())
    if total < 3:
        return math.nan, math.nan
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in weight.shape), indexing="ij")
    return float((weight * x).sum()) / total, float((weight * y).sum()) / total


def locate(template: Tensor, mask: Tensor, image: Tensor, reach: int) -> Match | None:
    """Finds where in `image` (3, H, W) the set pixels of a template fit best.

    template: (3, H, W), at its expected place.
    mask: (H, W), its set pixels.
    reach: at most so many px away in x and y, and wholly inside the picture.

    The best fit has the least mean squared error over the set pixels. Of places that fit equally well, the
    nearest counts. None under 20 set pixels.

    Finds a shift only, and finds some place even where the thing is gone: the PSNR says which.
    """
    if int((mask > 0.5).sum()) < FEWEST:
        return None
    rows, columns = (np.flatnonzero((mask > 0.5).any(d).cpu().numpy()) for d in (1, 0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    y0, x0 = max(0, top - reach), max(0, left - reach)
    y1, x1 = min(mask.shape[0], bottom + reach), min(mask.shape[1], right + reach)
    cut = _array(template)[top:bottom, left:right]
    cover = np.ascontiguousarray(mask.cpu().numpy()[top:bottom, left:right] > 0.5).astype(np.float32)
    area = _array(image)[y0:y1, x0:x1]
    cost = cv2.matchTemplate(
        np.ascontiguousarray(area),
        np.ascontiguousarray(cut),
        cv2.TM_SQDIFF,
        mask=np.ascontiguousarray(np.repeat(cover[..., None], 3, 2)),
    )
    cost = np.maximum(cost / (3 * cover.sum()), 0)  # the transform behind it rounds
    ys, xs = np.nonzero(cost <= cost.min() + TIE)
    dy, dx = ys + y0 - top, xs + x0 - left
    i = int(np.argmin(dy * dy + dx * dx))
    error = float(cost[ys[i], xs[i]])
    return Match((int(dx[i]), int(dy[i])), -10 * math.log10(max(error, 1e-10)))


def turned(
    template: Tensor, mask: Tensor, image: Tensor, offset: tuple[int, int], most: float
) -> tuple[float, float]:
    """Finds by how many degrees what `image` shows at `offset` is turned against a template, to 0.25.

    Returns (degrees, PSNR of that fit in dB).

    template, mask: as for locate.
    offset: (dx, dy), where locate() found it.
    most: as far is looked to both sides.
    The fit is the best over turns about the mask's centroid and shifts of SHAKE px; of turns that fit
    equally well, the smallest counts. Positive turns +x towards +y.
    """
    (cx, cy), (dx, dy) = centroid(mask), offset
    y, x = torch.nonzero(mask > 0.5, as_tuple=True)
    reach = math.ceil(float(torch.hypot(x - cx, y - cy).max())) + SHAKE + 1
    left, top = round(cx) - reach, round(cy) - reach
    seen, wanted, cover = (
        _window(p, left + sx, top + sy, 2 * reach + 1)
        for p, sx, sy in ((image, dx, dy), (template, 0, 0), (mask[None].float(), 0, 0))
    )
    tried: dict[float, float] = {}

    def fit(angle: float) -> float:
        if angle not in tried:
            motion = AffineMotion(angle=math.radians(angle), anchor=(cx - left, cy - top))
            matrix = motion_matrix(motion)
            there = warp(cover[None], matrix, mode="nearest", padding="zeros")[0, 0]
            found = locate(warp(wanted[None], matrix, padding="border")[0], there, seen, SHAKE)
            tried[angle] = -math.inf if found is None else found.psnr
        return tried[angle]

    best = 0.0
    for width, step in ((most, 5.0), (4.0, 1.0), (0.75, 0.25)):
        count = math.ceil(width / step)
        angles = [best + i * step for i in range(-count, count + 1)]
        top_fit = max(fit(a) for a in angles)
        error = 10 ** (-top_fit / 10) + TIE
        best = min((a for a in angles if 10 ** (-fit(a) / 10) <= error), key=abs)
    return best, fit(best)


def _window(picture: Tensor, left: int, top: int, side: int) -> Tensor:
    """Cuts (C, side, side) from a picture, its border continued outside."""
    h, w = picture.shape[-2:]
    rows, columns = (torch.arange(at, at + side).clamp(0, n - 1) for at, n in ((top, h), (left, w)))
    return picture[:, rows][:, :, columns]


def _array(image: Tensor) -> np.ndarray:
    return image.detach().cpu().float().permute(1, 2, 0).numpy()

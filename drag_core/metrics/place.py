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

from ..types import Point
from .region import FEWEST

TIE = 1e-5  # mean squared errors this close count as equal: 0.8 of 255 grey levels


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


def _array(image: Tensor) -> np.ndarray:
    return image.detach().cpu().float().permute(1, 2, 0).numpy()

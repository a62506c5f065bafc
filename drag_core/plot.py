"""A small picture of numbers: the loss of every update."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import cv2
import numpy as np
import torch
from torch import Tensor


def loss_curve(
    losses: Sequence[float], levels: Sequence[int] = (), width: int = 384, height: int = 192
) -> Tensor:
    """(3, H, W) in [0, 1]: the loss from the first update to the last, zero at the bottom, ends in figures.

    `levels`: how many updates each noise level had; a line stands where a level ends, since losses of
    different levels don't compare.
    """
    canvas = np.full((height, width, 3), 255, np.uint8)
    finite = [x for x in losses if math.isfinite(x)]
    left, right, top, bottom = 12, width - 12, 30, height - 14
    cv2.line(canvas, (left, bottom), (right, bottom), (200, 200, 200), 1)
    if finite:
        high = max(max(finite), 1e-12)
        across = (right - left) / max(len(finite) - 1, 1)
        points = [
            (round(left + i * across), round(bottom - (bottom - top) * max(x, 0.0) / high))
            for i, x in enumerate(finite)
        ]
        for end in accumulate(levels):
            if 0 < end < len(finite):
                x = round(left + (end - 0.5) * across)
                cv2.line(canvas, (x, top), (x, bottom), (215, 215, 215), 1)
        if len(points) == 1:
            cv2.circle(canvas, points[0], 3, (40, 90, 220), -1, cv2.LINE_AA)
        cv2.polylines(canvas, [np.array(points, np.int32)], False, (40, 90, 220), 2, cv2.LINE_AA)
        said = f"loss {finite[0]:.4g} to {finite[-1]:.4g}, {len(finite)} updates"
        said += f", {sum(n > 0 for n in levels)} levels" if len(levels) > 1 else ""
    else:
        said = "no update was made"
    cv2.putText(canvas, said, (left, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (25, 25, 25), 1, cv2.LINE_AA)
    return torch.from_numpy(canvas).permute(2, 0, 1) / 255

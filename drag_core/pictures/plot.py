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
    """Draws the loss from the first update to the last, (3, H, W) in [0, 1].

    Zero is at the bottom, the ends are in figures.

    levels: how many updates each noise level had; a line stands where a level ends, since losses of different
        levels don't compare.
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


LINES = ((200, 80, 40), (40, 140, 60), (40, 90, 220), (190, 130, 20), (140, 60, 170))  # RGB


def tap_chart(
    names: Sequence[str],
    series: Sequence[tuple[str, tuple[Sequence[float], Sequence[float]]]],
    best: str,
    width: int = 960,
    height: int = 480,
) -> Tensor:
    """Draws PCK above and loss ratio below, from 0 to 1, as (3, H, W) in [0, 1].

    names: the taps, in the order of the model.
    series: a line for each noise level: what it is called, (PCK, ratio).
    best: the tap that a bar marks.
    """
    canvas = np.full((height, width, 3), 255, np.uint8)
    left, right, face, dark = 46, width - 14, cv2.FONT_HERSHEY_SIMPLEX, (25, 25, 25)
    across = (right - left) / max(len(names) - 1, 1)
    middle = (height - 58) // 2 + 22
    panels = (("PCK", 40, middle - 12), ("loss ratio", middle + 16, height - 44))
    every = max(1, round(len(names) * 90 / (right - left)))
    for which, (said, top, bottom) in enumerate(panels):
        if best in names:
            x = round(left + names.index(best) * across)
            cv2.rectangle(canvas, (x - 4, top), (x + 4, bottom), (255, 232, 150), -1)
        for share in (0.0, 0.5, 1.0):
            y = round(bottom - share * (bottom - top))
            cv2.line(canvas, (left, y), (right, y), (215, 215, 215), 1)
            cv2.putText(canvas, f"{share:g}", (left - 28, y + 4), face, 0.38, dark, 1, cv2.LINE_AA)
        cv2.putText(canvas, said, (left, top - 6), face, 0.42, dark, 1, cv2.LINE_AA)
        for k, (_, lines) in enumerate(series):
            points = [
                (round(left + i * across), round(bottom - (bottom - top) * min(max(v, 0.0), 1.0)))
                for i, v in enumerate(lines[which])
            ]
            colour = LINES[k % len(LINES)]
            cv2.polylines(canvas, [np.array(points, np.int32)], False, colour, 2, cv2.LINE_AA)
            for point in points:
                cv2.circle(canvas, point, 3, colour, -1, cv2.LINE_AA)
    for i in range(0, len(names), every):
        x = round(left + i * across)
        start = min(x - 14, right - 8 * len(names[i]))
        cv2.putText(canvas, names[i], (max(start, 2), height - 28), face, 0.36, dark, 1, cv2.LINE_AA)
    for k, (called, _) in enumerate(series):
        at = (left + 130 * k, height - 8)
        cv2.putText(canvas, called, at, face, 0.42, LINES[k % len(LINES)], 1, cv2.LINE_AA)
    cv2.putText(canvas, f"best: {best}", (left, 17), face, 0.48, dark, 1, cv2.LINE_AA)
    return torch.from_numpy(canvas).permute(2, 0, 1) / 255

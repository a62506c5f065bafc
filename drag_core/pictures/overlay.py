"""Pictures that show a drag; strips and captions.

The source region is blue, the target region green, with an arrow between.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from ..motion.masks import moved
from ..types import Point, Task

BLUE, GREEN, ORANGE, RED = (0.25, 0.45, 1.0), (0.2, 0.85, 0.35), (1.0, 0.6, 0.1), (1.0, 0.15, 0.3)


def overlay(image: Tensor, task: Task) -> Tensor:
    """Draws the instruction on a picture (3, H, W) in [0, 1]."""
    out = image.clone()
    for region in task.regions:
        out = _tint(out, region.mask, BLUE)
        out = _tint(out, moved(region), GREEN)
    canvas = np.ascontiguousarray(out.permute(1, 2, 0).cpu().numpy())
    for handle in task.handles:
        _arrow(canvas, handle.start, handle.target)
    if task.editable is not None:
        _outline(canvas, task.editable, (1.0, 1.0, 1.0), 1)
    return torch.from_numpy(canvas).permute(2, 0, 1).to(image)


def outlines(image: Tensor, task: Task) -> Tensor:
    """Draws the outlines of a drag on a picture (3, H, W) in [0, 1], its colours left to see.

    Source regions are outlined blue, targets green, with arrows.
    """
    canvas = np.array(image.permute(1, 2, 0).cpu().numpy(), np.float32, order="C")
    for region in task.regions:
        _outline(canvas, region.mask, BLUE, 2)
        _outline(canvas, moved(region), GREEN, 2)
    for handle in task.handles:
        _arrow(canvas, handle.start, handle.target)
    return torch.from_numpy(canvas).permute(2, 0, 1).to(image)


def match_arrows(image: Tensor, found: Sequence[tuple[Point, Point, Point]]) -> Tensor:
    """Draws on the edit (3, H, W) in [0, 1] where content was to go and where it was found.

    found: (start, target, found) each, in pixels. An orange arrow goes from start to target, a red line from
    target to what was found, which a red cross marks; nan: it was found nowhere, only the arrow is drawn.
    """
    canvas = np.array(image.permute(1, 2, 0).cpu().numpy(), np.float32, order="C")
    for start, target, there in found:
        _arrow(canvas, start, target)
        if not math.isfinite(there[0] + there[1]):
            continue
        at, goal = ((round(p[0]), round(p[1])) for p in (there, target))
        for colour, width in (((0.0, 0.0, 0.0), 4), (RED, 2)):
            cv2.line(canvas, goal, at, colour, width, cv2.LINE_AA)
            cv2.drawMarker(canvas, at, colour, cv2.MARKER_TILTED_CROSS, 13, width, cv2.LINE_AA)
    return torch.from_numpy(canvas).permute(2, 0, 1).to(image)


def _outline(canvas: np.ndarray, mask: Tensor, colour: tuple[float, float, float], width: int) -> None:
    pixels = mask.cpu().numpy().astype(np.uint8)
    edges, _ = cv2.findContours(pixels, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, edges, -1, colour, width)


def _tint(image: Tensor, mask: Tensor, colour: tuple[float, float, float]) -> Tensor:
    return image * (1 - 0.45 * mask) + 0.45 * mask * torch.tensor(colour).to(image)[:, None, None]


def _arrow(canvas: np.ndarray, start: Point, end: Point) -> None:
    far = 1 << 14  # OpenCV's line ends are small integers; far outside is far outside
    a, b = (tuple(round(min(max(v, -far), far)) for v in p) for p in (start, end))
    for colour, width in (((0.0, 0.0, 0.0), 4), (ORANGE, 2)):
        cv2.arrowedLine(canvas, a, b, colour, width, cv2.LINE_AA, tipLength=0.25)


def strip(pictures: list[Tensor], captions: list[str], gap: int = 4) -> Tensor:
    """Puts pictures (3, H, W) side by side under their captions."""
    cells = []
    for picture, caption in zip(pictures, captions, strict=True):
        bar = np.full((18, picture.shape[-1], 3), 255, np.uint8)  # OpenCV 5 writes text on bytes only
        cv2.putText(bar, caption, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (25, 25, 25), 1, cv2.LINE_AA)
        cells += [
            torch.cat([torch.from_numpy(bar).permute(2, 0, 1) / 255, picture.cpu().float()], 1),
            torch.ones(3, picture.shape[-2] + 18, gap),
        ]
    return torch.cat(cells[:-1], 2)


def stack(rows: list[Tensor], gap: int = 4) -> Tensor:
    """Puts rows of one width one under the other."""
    spaced: list[Tensor] = []
    for row in rows:
        spaced += [row, torch.ones(3, gap, row.shape[-1])]
    return torch.cat(spaced[:-1], 1)

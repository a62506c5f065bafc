"""Cut out what a drag needs, at the model's size, and say the drag in the cut-out's pixels.

The rectangle has exactly the proportions of the resized crop, so that one factor scales x and y alike: a turn
stays a turn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..motion.geometry import apply
from ..motion.masks import touched
from ..motion.task import user_weights, weighted
from ..types import DragError, Grid, Point, Task
from .overlay import ORANGE

SMALLEST = 64  # px of the original: a smaller cut-out shows the model nothing of its surroundings
Span = tuple[int, int]  # first pixel, number of pixels


@dataclass(frozen=True)
class Crop:
    """A rectangle of whole pixels of the picture `original`, resized to `size`.

    Its scale is size.width / width = size.height / height.

    Where no rectangle of these proportions lies inside the picture, it reaches past it: x or y below 0, or
    ends beyond.
    """

    x: int
    y: int
    width: int
    height: int
    size: Grid
    original: Grid

    @property
    def scale(self) -> float:
        return self.size.width / self.width

    @property
    def unscaled(self) -> Crop:
        """The same rectangle in the original's own pixels."""
        return replace(self, size=Grid(self.height, self.width))

    @property
    def reaches_past(self) -> bool:
        ends = self.x + self.width > self.original.width or self.y + self.height > self.original.height
        return self.x < 0 or self.y < 0 or ends


def choose_crop(task: Task, side: int = 512, margin: float = 25.0, multiple: int = 16) -> Crop:
    """Chooses the crop around sources, targets, handles and editable mask.

    side: the resized crop has about side·side pixels; 0: it is not resized.
    margin: what is added on every side, in percent of the rectangle's mean side, as far as the picture
        reaches.
    multiple: the crop's sides are multiples of this.
    Raises DragError where the numbers or the picture allow no crop.
    """
    height, width = task.image.height, task.image.width
    if multiple < 1 or min(height, width) < multiple:
        raise DragError(
            f"the picture is {width}x{height} px and the crop's sides must be multiples of {multiple} px: "
            f"use a larger picture, or a smaller multiple of at least 1"
        )
    if side != 0 and side < multiple:
        raise DragError(f"side is {side} px; it must be 0 (keep the size) or at least {multiple} px")
    if not 0 <= margin <= 1000:
        raise DragError(f"margin is {margin:g} percent; it must be from 0 to 1000")
    xs, ys = _needed(task)
    extra = margin / 100 * (xs[1] + ys[1]) / 2
    must, want = (xs[1], ys[1]), (_wanted(xs, extra, width), _wanted(ys, extra, height))
    if side == 0:
        w, h = _whole(want[0], must[0], width, multiple), _whole(want[1], must[1], height, multiple)
        size = Grid(h, w)
    else:
        w, h, size = _proportions(must, want, task.image, side, multiple)
    return Crop(_placed(xs, w, width), _placed(ys, h, height), w, h, size, task.image)


def _needed(task: Task) -> tuple[Span, Span]:
    """Finds the smallest rectangle around everything the drag touches, along x and along y."""
    if task.editable is None:
        return (0, task.image.width), (0, task.image.height)
    masks = [task.editable, *(touched(r) for r in task.regions)]
    union = torch.stack([m.cpu() > 0.5 for m in masks]).any(0)
    for x, y in (p for h in task.handles for p in (h.start, h.target)):
        column = min(max(round(x), 0), task.image.width - 1)
        union[min(max(round(y), 0), task.image.height - 1), column] = True
    if not union.any():
        raise DragError("the regions are empty: there is nothing to cut out")
    spans = [torch.nonzero(union.any(dim))[:, 0] for dim in (0, 1)]
    along = [(int(s[0]), int(s[-1] - s[0]) + 1) for s in spans]
    return along[0], along[1]


def _wanted(span: Span, extra: float, side: int) -> int:
    """Adds the margin to a length, within the picture and not below SMALLEST."""
    first, last = max(span[0] - extra, 0.0), min(span[0] + span[1] + extra, float(side))
    return min(max(math.ceil(last - first), SMALLEST), side)


def _whole(want: int, must: int, side: int, multiple: int) -> int:
    """Chooses a multiple for a length.

    That is the wanted length rounded up, else the longest that fits, else what holds all of `must`.
    """
    up, fits = -(-want // multiple) * multiple, side // multiple * multiple
    return up if up <= side else fits if fits >= must else -(-must // multiple) * multiple


def _proportions(
    must: tuple[int, int], want: tuple[int, int], image: Grid, side: int, multiple: int
) -> tuple[int, int, Grid]:
    """Chooses the crop's size so that one factor scales both sides.

    Tries sizes (a, b)·multiple near the wanted one; a rectangle of that ratio needs whole t·(a, b)/gcd(a, b)
    pixels. Takes the one that reaches past the picture least, then the one nearest to the wanted shape and
    area.

    Returns width and height of the rectangle, and the crop's size.
    """
    ratio = math.sqrt(want[0] / want[1])
    ideal = (side * ratio / multiple, side / ratio / multiple)
    choices = []
    ranges = [range(max(1, math.floor(0.85 * n)), max(1, math.ceil(1.15 * n)) + 1) for n in ideal]
    for a in ranges[0]:
        for b in ranges[1]:
            g = math.gcd(a, b)
            p, q = a // g, b // g
            wanted = max(-(-want[0] // p), -(-want[1] // q))
            needed = max(-(-must[0] // p), -(-must[1] // q))
            t = max(min(wanted, image.width // p, image.height // q), needed)
            w, h = t * p, t * q
            past = w * h - min(w, image.width) * min(h, image.height)
            off = abs(math.log(w * h / (want[0] * want[1])))
            off += abs(math.log(a * b / (ideal[0] * ideal[1])))
            choices.append((past, off, w, h, a * multiple, b * multiple))
    _, _, w, h, size_w, size_h = min(choices)
    return w, h, Grid(size_h, size_w)


def _placed(span: Span, length: int, side: int) -> int:
    """Places a stretch of `length` around the span and returns its first pixel.

    It is centred, then moved into the picture.
    """
    first = span[0] + (span[1] - length) // 2
    return min(max(first, min(0, side - length)), max(0, side - length))


def to_crop(crop: Crop) -> Tensor:
    """Computes (3, 3) float64: pixel-centre coordinates of the original -> of the resized crop."""
    k = crop.scale
    return torch.tensor(
        [[k, 0, k * (0.5 - crop.x) - 0.5], [0, k, k * (0.5 - crop.y) - 0.5], [0, 0, 1]], dtype=torch.float64
    )


def cut(image: Tensor, crop: Crop) -> Tensor:
    """Cuts the crop, at its size, out of (1, C, H, W) in [0, 1].

    Beyond the picture its border is repeated.
    """
    out = _window(image, crop, "replicate")
    if out.shape[-2:] == (crop.size.height, crop.size.width):
        return out
    size = (crop.size.height, crop.size.width)
    return F.interpolate(out, size, mode="bicubic", antialias=crop.scale < 1).clamp(0, 1)


def _window(x: Tensor, crop: Crop, mode: str) -> Tensor:
    height, width = crop.original.height, crop.original.width
    if x.shape[-2:] != (height, width):
        raise DragError(
            f"the picture is {x.shape[-1]}x{x.shape[-2]} and the regions are drawn on {width}x{height}: "
            f"connect the picture that they were drawn on"
        )
    x1, y1 = crop.x + crop.width, crop.y + crop.height
    beyond = [max(n, 0) for n in (-crop.x, x1 - width, -crop.y, y1 - height)]
    inside = x[..., max(crop.y, 0) : min(y1, height), max(crop.x, 0) : min(x1, width)]
    return F.pad(inside, beyond, mode=mode) if any(beyond) else inside.clone()


def task_in(task: Task, crop: Crop) -> Task:
    """Turns the drag into the crop's pixels: masks, motions, handles, editable mask; γ as of the crop."""
    matrix = to_crop(crop)

    def at(p: Point) -> Point:
        return apply(matrix, p)

    def shifted(p: Point) -> Point:
        return p[0] * crop.scale, p[1] * crop.scale

    regions = [
        replace(
            r,
            mask=mask_in(r.mask, crop),
            motion=replace(
                r.motion,
                shift=shifted(r.motion.shift),
                anchor=at(r.motion.anchor),
                path=tuple(map(shifted, r.motion.path)),
            ),
        )
        for r in task.regions
    ]
    handles = tuple(
        replace(
            h,
            start=at(h.start),
            target=at(h.target),
            region=None if h.region is None else mask_in(h.region, crop),
        )
        for h in task.handles
    )
    editable = None if task.editable is None else mask_in(task.editable, crop)
    shadow = None if task.shadow is None else mask_in(task.shadow, crop)
    labels = None if task.labels is None else _labels_in(task.labels, crop)
    moving = weighted(regions, user_weights(task.regions))
    return Task(
        crop.size,
        moving,
        handles,
        editable,
        shadow=shadow,
        automatic=task.automatic,
        labels=labels,
        prompts=task.prompts,
    )


def _labels_in(labels: Tensor, crop: Crop) -> Tensor:
    """Cuts a map of super-pixels (H, W); a cell has the label of the nearest pixel."""
    window = _window(labels[None, None].double().cpu(), crop, "replicate")
    return F.interpolate(window, (crop.size.height, crop.size.width), mode="nearest")[0, 0].long()


def mask_in(mask: Tensor, crop: Crop) -> Tensor:
    """Cuts a mask (H, W): the cells that are more than half as full as its fullest.

    That is half set, unless all of it is thin.
    """
    share = _window(mask[None, None].float().cpu(), crop, "constant")
    size = (crop.size.height, crop.size.width)
    if share.shape[-2:] != size:
        # a cell's mean where it shrinks, straight edges between pixel centres where it grows
        share = F.interpolate(share, size, mode="bilinear", antialias=crop.scale < 1)
    return (share[0, 0] > share.max() / 2).float()


def framed(image: Tensor, crop: Crop) -> Tensor:
    """Draws the crop's rectangle on a picture (3, H, W) in [0, 1]."""
    canvas = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy()).copy()
    last = (crop.x + crop.width - 1, crop.y + crop.height - 1)
    thick = max(2, round(min(canvas.shape[:2]) / 256))
    for colour, width in (((0.0, 0.0, 0.0), thick + 2), (ORANGE, thick)):
        cv2.rectangle(canvas, (crop.x, crop.y), last, colour, width)
    return torch.from_numpy(canvas).permute(2, 0, 1).to(image)


def notes_of(crop: Crop) -> tuple[str, ...]:
    """Says what was cut, in sentences for the user."""
    notes = [
        f"{crop.width}x{crop.height} px at ({crop.x}, {crop.y}) are edited as "
        f"{crop.size.width}x{crop.size.height} px, {crop.scale:.2f} times as large"
    ]
    if crop.reaches_past:
        notes.append(
            "no crop whose sides fit the model lies inside the picture: its border is repeated over "
            "a few pixels"
        )
    if crop.scale < 0.5:
        notes.append(
            "the edited part will be softer than the picture: the crop is shrunk to less than half; a larger "
            "side or a smaller editable mask keeps more detail"
        )
    return tuple(notes)

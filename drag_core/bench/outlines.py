"""Region pictures to polygons: reading, connected parts, outlines.

Masks are (H, W) uint8 in {0, 1}, points (x, y) pixels.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ..pictures.files import read_picture
from ..types import DragError, Point

Mask = NDArray[np.uint8]
Labels = NDArray[np.int32]
Found = tuple[dict[str, Any], tuple[str, ...]]  # our document's data, and notes
MODES = {"none": "everything may change", "adaptive": "what may change follows from the regions"}
EMPTY = f"the mask is empty: {MODES['none']}"
SPECK = 5  # px: smaller parts count only if a point lies on them (DragFlow's code drops them)


def mask_picture(path: Path) -> Mask:
    """Reads a mask from a picture.

    Set is what is brighter than 1 of 255, as in DragFlow's code, or above 0 in a picture of zeros and ones.
    Clear pixels are unset.
    """
    picture = read_picture(path)
    level = picture.rgb.amax(0)
    if picture.alpha is not None:
        level = torch.minimum(level, picture.alpha)
    out: Mask = (level > min(1, int(level.max()) // 2)).numpy().astype(np.uint8)
    return out


def size_of(mask: Mask) -> dict[str, int]:
    """Makes our JSON's image entry."""
    return {"width": mask.shape[1], "height": mask.shape[0]} if mask.size else {}


def editable_in(path: Path, otherwise: str = "none") -> Found:
    """Makes our JSON's image and editable entries.

    otherwise: the mode where the mask is missing or empty; the note says which of both.
    """
    if not path.is_file():
        note = f"there is no {path.name}: {MODES[otherwise]}"
        return {"image": {}, "editable": {"mode": otherwise}}, (note,)
    mask = mask_picture(path)
    if not mask.any():
        empty = EMPTY if otherwise == "none" else f"{path.name} is empty: {MODES[otherwise]}"
        return {"image": size_of(mask), "editable": {"mode": otherwise}}, (empty,)
    return {"image": size_of(mask), "editable": {"mode": "painted", "polygons": outlines(mask)}}, ()


def components(mask: Mask) -> Labels:
    """Labels 8-connected parts, numbered from 1; 0 elsewhere."""
    return np.asarray(cv2.connectedComponents(mask, connectivity=8, ltype=cv2.CV_32S)[1], np.int32)


def part_at(labels: Labels, p: Point) -> Mask:
    """Finds the part that contains `p`, or else the nearest one."""
    x, y = round(p[0]), round(p[1])
    if 0 <= y < labels.shape[0] and 0 <= x < labels.shape[1] and labels[y, x]:
        return np.asarray(labels == labels[y, x], np.uint8)
    area = np.bincount(labels.ravel())[1:]
    if len(area) == 0:
        raise DragError("the region picture is empty: paint the region that shall move")
    large = np.concatenate([[False], (area >= SPECK) | (area.max() < SPECK)])
    ys, xs = np.nonzero(large[labels])
    i = ((xs - p[0]) ** 2 + (ys - p[1]) ** 2).argmin()
    return np.asarray(labels == labels[ys[i], xs[i]], np.uint8)


def outlines(mask: Mask) -> list[list[list[int]]]:
    """Returns polygons whose union, drawn with their edges, is exactly the mask.

    A cut at the first column of every hole opens it.
    """
    contours, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    holes = [c for c, links in zip(contours, tree[0], strict=True) if links[3] >= 0] if len(contours) else []
    polygons = []
    for left, right in pairwise(sorted({0, mask.shape[1], *(int(c[:, 0, 0].min()) + 1 for c in holes)})):
        for c in cv2.findContours(
            np.ascontiguousarray(mask[:, left:right]), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )[0]:
            corners = (c[:, 0] + np.array([left, 0])).tolist()
            polygons.append(corners + [corners[-1]] * (3 - len(corners)))
    return polygons


def inner_pixel(part: Mask, centre: Point) -> list[int]:
    """Returns the pixel at `centre` if it belongs to the part, else the part's deepest."""
    x, y = round(centre[0]), round(centre[1])
    if not part[y, x]:
        depth = cv2.distanceTransform(np.pad(part, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
        y, x = (int(v) for v in np.unravel_index(depth.argmax(), depth.shape))
    return [x, y]

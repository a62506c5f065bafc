"""A case as the drag instruction that a user would have drawn."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ..motion.geometry import apply, motion_matrix
from ..motion.instruction import DragInstruction, RegionSpec, Shape
from ..motion.masks import centroid
from ..types import Point
from .cases import Case

Polygons = tuple[tuple[Point, ...], ...]


def instruction_of(case: Case) -> DragInstruction:
    """Writes the thing's outlines as polygons, its motion as relocation, rotation or scale about its anchor.

    In lit scenes holes are cut out; in plain ones they move along, as ever.
    """
    mask = case.mask.numpy().astype(np.uint8)
    polygons = _outlines(mask)
    motion, shape = case.motion, Shape(polygons=polygons)
    if case.with_shadow is not None:
        shape = Shape(polygons=polygons, holes=_outlines(_filled(polygons, mask) * (1 - mask)))
    if motion.angle:
        spec = RegionSpec(shape, "rotation", anchor=motion.anchor, angle=round(math.degrees(motion.angle), 3))
    elif motion.scale != (1.0, 1.0):
        spec = RegionSpec(shape, "scale", anchor=motion.anchor, scale=motion.scale)
    else:
        spec = RegionSpec(shape, "relocation", target=apply(motion_matrix(motion), centroid(case.mask)))
    size = case.mask.shape
    return DragInstruction(width=size[1], height=size[0], regions=(spec,))


def _outlines(mask: np.ndarray) -> Polygons:
    """Lists the outer outlines of the mask's pieces, without those of one or two pixels."""
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return tuple(tuple((float(x), float(y)) for x, y in line[:, 0]) for line in found if len(line) > 2)


def _filled(polygons: Polygons, like: np.ndarray) -> np.ndarray:
    out = np.zeros_like(like)
    for polygon in polygons:
        cv2.fillPoly(out, [np.array(polygon, np.int32)], 1)
    return out

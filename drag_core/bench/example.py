"""A case as the drag instruction that a user would have drawn."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ..motion.geometry import apply, motion_matrix
from ..motion.instruction import DragInstruction, RegionSpec, Shape
from ..motion.masks import centroid
from .cases import Case


def instruction_of(case: Case) -> DragInstruction:
    """Writes the thing's outline as polygon, its motion as relocation, rotation or scale about its anchor."""
    mask = case.mask.numpy().astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    polygons = tuple(
        tuple((float(x), float(y)) for x, y in outline[:, 0]) for outline in outlines if len(outline) > 2
    )
    motion, shape = case.motion, Shape(polygons=polygons)
    if motion.angle:
        spec = RegionSpec(shape, "rotation", anchor=motion.anchor, angle=round(math.degrees(motion.angle), 3))
    elif motion.scale != (1.0, 1.0):
        spec = RegionSpec(shape, "scale", anchor=motion.anchor, scale=motion.scale)
    else:
        spec = RegionSpec(shape, "relocation", target=apply(motion_matrix(motion), centroid(case.mask)))
    size = case.mask.shape
    return DragInstruction(width=size[1], height=size[0], regions=(spec,))

"""A photograph and a drag on it: scikit-image's picture of a rocket, one of its masts moved.

The embedded models have not been trained on it. It is SpaceX's, in the public domain.
"""

from __future__ import annotations

import importlib

import torch
from torch import Tensor

from ..motion.instruction import DragInstruction, RegionSpec, Shape
from ..motion.masks import centroid
from ..motion.task import draw
from ..types import DragError, Grid

LEFT, TOP, SIDE = 292, 92, 256  # of the crop, pixels of the photograph
# the mast's outline in the crop, drawn by hand a pixel or two outside; the sky between its bars goes along
MAST = (
    (147.5, 29.5),
    (158.5, 29.5),
    (160.0, 60.0),
    (162.0, 98.5),
    (166.0, 98.5),
    (168.5, 136.0),
    (181.0, 257.0),
    (146.5, 257.0),
    (148.0, 136.0),
    (148.0, 98.5),
    (153.0, 98.5),
    (150.8, 34.5),
    (147.5, 34.5),
)
RIGHT = 44.0  # px that it is moved by


def photograph() -> tuple[Tensor, DragInstruction]:
    """Loads the crop (1, 3, 256, 256) in [0, 1] and the drag on it.

    Raises DragError where scikit-image is not installed.
    """
    try:
        data = importlib.import_module("skimage.data")
    except ImportError as error:
        raise DragError("the photograph comes with scikit-image: pip install scikit-image") from error
    whole = torch.from_numpy(data.rocket()).permute(2, 0, 1).float()[None] / 255
    shape = Shape(polygons=(MAST,))
    x, y = centroid(draw(shape, Grid(SIDE, SIDE)))
    drag = RegionSpec(shape, "relocation", target=(x + RIGHT, y), label="mast")
    return (
        whole[:, :, TOP : TOP + SIDE, LEFT : LEFT + SIDE],
        DragInstruction(width=SIDE, height=SIDE, regions=(drag,)),
    )

"""A known shadow moved with its thing: how much it darkens, read from the picture and put at the target."""

from __future__ import annotations

import cv2
import torch
from torch import Tensor

from ..motion.geometry import sample, sampling_grid
from ..motion.masks import BEYOND, grow
from ..types import Grid, Point, Region, Task
from .inpaint import membrane

SOFT = 2.0  # px of 256 that the darkening is smoothed by: texture is the ground's, not the shadow's
EDGE = 2  # px beside the thing whose colours are half its own
BLACK = 0.02  # colours below it say nothing of how much they were darkened


def darkening(image: Tensor, filled: Tensor, thing: Tensor, shadow: Tensor) -> Tensor:
    """Computes what a shadow lets through, (3, H, W) in [0, 1]; 1 beyond it.

    image, filled (3, H, W): with the shadow and with thing and shadow painted over.
    thing, shadow: (H, W) in {0, 1}.
    Under the thing it is what goes on smoothly from around it, since there a turn may bare it.
    """
    rim = grow(thing, EDGE)
    seen = grow(shadow, BEYOND) * (1 - rim)
    ratio = (image / filled.clamp_min(BLACK)).clamp(0, 1)
    whole = membrane(torch.where(seen > 0.5, ratio, torch.ones_like(ratio)), rim)
    sigma = SOFT * max(shadow.shape) / 256
    soft = cv2.GaussianBlur(whole.movedim(0, -1).contiguous().cpu().numpy(), (0, 0), sigma)
    return torch.from_numpy(soft).to(image).movedim(-1, 0).clamp(0, 1)


def moved_by(region: Region, centre: Point, there: Point) -> Tensor:
    """Builds the (3, 3) motion of a region's shadow: its scale and its middle's way.

    A turn turns the thing, not the sun.
    """
    (x, y), (sx, sy) = centre, region.motion.scale
    return torch.tensor(
        [[sx, 0.0, there[0] - sx * x], [0.0, sy, there[1] - sy * y], [0.0, 0.0, 1.0]], dtype=torch.float64
    )


def cast(out: Tensor, darker: Tensor, matrix: Tensor) -> Tensor:
    """Darkens `out` (3, H, W) by `darker` (3, H, W), moved by `matrix`."""
    points = sampling_grid(matrix, Grid(*out.shape[-2:]))
    return out * (1 - sample((1 - darker)[None], points, padding="zeros"))


def shares(task: Task) -> list[Tensor]:
    """Gives every region the part of the task's shadow that lies nearest to it, (H, W) in {0, 1} each."""
    assert task.shadow is not None
    away = [
        cv2.distanceTransform((r.mask <= 0.5).cpu().numpy().astype("uint8"), cv2.DIST_L2, 5)
        for r in task.regions
    ]
    nearest = torch.stack([torch.from_numpy(a) for a in away]).argmin(0)
    return [task.shadow * (nearest == k).to(task.shadow) for k in range(len(task.regions))]

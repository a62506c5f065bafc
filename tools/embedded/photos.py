"""Crops of the photographs that scikit-image brings along: a small share of what the trainings see.

Only those that scikit-image's own notes (the docstrings of skimage.data) call CC0 or in the public domain.
Two are held out for measuring. Without scikit-image the trainings go on without photographs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from drag_core.types import DragError

CC0, PUBLIC, NASA = "CC0", "public domain", "public domain, NASA"
TRAINED = {
    "astronaut": NASA,
    "brick": CC0,
    "camera": CC0,
    "chelsea": CC0,
    "grass": CC0,
    "gravel": CC0,
    "hubble_deep_field": NASA,
    "retina": CC0,
}
HELD = {"coffee": CC0, "rocket": PUBLIC}
GROUPS = 6  # photographs in one draw, at most


@dataclass(frozen=True)
class Photos:
    """Photographs (1, 3, H, W) in [0, 1] on the device, from which crops are drawn."""

    images: tuple[Tensor, ...]

    def draw(self, count: int, side: int, g: torch.Generator) -> Tensor:
        """Draws crops (count, 3, side, side) in [0, 1], turned, scaled, mirrored and recoloured."""
        parts, groups = [], min(count, GROUPS)
        for k in range(groups):
            image = self.images[int(torch.randint(len(self.images), (), generator=g))]
            parts.append(crops(image, count // groups + (k < count % groups), side, g))
        return torch.cat(parts) if parts else torch.zeros(0, 3, side, side)


def crops(image: Tensor, count: int, side: int, g: torch.Generator) -> Tensor:
    """Draws `count` crops of one photograph (1, 3, H, W)."""
    h, w = image.shape[-2:]
    r = torch.rand(count, 6, generator=g).to(image.device)
    tint = torch.rand(count, 3, 1, 1, generator=g).to(image.device)
    zoom = (0.5 + 1.1 * r[:, 0]).clamp(
        max=0.92 * min(h, w) / side / 1.25
    )  # 1.25: a crop turned by 14 degrees
    angle = (r[:, 1] - 0.5) * 0.5
    c, s = angle.cos() * zoom * side, angle.sin() * zoom * side
    flip = torch.where(r[:, 2] < 0.5, -1.0, 1.0)
    reach = 0.5 * (c.abs() + s.abs())
    x, y = (reach + k * (length - 2 * reach).clamp_min(0) for k, length in ((r[:, 3], w), (r[:, 4], h)))
    rows = [flip * c / w, -s / w, 2 * x / w - 1, flip * s / h, c / h, 2 * y / h - 1]
    size = [count, 3, side, side]
    where = F.affine_grid(torch.stack(rows, 1).view(count, 2, 3), size, align_corners=False)
    cut = F.grid_sample(
        image.expand(size[0], -1, -1, -1), where, padding_mode="reflection", align_corners=False
    )
    contrast = 0.8 + 0.4 * r[:, 5].view(-1, 1, 1, 1)
    return (((cut - 0.5) * contrast + 0.5) * (0.85 + 0.3 * tint)).clamp(0, 1)


def read_photos(names: dict[str, str], device: torch.device) -> Photos:
    """Reads photographs of scikit-image by name; DragError if it is missing."""
    try:
        import skimage.data
    except ImportError:
        raise DragError(
            "the photographs come with scikit-image, which is missing: pip install scikit-image"
        ) from None
    found = []
    for name in names:
        picture = torch.from_numpy(getattr(skimage.data, name)())
        colours = picture.permute(2, 0, 1) if picture.ndim == 3 else picture.expand(3, -1, -1)
        found.append(colours[None].float().to(device) / 255)
    return Photos(tuple(found))

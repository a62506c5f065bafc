"""What a thing is drawn on: colour, coverage and the coverage of its movable part, from back to front."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from .colours import colour
from .shapes import Plane, Value, as_map


class Canvas:
    """N things of one kind on windows (N, H, W), in their own coordinates `across` and `down`.

    `pixels`: of the picture, a unit (N,); `light`: the direction towards it on the picture (N, 2); `ink` and
    `relief`: how strong outline and shading are (N,); `swing`: the turn of the movable part about its joint
    (N,), in rad.
    """

    def __init__(
        self, at: Plane, pixels: Tensor, light: Tensor, ink: Tensor, relief: Tensor, swing: Tensor
    ) -> None:
        self.at, self.pixels = at, as_map(pixels)
        self.light, self.ink, self.relief, self.swing = light, ink, relief, swing
        n, h, w = at.across.shape
        self.rgb = torch.zeros(n, 3, h, w, device=at.across.device)
        self.alpha = torch.zeros_like(at.across)
        self.part_alpha = torch.zeros_like(at.across)
        self.joint = torch.zeros(n, 2, device=at.across.device)
        self._in_part = False

    @property
    def across(self) -> Tensor:
        """To the right, (N, H, W)."""
        return self.at.across

    @property
    def down(self) -> Tensor:
        """Down, (N, H, W)."""
        return self.at.down

    @property
    def mirrored(self) -> Plane:
        """The coordinates of a shape that is drawn on the right and seen on both sides."""
        return Plane(self.across.abs(), self.down)

    def colour(self, code: str) -> Tensor:
        """Reads the hex code of a colour, as (1, 3)."""
        return colour(code, self.alpha.device)

    @contextmanager
    def part(self, jx: Value, jy: Value) -> Iterator[None]:
        """Makes what is drawn inside the movable part, turned about the joint (jx, jy)."""
        still = self.at
        zero = torch.zeros_like(self.swing)
        self.joint = torch.stack([zero + jx, zero + jy], 1)
        x, y = self.across - as_map(self.joint[:, 0]), self.down - as_map(self.joint[:, 1])
        c, s = as_map(self.swing.cos()), as_map(self.swing.sin())
        self.at = Plane(c * x + s * y + as_map(self.joint[:, 0]), c * y - s * x + as_map(self.joint[:, 1]))
        self._in_part = True
        yield
        self._in_part = False
        self.at = still

    def fill(
        self,
        distance: Tensor,
        paint: Tensor,
        relief: float = 1.0,
        ink: float = 1.0,
        bevel: float = 0.22,
        soft: float = 1.8,
        opacity: Value = 1.0,
    ) -> None:
        """Paints where `distance` is negative, shaded like a cushion and with a darker rim.

        paint: (N or 1, 3), or a map (N, 3, H, W); bevel: how far in the cushion rises, in the thing's unit;
        soft: width of the edge, in pixels.
        """
        px = distance * self.pixels
        cover = (0.5 - px / soft).clamp(0, 1) * as_map(opacity)
        tone = paint[:, :, None, None] if paint.ndim == 2 else paint
        shade = self._shade(px, distance, relief, bevel) if relief else None
        if ink:
            line = 1 - as_map(self.ink) * ink * (1.5 + px / 2.0).clamp(0, 1)
            shade = line if shade is None else shade * line
        if shade is not None:
            tone = (tone * shade[:, None]).clamp(0, 1)
        self.rgb.lerp_(tone.expand_as(self.rgb), cover[:, None])
        self.alpha += (1 - self.alpha) * cover
        self.part_alpha += ((1.0 if self._in_part else 0.0) - self.part_alpha) * cover

    def _shade(self, px: Tensor, distance: Tensor, relief: float, bevel: float) -> Tensor:
        """Computes the cushion's light, 1 on its flat middle: the slope is the distance's on the picture."""
        gx = F.pad(px[:, :, 2:] - px[:, :, :-2], (1, 1), mode="replicate")
        gy = F.pad((px[:, 2:] - px[:, :-2])[:, None], (0, 0, 1, 1), mode="replicate")[:, 0]
        facing = (gx * self.light[:, :1, None] + gy * self.light[:, 1:, None]).clamp(-2, 2) * 0.5
        inside = (1 + distance / bevel).clamp(0, 1)
        return 1 + as_map(self.relief) * relief * facing * inside * inside.sqrt()

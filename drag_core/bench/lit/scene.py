"""What is known of scenes before they are drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .affine import compose
from .spots import FLAT, GROUND

SIZE = 256  # px: lengths are given for pictures of this side


@dataclass(frozen=True)
class Things:
    """One thing of each of B scenes: numbers (B,), centre (B, 2) and size (half extent) in pixels.

    `spot`: number of where it is; `mirror`: -1 where it is drawn mirrored; `swing`: the turn of its part;
    `after`: affine (B, 2, 3) that an edit adds on the picture; `chance`: uniforms (B, 16); `colours`
    (B, 4, 3): main, accent, dark, light.
    """

    present: Tensor
    kind: Tensor
    spot: Tensor
    centre: Tensor
    size: Tensor
    angle: Tensor
    mirror: Tensor
    swing: Tensor
    chance: Tensor
    colours: Tensor
    texture: Tensor
    after: Tensor

    @property
    def matrix(self) -> Tensor:
        """The thing's own units to pixels, (B, 2, 3)."""
        angle, size, (x, y) = self.angle.double(), self.size.double(), self.centre.double().unbind(1)
        c, s = angle.cos() * size, angle.sin() * size
        own = torch.stack([c * self.mirror, -s, x, s * self.mirror, c, y], 1).view(-1, 2, 3)
        return compose(self.after, own)

    @property
    def casts(self) -> Tensor:
        """Whether it casts a shadow that lies on the ground behind it."""
        return self.spot == GROUND

    @property
    def drops(self) -> Tensor:
        """Whether it drops a shadow on what is right behind it."""
        return self.spot == FLAT


@dataclass(frozen=True)
class Scenes:
    """B scenes of `size` pixels a side; the last of the things lies on top and is the one that is edited.

    `horizon`: as a share of the height; `light`: unit vectors towards it (B, 2); `ink`, `relief`: strength of
    outline and shading; `tint` (B, 3).
    """

    seed: Tensor
    size: int
    place: Tensor
    place_chance: Tensor
    horizon: Tensor
    light: Tensor
    ink: Tensor
    relief: Tensor
    tint: Tensor
    things: tuple[Things, ...]

    def __len__(self) -> int:
        """Counts the scenes."""
        return len(self.seed)

    @property
    def top(self) -> Things:
        """The things that are edited."""
        return self.things[-1]

    def with_top(self, top: Things) -> Scenes:
        """Returns the scenes with other things on top."""
        return replace(self, things=(*self.things[:-1], top))


def things_at(t: Things, rows: Tensor) -> Things:
    """Picks the things of some scenes."""
    return Things(**{k: v[rows] for k, v in vars(t).items()})


def scenes_at(s: Scenes, rows: Tensor) -> Scenes:
    """Picks some of the scenes."""
    fields: dict[str, Any] = {k: v[rows] for k, v in vars(s).items() if isinstance(v, Tensor)}
    return replace(s, **fields, things=tuple(things_at(t, rows) for t in s.things))

"""The table of all kinds of places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..spots import Spot
from . import indoors, landscapes, town, waters
from .view import View


@dataclass(frozen=True)
class Place:
    """A kind of place.

    `spots`: what there is of ground, water, air, deep and flat; `horizon`: its range, as a share of the
    height; `weight`: how often it is; `tone`: what it looks like on the whole; `fits`: kinds that belong
    here, the more often the likelier; `others`: share of other kinds, which find a spot here; `uneven`: how
    far below the horizon (or the shore) ground is certain; `shore`: how far below the horizon the ground
    begins (uniform number, range), water before it.
    """

    draw: Callable[[View], Tensor]
    spots: tuple[Spot, ...]
    horizon: tuple[float, float]
    weight: float
    tone: tuple[float, float, float]
    fits: tuple[str, ...] = ()
    others: float = 0.22
    uneven: float = 0.01
    shore: tuple[int, float, float] = (0, 0.0, 0.0)


def _kinds(text: str) -> tuple[str, ...]:
    return tuple(text.split())


OUTDOORS: tuple[Spot, ...] = ("ground", "air")

PLACES = {
    "landscape": Place(
        landscapes.landscape,
        OUTDOORS,
        horizon=(0.4, 0.6),
        weight=1.5,
        tone=(0.55, 0.7, 0.45),
        fits=_kinds(
            "tree pine house figure flower mushroom snail bird car balloon kite butterfly cat snake apple"
        ),
        uneven=0.03,
    ),
    "room": Place(
        indoors.room,
        ("ground",),
        horizon=(0.64, 0.76),
        weight=1.2,
        tone=(0.8, 0.75, 0.65),
        fits=_kinds("lamp chair cat clock cactus robot figure ball bottle owl"),
    ),
    "table": Place(
        indoors.table,
        ("ground",),
        horizon=(0.45, 0.62),
        weight=1.2,
        tone=(0.7, 0.6, 0.5),
        fits=_kinds("cup lamp apple bottle clock flower cactus key ball snail letter"),
    ),
    "sea": Place(
        waters.sea,
        ("water", "air"),
        horizon=(0.32, 0.5),
        weight=0.9,
        tone=(0.45, 0.65, 0.75),
        fits=_kinds("boat boat boat balloon kite bird"),
        uneven=0.02,
    ),
    "sky": Place(
        landscapes.sky,
        ("air",),
        horizon=(0.95, 1.0),
        weight=0.8,
        tone=(0.55, 0.75, 0.9),
        fits=_kinds("balloon bird kite rocket butterfly star"),
    ),
    "under water": Place(
        waters.under_water,
        ("deep", "ground"),
        horizon=(0.8, 0.9),
        weight=0.8,
        tone=(0.25, 0.55, 0.65),
        fits=_kinds("fish fish fish fish star snail key bottle"),
        others=0.0,
        uneven=0.045,
    ),
    "bricks": Place(
        town.bricks,
        OUTDOORS,
        horizon=(0.74, 0.84),
        weight=0.8,
        tone=(0.6, 0.45, 0.38),
        fits=_kinds("cat lamp bottle umbrella figure robot ball flower car owl clock"),
    ),
    "foliage": Place(
        landscapes.foliage,
        ("flat",),
        horizon=(0.9, 1.0),
        weight=0.6,
        tone=(0.3, 0.5, 0.22),
        fits=_kinds("butterfly bird leaf owl mushroom snail flower apple snake"),
        others=0.0,
    ),
    "studio": Place(
        indoors.studio,
        ("flat",),
        horizon=(0.9, 1.0),
        weight=1.2,
        tone=(0.7, 0.65, 0.6),
        others=1.0,
    ),
    "street": Place(
        town.street,
        OUTDOORS,
        horizon=(0.6, 0.72),
        weight=0.9,
        tone=(0.6, 0.62, 0.65),
        fits=_kinds("car figure robot house umbrella cat tree clock balloon"),
    ),
    "beach": Place(
        waters.beach,
        ("ground", "water", "air"),
        horizon=(0.3, 0.42),
        weight=0.8,
        tone=(0.75, 0.75, 0.65),
        fits=_kinds("ball umbrella figure star snail boat kite bird chair bottle"),
        uneven=0.045,
        shore=waters.SHORE,
    ),
    "night": Place(
        landscapes.night,
        OUTDOORS,
        horizon=(0.55, 0.7),
        weight=0.8,
        tone=(0.25, 0.28, 0.45),
        fits=_kinds("owl house pine rocket star robot figure cat"),
        uneven=0.07,
    ),
}
ROWS = tuple(PLACES.values())


def render_places(place: Tensor, chance: Tensor, horizon: Tensor, size: int) -> Tensor:
    """Draws places of mixed kinds: numbers of their kinds (B,), uniforms (B, 44), horizons (B,).

    Returns (B, 3, size, size) in [0, 1].
    """
    at = (torch.arange(size, device=chance.device) + 0.5) / size
    out = torch.empty(len(place), 3, size, size, device=chance.device)
    numbers = place.tolist()
    for k, row in enumerate(ROWS):
        where = [i for i, x in enumerate(numbers) if x == k]
        if where:
            index = torch.tensor(where, device=chance.device)
            across = at[None, None, :].expand(len(where), size, size)
            down = at[None, :, None].expand(len(where), size, size)
            out[index] = row.draw(View(across, down, chance[index], horizon[index]))
    return out.clamp(0, 1)

"""The table of all kinds of places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from . import indoors, landscapes, town, waters
from .view import View


@dataclass(frozen=True)
class Place:
    """A kind of place.

    `way`: ground (things stand under the horizon), water, deep, air or flat (things anywhere); range of
    horizons; weight; what it looks like on the whole; kinds that belong here; how far down the shore is at
    least, as a share of the way from the horizon to the border.
    """

    draw: Callable[[View], Tensor]
    way: str
    horizon: tuple[float, float]
    weight: float
    tone: tuple[float, float, float]
    fits: tuple[str, ...] = ()
    shore: float = 0.0


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PLACES = {
    "landscape": Place(
        landscapes.landscape,
        "ground",
        (0.4, 0.6),
        1.5,
        (0.55, 0.7, 0.45),
        _names(
            "tree pine house figure flower mushroom snail bird car balloon kite butterfly cat snake apple"
        ),
    ),
    "room": Place(
        indoors.room,
        "ground",
        (0.64, 0.76),
        1.2,
        (0.8, 0.75, 0.65),
        _names("lamp chair cat clock cactus robot figure ball bottle owl"),
    ),
    "table": Place(
        indoors.table,
        "ground",
        (0.45, 0.62),
        1.2,
        (0.7, 0.6, 0.5),
        _names("cup lamp apple bottle clock flower cactus cone key ball snail"),
    ),
    "sea": Place(waters.sea, "water", (0.32, 0.5), 0.9, (0.45, 0.65, 0.75), _names("boat balloon kite bird")),
    "sky": Place(
        landscapes.sky,
        "air",
        (0.95, 1.0),
        0.8,
        (0.55, 0.75, 0.9),
        _names("balloon bird kite rocket butterfly star umbrella"),
    ),
    "under water": Place(
        waters.under_water,
        "deep",
        (0.8, 0.9),
        0.8,
        (0.25, 0.55, 0.65),
        _names("fish star snail key bottle"),
    ),
    "bricks": Place(
        town.bricks,
        "ground",
        (0.74, 0.84),
        0.8,
        (0.6, 0.45, 0.38),
        _names("cat lamp bottle umbrella figure robot ball flower car owl clock"),
    ),
    "foliage": Place(
        landscapes.foliage,
        "flat",
        (0.9, 1.0),
        0.6,
        (0.3, 0.5, 0.22),
        _names("butterfly bird leaf owl mushroom snail flower apple snake"),
    ),
    "studio": Place(indoors.studio, "flat", (0.9, 1.0), 1.2, (0.7, 0.65, 0.6)),
    "street": Place(
        town.street,
        "ground",
        (0.6, 0.72),
        0.9,
        (0.6, 0.62, 0.65),
        _names("car figure robot house umbrella cat tree clock balloon"),
    ),
    "beach": Place(
        waters.beach,
        "ground",
        (0.3, 0.42),
        0.8,
        (0.75, 0.75, 0.65),
        _names("ball umbrella figure cone star snail boat kite bird chair bottle"),
        0.32,
    ),
    "night": Place(
        landscapes.night,
        "ground",
        (0.55, 0.7),
        0.8,
        (0.25, 0.28, 0.45),
        _names("owl house pine rocket star robot figure cat"),
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

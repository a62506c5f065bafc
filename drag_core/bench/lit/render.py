"""Scenes as pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from .layers import Layer, draw, paste
from .places.table import render_places
from .sampling import sample
from .scene import SIZE, Scenes, scenes_at, things_at

BEHIND, TOP = 160, 208  # px of 256: the window of a thing and its shadow


def _pasted(s: Scenes, slot: int, picture: Tensor, window: int) -> None:
    keep = s.things[slot].present.nonzero()[:, 0]
    if len(keep):
        layer = draw(scenes_at(s, keep), things_at(s.things[slot], keep), window)
        picture[keep] = paste(picture[keep], layer)


def backdrops(s: Scenes) -> Tensor:
    """Draws places and things but the one on top, (B, 3, size, size), before tint and vignette."""
    picture = render_places(s.place, s.place_chance, s.horizon, s.size)
    for slot in range(len(s.things) - 1):
        _pasted(s, slot, picture, BEHIND * s.size // SIZE)
    return picture


def finished(s: Scenes, picture: Tensor) -> Tensor:
    """Gives pictures the scenes' tint and darkens their corners; within [0, 1]."""
    y = torch.linspace(-1, 1, s.size, device=picture.device)
    vignette = 1 - 0.07 * (y[:, None] ** 2 + y[None, :] ** 2)
    return (picture * s.tint[:, :, None, None] * vignette).clamp(0, 1)


def top_layer(s: Scenes) -> Layer:
    """Draws the things on top on all of the picture, so that an edit may take them anywhere."""
    return draw(s, s.top, s.size)


def render(s: Scenes) -> Tensor:
    """Draws pictures, (B, 3, size, size) in [0, 1]."""
    picture = backdrops(s)
    _pasted(s, len(s.things) - 1, picture, TOP * s.size // SIZE)
    return finished(s, picture)


def pictures(seeds: Tensor, size: int = SIZE) -> Tensor:
    """Draws the pictures of whole-number seeds (B,): (B, 3, size, size) in [0, 1], on the seeds' device."""
    return render(sample(seeds, size))

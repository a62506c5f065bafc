"""Which kinds there are in a place, on which of its spots, and how high or low they are there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .places.table import ROWS, Place
from .scene import SIZE, Scenes
from .spots import SPOTS
from .things.table import KINDS, Kind

REST = 0.965  # of the height: no foot is lower
CLEAR = 0.02  # of the height: what floats or flies is that far from the horizon
APART = 0.85  # of two things' sizes together: no other is nearer to the thing on top
RIM = 4  # px of 256 between a thing and the picture's border
REACH = 1.1  # of a thing's size: what it covers around its middle, however it is turned


def spots_of(place: Place, kind: Kind) -> tuple[int, ...]:
    """Lists the numbers of the spots of the place where the kind may be; all may lie on what is flat."""
    return tuple(i for i, s in enumerate(SPOTS) if s in place.spots and (s == "flat" or s in kind.where))


def others_in(place: Place) -> tuple[str, ...]:
    """Lists all kinds that find a spot in the place."""
    return tuple(name for name, kind in KINDS.items() if spots_of(place, kind))


def _drawn(lists: Sequence[Sequence[int]], rows: Tensor, chance: Tensor) -> Tensor:
    """Draws one entry of list `rows` (B,) each."""
    longest = max(len(x) for x in lists)
    table = torch.tensor([[*x, *[0] * (longest - len(x))] for x in lists], device=rows.device)
    counts = torch.tensor([max(len(x), 1) for x in lists], device=rows.device)[rows]
    at = torch.minimum((chance * counts).long(), counts - 1)
    return table[rows].gather(1, at[:, None])[:, 0]


def kind_in(place: Tensor, chance: Tensor) -> Tensor:
    """Draws a kind for every place (B,), from three uniforms (B, 3)."""
    names = list(KINDS)
    fits = _drawn([[names.index(k) for k in p.fits] for p in ROWS], place, chance[:, 0])
    other = _drawn([[names.index(k) for k in others_in(p)] for p in ROWS], place, chance[:, 2])
    share = torch.tensor([p.others for p in ROWS], device=place.device)[place]
    return torch.where(chance[:, 1] < 1 - share, fits, other)


def spot_in(place: Tensor, kind: Tensor, chance: Tensor) -> Tensor:
    """Draws one of the spots of each kind in its place, (B,)."""
    lists = [spots_of(p, k) for p in ROWS for k in KINDS.values()]
    return _drawn(lists, place * len(KINDS) + kind, chance)


def feet(kind: Tensor) -> Tensor:
    """Returns how far down things of these kinds reach, in their own unit."""
    return torch.tensor([k.foot for k in KINDS.values()], device=kind.device)[kind]


def margin(size: Tensor, side: int) -> Tensor:
    """Returns how far from the border of a picture of this side a thing's middle is at least, in pixels."""
    return REACH * size + RIM * side / SIZE


def ground_of(s: Scenes) -> tuple[Tensor, Tensor]:
    """Returns from where on ground is certain, and down to where water is, in pixels (B,)."""
    uneven = torch.tensor([p.uneven for p in ROWS], device=s.seed.device)[s.place]
    index = torch.tensor([p.shore[0] for p in ROWS], device=s.seed.device)[s.place]
    low, high = (torch.tensor([p.shore[i] for p in ROWS], device=s.seed.device)[s.place] for i in (1, 2))
    shore = low + (high - low) * s.place_chance.gather(1, index[:, None])[:, 0]
    edge = s.horizon + shore
    water = torch.where(shore > 0, edge - uneven, torch.full_like(edge, REST))
    return (edge + uneven) * s.size, water * s.size


def heights(s: Scenes, spot: Tensor, foot: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the highest and the lowest place (B,) of a thing's middle where it belongs, in pixels.

    foot: how far below the middle it ends, in pixels.
    """
    unit = s.size / SIZE
    horizon, (ground, water) = s.horizon * s.size, ground_of(s)
    none, rest = torch.zeros_like(foot), torch.full_like(foot, REST * s.size)
    rim = s.size - 1 - RIM * unit - foot
    high = torch.stack([ground - foot, horizon + CLEAR * s.size - foot, none, none, none])
    low = torch.stack([rest - foot, water - foot, horizon - CLEAR * s.size - foot, horizon - foot, rim])
    of_each = torch.arange(len(spot), device=spot.device)
    return high[spot, of_each], torch.minimum(low[spot, of_each], rim)

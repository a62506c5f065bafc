"""GoodDrag's released code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...features.supervise import Maps
from .around import Around


@dataclass(frozen=True)
class Waited:
    """State of a drag that ends by patience.

    places: of the points.
    still: how many trackings in a row have moved none of them.
    level: the plan of the level that the last one was made at (None: of none yet).
    """

    places: Tensor
    still: int = 0
    level: Any = None


@dataclass(frozen=True)
class Patience(Around):
    """Ends the drag once `most` trackings in a row have moved no point.

    A tracking when a level begins counts neither way.
    """

    most: int = 10

    def init(self, reference: Maps) -> Waited:
        return Waited(self.inside.init(reference))

    def loss(self, features: Maps, reference: Any, state: Waited, progress: float) -> Tensor:
        return self.inside.loss(features, reference, state.places, progress)

    def track(self, features: Maps, reference: Any, state: Waited) -> tuple[Waited, bool]:
        places, arrived = self.inside.track(features, reference, state.places)
        still = state.still
        if state.level is None or state.level is reference:
            still = still + 1 if torch.equal(places, state.places) else 0
        return Waited(places, still, reference), arrived or still >= self.most

    def trace(self, state: Waited) -> tuple[tuple[float, float], ...]:
        return self.inside.trace(state.places)

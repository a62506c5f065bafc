"""What all wrappers of a supervision share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ...features.supervise import Maps, Supervision
from ...types import Grid, Handle


@dataclass(frozen=True)
class Around:
    """A supervision that asks the one inside for everything: a fault overrides what it changes."""

    inside: Supervision

    @property
    def moves_regions(self) -> bool:
        return self.inside.moves_regions

    def init(self, reference: Maps) -> Any:
        return self.inside.init(reference)

    def plan(self, reference: Maps, ramp: tuple[float, ...]) -> Any:
        return self.inside.plan(reference, ramp)

    def loss(self, features: Maps, reference: Any, state: Any, progress: float) -> Tensor:
        return self.inside.loss(features, reference, state, progress)

    def track(self, features: Maps, reference: Any, state: Any) -> tuple[Any, bool]:
        return self.inside.track(features, reference, state)

    def trace(self, state: Any) -> tuple[tuple[float, float], ...]:
        return self.inside.trace(state)

    def on_small(self, grid: Grid) -> Supervision:
        return replace(self, inside=self.inside.on_small(grid))

    def wider(self, handles: tuple[Handle, ...], radius: int, patches: int) -> Supervision:
        return replace(self, inside=self.inside.wider(handles, radius, patches))

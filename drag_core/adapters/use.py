"""How a recipe uses an image adapter: in which model calls, and how strongly."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..types import DragError
from .files import Kind
from .resampler import TIME

# where the user gives no strength: IP-Adapters as their authors advise, InstantCharacter as its own pipeline
USUAL: dict[Kind, float] = {"xlabs": 0.7, "instantx": 0.7, "character": 0.9}


@dataclass(frozen=True)
class AdapterUse:
    """Where an adapter acts in an edit, if there is one (DragFlow §3.2, adapter-enhanced inversion).

    inversion: while the picture is inverted, and in what is denoised again as it was inverted.
    features: in the features that updates compare.
    denoising: in the steps of the edit.
    character: InstantCharacter's strength; the IP-Adapters have their usual one.
    top: the time that the clean-to-noisy levels 0 to 1 end at, as InstantCharacter's resampler is told it:
        1000, as it was trained; 1 in DragFlow's released code.
    """

    inversion: bool = True
    features: bool = True
    denoising: bool = True
    character: float = USUAL["character"]
    top: float = TIME

    def __post_init__(self) -> None:
        if not (self.inversion or self.features or self.denoising):
            raise DragError("an adapter that acts nowhere was asked for: leave the recipe's adapter out")
        if not math.isfinite(self.character) or not 0 < self.top < math.inf:
            raise DragError(
                f"an adapter's strength is {self.character} and its top time {self.top}; both must be "
                "finite, and the time above 0"
            )

    def scale(self, kind: Kind) -> float:
        """Returns the strength of an adapter of this kind."""
        return self.character if kind == "character" else USUAL[kind]

    def missing(self, recipe: str, how: str) -> str:
        """Says that a recipe has none of the adapter that its paper uses; `how` to give one."""
        return (
            f"{recipe}'s paper has an adapter on (InstantCharacter, while {self}), and none was given with "
            f"{how}"
        )

    def __str__(self) -> str:
        """Says where it acts, for a report."""
        where = {"inverting": self.inversion, "comparing": self.features, "denoising": self.denoising}
        return ", ".join(name for name, acts in where.items() if acts)

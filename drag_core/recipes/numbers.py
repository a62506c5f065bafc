"""The numbers of the four ways of dragging: what each means and its range. Their values are the methods'."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..ranges import Ranged, span

LEVELS = span(1, 100, "Noise levels that are updated, from the noisiest on.")
AT_EACH = "Updates at each level."
ADAM = span(0.0001, 10.0, "Adam's step on the latent.", 0.001)
BACKGROUND = span(0.0, 100.0, "Weight of the unchanged background in the loss; 0: none.", 0.05)
SEARCH = "How far a handle is looked for, in steps of 2 pixels."
PRESERVE = span(
    0,
    1,
    "On: compare with the picture's own features (GoodDrag). Off: with the last update's (DragDiffusion).",
)


@dataclass(frozen=True, kw_only=True)
class RegionNumbers(Ranged):
    """Numbers of DragFlow's way."""

    whose: ClassVar[str] = "method region's"

    iterations: int = field(metadata=span(1, 1000, "Updates while the regions move to their targets."))
    hold: int = field(metadata=span(0, 1000, "Further updates at the target."))
    step: float = field(
        metadata=span(
            0.001, 100000.0, "Gradient descent's rate at 512x512 pixels; scaled by the picture's area.", 1.0
        )
    )


@dataclass(frozen=True, kw_only=True)
class PBSINumbers(Ranged):
    """Numbers of DragNeXt's way."""

    whose: ClassVar[str] = "method pbsi's"

    levels: int = field(metadata=LEVELS)
    updates: int = field(metadata=span(1, 200, AT_EACH))
    step: float = field(metadata=ADAM)
    background: float = field(metadata=BACKGROUND)


@dataclass(frozen=True, kw_only=True)
class PointNumbers(Ranged):
    """Numbers of GoodDrag's way and DragDiffusion's.

    Lengths are in steps of 2 pixels: cells of half the picture.
    """

    whose: ClassVar[str] = "method point's"
    levels: int = field(metadata=LEVELS)
    updates: int = field(metadata=span(1, 500, AT_EACH))
    tracking: int = field(metadata=span(1, 100, "Handles are looked for again after every so many updates."))
    radius: int = field(metadata=span(1, 32, "Half side of the patch around a handle, in steps of 2 pixels."))
    search: int = field(metadata=span(1, 64, SEARCH))
    stride: float = field(
        metadata=span(0.5, 16.0, "How far it is pulled at once, in steps of 2 pixels.", 0.5)
    )
    preserve: bool = field(metadata=PRESERVE)
    step: float = field(metadata=ADAM)
    background: float = field(metadata=BACKGROUND)


@dataclass(frozen=True, kw_only=True)
class SemanticNumbers(Ranged):
    """Numbers of AdaptiveDrag's way.

    Lengths are in steps of 2 pixels: cells of half the picture.
    """

    whose: ClassVar[str] = "method semantic's"
    updates: int = field(metadata=span(1, 2000, "Updates at most, all at the noisiest level."))
    steps: int = field(
        metadata=span(
            1,
            1000,
            "Into how many steps the drag is divided: an update that covers less is followed by another.",
        )
    )
    search: int = field(metadata=span(1, 32, SEARCH))
    stride: float = field(
        metadata=span(0.5, 16.0, "How far it is pulled at once at least, in steps of 2 pixels.", 0.5)
    )
    preserve: bool = field(metadata=PRESERVE)
    step: float = field(metadata=ADAM)
    background: float = field(metadata=BACKGROUND)
    guidance: float = field(
        metadata=span(
            0.0,
            10.0,
            "How strongly every denoising step matches targets with handles (CLoss); 0: not.",
            0.05,
        )
    )


Numbers = RegionNumbers | PBSINumbers | PointNumbers | SemanticNumbers

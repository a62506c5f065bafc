"""Where things belong."""

from __future__ import annotations

from typing import Literal, get_args

Spot = Literal["ground", "water", "air", "deep", "flat"]
# on the ground with the foot; on the water's surface with the foot; above the horizon; under water above its
# floor; anywhere on what is flat
SPOTS: tuple[Spot, ...] = get_args(Spot)
GROUND, WATER, AIR, DEEP, FLAT = range(5)  # their numbers in tensors

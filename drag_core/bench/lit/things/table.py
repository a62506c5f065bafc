"""The table of all kinds of things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..canvas import Canvas
from ..look import Look
from ..spots import Spot
from . import creatures, household, people, plants, toys, vehicles

Range = tuple[float, float]


@dataclass(frozen=True)
class Kind:
    """A kind of thing.

    `where`: the spots where it may be, besides all that are flat; `swing`: how far its part may turn, in rad,
    0 without one; `foot`: how far down its lowest point lies when it is upright, in its own unit; `any_turn`:
    has no side that is up; `colour`: hue, saturation and value, where it has not any.
    """

    draw: Callable[[Canvas, Look], None]
    where: tuple[Spot, ...]
    swing: float = 0.0
    foot: float = 0.98
    any_turn: bool = False
    colour: tuple[Range, Range, Range] = ((0.0, 1.0), (0.5, 0.85), (0.55, 0.95))


GROUND: tuple[Spot, ...] = ("ground",)
AIR: tuple[Spot, ...] = ("air",)

KINDS = {
    "lamp": Kind(household.lamp, GROUND, 0.6, 1.0),
    "bird": Kind(creatures.bird, ("ground", "air"), 0.7, 0.92),
    "snake": Kind(creatures.snake, GROUND, 0.6, 0.45),
    "balloon": Kind(vehicles.balloon, AIR, 0.5, 0.98),
    "fish": Kind(creatures.fish, ("deep",), 0.6, 0.65),
    "tree": Kind(plants.tree, GROUND, 0.6, 1.07, colour=((0.2, 0.42), (0.45, 0.7), (0.4, 0.7))),
    "pine": Kind(plants.pine, GROUND, 0.0, 0.98, colour=((0.3, 0.45), (0.4, 0.65), (0.3, 0.5))),
    "house": Kind(household.house, GROUND, 0.0, 0.95),
    "car": Kind(vehicles.car, GROUND, 0.0, 0.65),
    "cup": Kind(household.cup, GROUND, 0.5, 0.88),
    "flower": Kind(plants.flower, GROUND, 0.7, 1.02),
    "figure": Kind(people.figure, GROUND, 0.9, 0.98),
    "cat": Kind(creatures.cat, GROUND, 0.35, 0.8, colour=((0.04, 0.12), (0.1, 0.7), (0.35, 0.9))),
    "boat": Kind(vehicles.boat, ("water",), 0.4, 0.9),
    "umbrella": Kind(household.umbrella, GROUND, 0.6, 0.98, any_turn=True),
    "chair": Kind(household.chair, GROUND, 0.4, 0.95, colour=((0.02, 0.12), (0.35, 0.7), (0.4, 0.8))),
    "mushroom": Kind(plants.mushroom, GROUND, 0.4, 1.03, colour=((-0.03, 0.1), (0.6, 0.85), (0.6, 0.9))),
    "letter": Kind(toys.letter, GROUND, 0.0, 0.95, any_turn=True),
    "star": Kind(toys.star, ("ground", "air"), 0.0, 1.0, any_turn=True),
    "key": Kind(toys.key, GROUND, 0.0, 0.42, any_turn=True, colour=((0.1, 0.14), (0.35, 0.7), (0.7, 0.9))),
    "leaf": Kind(
        plants.leaf, GROUND, 0.6, 0.45, any_turn=True, colour=((0.05, 0.38), (0.55, 0.8), (0.5, 0.85))
    ),
    "rocket": Kind(vehicles.rocket, AIR, 0.4, 0.98),
    "clock": Kind(household.clock, GROUND, 1.2, 0.98),
    "butterfly": Kind(creatures.butterfly, AIR, 0.5, 0.7),
    "snail": Kind(creatures.snail, GROUND, 0.5, 0.84, colour=((0.03, 0.15), (0.35, 0.7), (0.5, 0.85))),
    "kite": Kind(toys.kite, AIR, 0.6, 0.98),
    "apple": Kind(plants.apple, GROUND, 0.6, 0.9, colour=((-0.04, 0.3), (0.6, 0.85), (0.7, 0.9))),
    "ball": Kind(toys.ball, GROUND, 0.0, 0.92),
    "bottle": Kind(household.bottle, GROUND, 0.5, 0.96),
    "cactus": Kind(plants.cactus, GROUND, 0.5, 0.98),
    "owl": Kind(creatures.owl, GROUND, 0.6, 0.92, colour=((0.04, 0.12), (0.3, 0.6), (0.4, 0.7))),
    "cone": Kind(toys.cone, (), 0.4, 0.98, any_turn=True),
    "robot": Kind(people.robot, GROUND, 0.9, 0.98),
}
NAMES = tuple(KINDS)

"""The table of all kinds of things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..canvas import Canvas
from ..look import Look
from . import creatures, household, people, plants, toys, vehicles

WAYS = ("stands", "flies", "floats", "swims", "lies")


@dataclass(frozen=True)
class Kind:
    """A kind of thing.

    `way`: stands (on the ground), flies, floats (on water), swims or lies (any turn); `swing`: how far its part
    may turn, 0 without one; `foot`: how far down its lowest point lies.
    """

    draw: Callable[[Canvas, Look], None]
    way: str
    swing: float = 0.0
    foot: float = 0.96


KINDS = {
    "lamp": Kind(household.lamp, "stands", 0.6, 1.0),
    "bird": Kind(creatures.bird, "stands", 0.7, 0.92),
    "snake": Kind(creatures.snake, "stands", 0.6, 0.45),
    "balloon": Kind(vehicles.balloon, "flies", 0.5, 0.98),
    "fish": Kind(creatures.fish, "swims", 0.6, 0.5),
    "tree": Kind(plants.tree, "stands", 0.6, 0.98),
    "pine": Kind(plants.pine, "stands", 0.0, 0.98),
    "house": Kind(household.house, "stands", 0.0, 0.95),
    "car": Kind(vehicles.car, "stands", 0.0, 0.65),
    "cup": Kind(household.cup, "stands", 0.5, 0.88),
    "flower": Kind(plants.flower, "stands", 0.7, 0.98),
    "figure": Kind(people.figure, "stands", 0.9, 0.98),
    "cat": Kind(creatures.cat, "stands", 0.35, 0.8),
    "boat": Kind(vehicles.boat, "floats", 0.4, 0.8),
    "umbrella": Kind(household.umbrella, "lies", 0.6, 0.98),
    "chair": Kind(household.chair, "stands", 0.4, 0.95),
    "mushroom": Kind(plants.mushroom, "stands", 0.4, 0.98),
    "letter": Kind(toys.letter, "lies", 0.0, 0.95),
    "star": Kind(toys.star, "lies", 0.0, 0.95),
    "key": Kind(toys.key, "lies", 0.0, 0.42),
    "leaf": Kind(plants.leaf, "lies", 0.6, 0.55),
    "rocket": Kind(vehicles.rocket, "flies", 0.4, 0.98),
    "clock": Kind(household.clock, "stands", 1.2, 0.98),
    "butterfly": Kind(creatures.butterfly, "flies", 0.5, 0.7),
    "snail": Kind(creatures.snail, "stands", 0.5, 0.84),
    "kite": Kind(toys.kite, "flies", 0.6, 0.98),
    "apple": Kind(plants.apple, "stands", 0.6, 0.9),
    "ball": Kind(toys.ball, "stands", 0.0, 0.92),
    "bottle": Kind(household.bottle, "stands", 0.5, 0.96),
    "cactus": Kind(plants.cactus, "stands", 0.5, 0.98),
    "owl": Kind(creatures.owl, "stands", 0.6, 0.92),
    "cone": Kind(toys.cone, "lies", 0.4, 0.98),
    "robot": Kind(people.robot, "stands", 0.9, 0.98),
}
NAMES = tuple(KINDS)
# hue, saturation, value of kinds that have a colour of their own; the rest have any
NATURAL = {
    "tree": (0.2, 0.42, 0.45, 0.7, 0.4, 0.7),
    "pine": (0.3, 0.45, 0.4, 0.65, 0.3, 0.5),
    "leaf": (0.05, 0.38, 0.55, 0.8, 0.5, 0.85),
    "key": (0.1, 0.14, 0.35, 0.7, 0.7, 0.9),
    "cat": (0.04, 0.12, 0.1, 0.7, 0.35, 0.9),
    "owl": (0.04, 0.12, 0.3, 0.6, 0.4, 0.7),
    "mushroom": (-0.03, 0.1, 0.6, 0.85, 0.6, 0.9),
    "apple": (-0.04, 0.3, 0.6, 0.85, 0.7, 0.9),
    "snail": (0.03, 0.15, 0.35, 0.7, 0.5, 0.85),
    "chair": (0.02, 0.12, 0.35, 0.7, 0.4, 0.8),
}
ANY = (0.0, 1.0, 0.5, 0.85, 0.55, 0.95)

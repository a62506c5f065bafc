"""Drag cases with exact answers, made from the generated scenes; deterministic by seed."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..metrics.place import residue_centroid
from ..metrics.region import psnr
from ..motion.geometry import apply, motion_matrix, rotation, scaling, translation
from ..motion.masks import adaptive_mask, grow
from ..motion.task import MARGIN
from ..types import AffineMotion, Grid, Handle, Point, Region, Task
from .scenes import HELD_OUT, Scene, Thing, move_top, place, render, sample_scene, thing_mask, without_top

KINDS = ("move", "rotate", "deform")


@dataclass(frozen=True)
class Case:
    """One drag: pictures, masks, the motion, and what the user would have drawn.

    Pictures are (3, S, S) in [0, 1], masks (S, S). `with_shadow` is the mask and the thing's shadow, in lit
    scenes.
    """

    seed: int
    kind: str
    source: Tensor
    truth: Tensor
    empty: Tensor
    mask: Tensor
    truth_mask: Tensor
    motion: AffineMotion
    handle: Point
    target: Point
    with_shadow: Tensor | None = None

    @property
    def editable(self) -> Tensor:
        return grow(adaptive_mask([Region(self.mask, self.motion)]), round(MARGIN * self.mask.shape[0]))

    @property
    def task(self) -> Task:
        size = Grid(*self.mask.shape)
        return Task(
            size, (Region(self.mask, self.motion),), (Handle(self.handle, self.target),), self.editable
        )


def _motion(kind: str, thing: Thing, scene: Scene, r: random.Random) -> tuple[AffineMotion, Point] | None:
    """Draws a motion that fits, and a handle on the thing that shows it."""
    x, y = place(thing)
    unit = scene.size / 256
    if kind == "move":
        best: tuple[float, AffineMotion] | None = None
        for _ in range(60):
            length, way = r.uniform(44, 88) * unit, r.uniform(0, 2 * math.pi)
            motion = translation((0, 0), (round(length * math.cos(way)), round(length * math.sin(way))))
            there = (x + motion.shift[0], y + motion.shift[1])
            if not all(thing.size + 4 <= v <= scene.size - thing.size - 4 for v in there):
                continue
            clear = min(
                [math.dist(there, t.centre) / (thing.size + t.size) for t in scene.things[:-1]] + [9.0]
            )
            if best is None or clear > best[0]:
                best = (clear, motion)
        return None if best is None else (best[1], (x, y))
    if kind == "rotate":
        if thing.kind == "ellipse" and thing.texture in ("plain", "radial"):
            return None  # a turn that nobody would see
        angle, way = r.choice((-1, 1)) * r.uniform(0.6, 1.3), r.uniform(0, 2 * math.pi)
        start = (x + 0.6 * thing.size * math.cos(way), y + 0.6 * thing.size * math.sin(way))
        end = (x + 0.6 * thing.size * math.cos(way + angle), y + 0.6 * thing.size * math.sin(way + angle))
        return rotation(start, end, (x, y)), start
    factor = r.uniform(1.3, 1.5) if r.random() < 0.7 else r.uniform(0.65, 0.75)
    both = r.random() < 0.4
    scale = (factor, factor) if both else (factor, 1.0) if r.random() < 0.5 else (1.0, factor)
    if any(
        thing.size * max(factor, 1) + 4 > v or v > scene.size - thing.size * max(factor, 1) - 4
        for v in (x, y)
    ):
        return None
    start = (x + 0.6 * thing.size * (scale[0] != 1), y + 0.6 * thing.size * (scale[1] != 1))
    return scaling(scale, (x, y)), start


def make_case(seed: int, kind: str, size: int = 256) -> Case | None:
    """Makes the case of `seed`, or None where the scene allows no such motion."""
    scene = sample_scene(seed, size)
    found = _motion(kind, scene.things[-1], scene, random.Random(seed + 77))
    if found is None:
        return None
    motion, handle = found
    after = move_top(scene, motion)
    return Case(
        seed,
        kind,
        render(scene),
        render(after),
        render(without_top(scene)),
        thing_mask(scene),
        thing_mask(after),
        motion,
        handle,
        apply(motion_matrix(motion), handle),
    )


def held_out(per_kind: int = 8, first: int = HELD_OUT, kinds: tuple[str, ...] = KINDS) -> list[Case]:
    """Returns the first `per_kind` cases of each kind from the seeds never trained on.

    They are taken in order, none is chosen by its result.
    """
    out: list[Case] = []
    seed = first
    for kind in kinds:
        wanted = len(out) + per_kind
        while len(out) < wanted:
            case = make_case(seed, kind)
            seed += 1
            if case is not None:
                out.append(case)
    return out


def in_turn(cases: Sequence[Case]) -> list[Case]:
    """Orders cases so that the kinds come in turn: what a stopped run has is a fair part of the whole."""
    nth: dict[str, int] = {}
    places = []
    for case in cases:
        nth[case.kind] = nth.get(case.kind, 0) + 1
        places.append(nth[case.kind])
    return [cases[i] for i in sorted(range(len(cases)), key=lambda i: places[i])]


def measure(image: Tensor, case: Case) -> dict[str, float]:
    """Measures the centroid's error (px) and PSNR (dB) of target, vacated area and background.

    The error is 99 if nothing is left of the object.
    """
    here, there = (residue_centroid(p, case.empty, case.editable) for p in (image, case.truth))
    error = math.dist(here, there)
    return {
        "centroid": 99.0 if math.isnan(error) else error,
        "target": psnr(image, case.truth, case.truth_mask),
        "vacated": psnr(image, case.truth, case.mask * (1 - case.truth_mask)),
        "background": psnr(image, case.source, 1 - case.editable),
    }

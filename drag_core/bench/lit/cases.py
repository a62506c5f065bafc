"""Drags of lit scenes as cases: the first valid seeds in order, none chosen by its result.

Each kind has every fourth seed, so that a kind's cases don't hang on how many others are asked for, and no
two kinds share a scene.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice

import torch

from ...types import AffineMotion, DragError, Point
from ..cases import Case
from ..scenes import HELD_OUT
from .drags import Drags, cases_of, drags_of
from .edits import EDITS

LIT_KINDS = EDITS


def lit_case(seed: int, kind: str) -> Case | None:
    """Makes the case of `seed`, or None where the scene allows no such motion.

    Raises DragError for an unknown kind.
    """
    d = drags_of(torch.tensor([seed]), kind)
    return _case(d) if bool(d.valid[0]) else None


def lit_cases(per_kind: int, first: int = HELD_OUT, kinds: tuple[str, ...] = LIT_KINDS) -> list[Case]:
    """Returns the first `per_kind` cases of each kind from seed `first` on.

    Raises DragError for an unknown kind.
    """
    return [_case(d) for kind in kinds for d in islice(_valid(kind, first), per_kind)]


def lit_case_number(number: int, kind: str, first: int = HELD_OUT) -> Case:
    """Returns the case that lit_cases has at place `number` of a kind; those before it are not painted.

    Raises DragError for an unknown kind.
    """
    return _case(next(islice(_valid(kind, first), number, None)))


def _valid(kind: str, first: int) -> Iterator[Drags]:
    if kind not in LIT_KINDS:
        raise DragError(f"unknown kind {kind!r} of lit scenes: use {', '.join(LIT_KINDS)}")
    for seed in count(first + LIT_KINDS.index(kind), len(LIT_KINDS)):
        d = drags_of(torch.tensor([seed]), kind)
        if bool(d.valid[0]):
            yield d


def _case(d: Drags) -> Case:
    c, m = cases_of(d), d.motions

    def point(x: torch.Tensor) -> Point:
        return float(x[0, 0]), float(x[0, 1])

    return Case(
        seed=int(d.before.seed[0]),
        kind=d.edit,
        source=c.source[0],
        truth=c.truth[0],
        empty=c.empty[0],
        mask=d.mask[0],
        truth_mask=d.truth_mask[0],
        motion=AffineMotion(point(m.shift), float(m.angle[0]), point(m.scale), point(m.anchor)),
        handle=point(m.handle),
        target=point(c.target),
        with_shadow=c.with_shadow[0],
    )

"""The held-out scenes that benchmarks draw, one after the other or several at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context

import torch

from ..types import DragError
from .cases import KINDS, Case, held_out
from .lit.cases import LIT_KINDS, lit_case_number

PLAIN = 8  # of each kind; which they are hangs on how many, as one kind goes on where another ends
Scene = tuple[str, str, int]  # lit or plain, the kind of edit, the number among its kind


def scenes(lit: int, plain: int) -> list[Scene]:
    """Which scenes, kind by kind in turn: what a stopped run has is a fair part of the whole.

    lit, plain: how many of each kind. Raises DragError for more plain ones than are listed.
    """
    if plain > PLAIN:
        raise DragError(f"there are to be {plain} plain scenes of each kind; at most {PLAIN} are held out")
    turns = [("lit", kind, k) for k in range(lit) for kind in LIT_KINDS]
    return turns + [("plain", kind, k) for k in range(plain) for kind in KINDS]


def case_of(scene: Scene) -> Case:
    which, kind, number = scene
    return lit_case_number(number, kind) if which == "lit" else _plain()[kind][number]


@cache
def _plain() -> dict[str, list[Case]]:
    cases = held_out(PLAIN)
    return {kind: [c for c in cases if c.kind == kind] for kind in KINDS}


def over(scenes: list[Scene], work: Callable[[Scene], None], workers: int = 1) -> None:
    """Calls `work` on every scene; with several workers each in a process with one thread."""
    if workers == 1:
        for scene in scenes:
            work(scene)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        list(pool.map(work, scenes))

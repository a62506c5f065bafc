"""Where the trainings' pictures come from: the one place that knows the generators of scenes.

Two generators draw whole scenes, 256x256, deterministic by seed, a scene bit-equal alone and in a batch: the
plain one (drag_core.bench.scenes) and the lit one (things in places, with light and shadows).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import torch
from torch import Tensor

from drag_core.bench.lit.render import pictures
from drag_core.bench.scenes import HELD_OUT, render, sample_scene
from drag_core.types import DragError

SIDE = 256
STRIDE = 611_953  # no common divisor with HELD_OUT, so that k·STRIDE meets every training seed once
ALONE = 64  # plain scenes that this process draws itself; for more, other processes help

Draw = Callable[[Tensor], Tensor]


def training_seeds(first: int, count: int) -> Tensor:
    """Lists the `first`-th to (first + count - 1)-th seed that a training draws: (count,), below HELD_OUT."""
    return torch.arange(first, first + count) * STRIDE % HELD_OUT


def refuse_held_out(seeds: Tensor) -> None:
    """Keeps what the models are measured on out of what they are trained on."""
    if len(seeds) and int(seeds.max()) >= HELD_OUT:
        raise DragError(
            f"seed {int(seeds.max())} is held out for measuring: train on seeds below {HELD_OUT} only"
        )


@torch.no_grad()
def lit_scenes(seeds: Tensor) -> Tensor:
    """Draws scenes of the lit generator on the device of `seeds` (B,): bytes (B, 3, 256, 256)."""
    return (pictures(seeds) * 255).round().byte()


def plain_scenes(seeds: Tensor, workers: int = 1) -> Tensor:
    """Draws scenes of the plain generator on the CPU: bytes (B, 3, 256, 256); 150 a second and core."""
    listed: list[int] = seeds.tolist()
    if len(listed) <= ALONE or workers == 1:
        return torch.from_numpy(np.stack([_plain(seed) for seed in listed]))
    with ProcessPoolExecutor(workers, get_context("spawn"), _one_thread) as others:
        return torch.from_numpy(np.stack(list(others.map(_plain, listed, chunksize=ALONE))))


def _plain(seed: int) -> np.ndarray:
    return (render(sample_scene(seed)) * 255).round().byte().numpy()


def _one_thread() -> None:
    torch.set_num_threads(1)

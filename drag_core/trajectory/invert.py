"""Inversion and plain denoising."""

from __future__ import annotations

import torch
from torch import Tensor

from ..step import OnStep, Step, quiet
from ..types import KV, Backbone, KVCache, KVRecord, Schedule, Trajectory
from .kvcache import KVPlain
from .replayed import ReplayingBackbone
from .solvers import Solver


@torch.no_grad()
def invert(
    backbone: Backbone,
    z0: Tensor,
    schedule: Schedule,
    solver: Solver,
    kv_blocks: tuple[str, ...] = (),
    on_step: OnStep = quiet,
    cache: KVCache | None = None,
    kv_text: bool = False,
) -> Trajectory:
    """Inverts the clean latent z0 (1, C, h, w) to its noisy latents at every level of `schedule`.

    kv_blocks: whose K/V are recorded, with `kv_text` the prompt's.
    cache: where they are recorded (None: a new one, which keeps them where they are made).
    """
    cache = KVPlain() if cache is None else cache
    kv: KV = KVRecord(cache, kv_blocks, kv_text) if kv_blocks else None
    if cache.replays:
        backbone = ReplayingBackbone(backbone)
    z, carry, path, last = z0, None, [z0], len(schedule.t) - 1
    for i in range(last, 0, -1):
        z, carry = solver(backbone, z, schedule, i, i - 1, kv, carry)
        path.append(z)
        on_step(Step(last - i + 1, last, i - 1, z, stage="invert"))
    return Trajectory(schedule, tuple(reversed(path)), cache if kv_blocks else None, carry, str(solver))


@torch.no_grad()
def denoise(
    backbone: Backbone, z: Tensor, schedule: Schedule, solver: Solver, carry: Tensor | None = None
) -> Tensor:
    """Denoises z, at the schedule's first level, to the clean latent, without any edit.

    carry: a Trajectory's, for alf.
    """
    for i in range(len(schedule.t) - 1):
        z, carry = solver(backbone, z, schedule, i, i + 1, None, carry)
    return z


def clean_estimate(z: Tensor, source: Trajectory, level: int) -> Tensor:
    """Estimates where z (1, C, h, w) at `level` is going, without a model call.

    It is the source plus what z has changed.
    """
    return source.z[-1] + (z - source.z[level]) / max(source.schedule.alpha[level], 0.05)

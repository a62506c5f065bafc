"""A path through the noise without an inversion: the picture with one noise, at every level."""

from __future__ import annotations

import torch
from torch import Tensor

from ..step import OnStep, Step, quiet
from ..types import Backbone, DragError, KVCache, KVRecord, Schedule, Trajectory
from .kvcache import KVPlain
from .replayed import ReplayingBackbone

NOISED = "noised"  # in the place of a solver's name


@torch.no_grad()
def noised(
    backbone: Backbone,
    z0: Tensor,
    schedule: Schedule,
    noise: Tensor,
    kv_blocks: tuple[str, ...] = (),
    on_step: OnStep = quiet,
    cache: KVCache | None = None,
    kv_text: bool = False,
) -> Trajectory:
    """Noises the clean latent z0 (1, C, h, w) to every level of `schedule`: z_i = alpha_i z0 + sigma_i noise.

    noise: like z0, of variance 1.
    kv_blocks, cache, kv_text: invert()'s; one model call a level, none without them.
    Denoised, the model draws its own picture from there, not this one: what is to stay must be held.
    """
    cache = KVPlain() if cache is None else cache
    if kv_blocks and cache.replays:
        backbone = ReplayingBackbone(backbone)
    last = len(schedule.t) - 1
    noisy = (a * z0 + s * noise for a, s in zip(schedule.alpha[:-1], schedule.sigma[:-1], strict=True))
    path = (*noisy, z0)
    for i in range(last - 1, -1, -1):
        if kv_blocks:
            backbone.predict(path[i], schedule.t[i], KVRecord(cache, kv_blocks, kv_text))
        on_step(Step(last - i, last, i, path[i], stage="invert"))
    return Trajectory(schedule, path, cache if kv_blocks else None, None, NOISED)


def noise_in(path: Trajectory) -> Tensor:
    """Finds the noise of a path that noised() made, or that of an inversion's first level."""
    share = path.schedule.sigma[0]
    if not share > 0:
        raise DragError("the trajectory has no noise at its first level: invert to more than one level")
    return (path.z[0] - path.schedule.alpha[0] * path.z[-1]) / share

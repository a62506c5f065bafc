"""A drag without gradients: a draft of the result is noised and drawn to its end by the model.

Each cell of the latent has a strength. It follows the draft, noised, until as little of the noise is left as
its strength allows, and is the model's from there on (the change map of Differential Diffusion, Levin and
Fried 2023, eq. 5, with the draft's own noise).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..step import OnStep, Step, quiet
from ..types import KV, Backbone, DragError, KVInject, KVRecord, Schedule
from .kvcache import KVPlain
from .solvers import Solver, ddim, euler

STEPS = 4  # 8 gain nothing (24 drags of lit scenes)
NEAR = 0.01  # a noise model has levels near the even ones: a share this near counts as the same


@torch.no_grad()
def finish(
    backbone: Backbone,
    draft: Tensor,
    strength: Tensor,
    schedule: Schedule,
    noise: Tensor,
    *,
    kv_blocks: tuple[str, ...] = (),
    kv_where: Tensor | None = None,
    solver: Solver | None = None,
    on_step: OnStep = quiet,
) -> Tensor:
    """Draws the clean latent `draft` (B, C, h, w) to its end where `strength` is above 0.

    strength: (1, 1, h, w) in [0, 1]: the share of the schedule's time from which a cell is the model's: 1 all
        of it, .5 its second half, 0 never: such a cell is the draft's bit for bit.
    schedule: from the time of the noisiest cell to a clean end (alpha 1, sigma 0), as evenly() makes it.
    noise: (B, C, h, w), N(0, 1): one for the whole way, so that kept cells and drawn ones fit.
    kv_blocks: whose keys and values are the draft's, recorded by one more pass a level.
    kv_where: (1, 1, h, w) in {0, 1}: only there (None: everywhere).
    solver: None: DDIM, or Euler for a model of velocities.
    Nothing to draw: `draft` itself, without a call. Raises DragError for shapes that don't fit, a strength
    outside its range, or a schedule that ends noisy.
    """
    s, count = schedule, len(schedule.t) - 1
    _check(draft, strength, s, noise)
    if not strength.any():
        return draft
    step = solver if solver is not None else euler if s.prediction == "velocity" else ddim
    share, left = strength.to(draft), [_time(s, k) / _time(s, 0) for k in range(count + 1)]

    def noised(k: int) -> Tensor:
        return s.alpha[k] * draft + s.sigma[k] * noise if k < count else draft

    z, carry = noised(0), None
    for k in range(count):
        kv: KV = None
        if kv_blocks:
            seen = KVPlain()
            backbone.predict(noised(k), s.t[k], KVRecord(seen, kv_blocks))
            kv = KVInject(seen, kv_blocks, where=kv_where)
        z, carry = step(backbone, z, s, k, k + 1, kv, carry)
        z = torch.where(share > left[k + 1] + NEAR, z, noised(k + 1))
        on_step(Step(k + 1, count, k + 1, z, stage="finish"))
    return z


def noise_like(z: Tensor, seed: int) -> Tensor:
    """Draws finish()'s noise for a latent: on the CPU, so that a seed means the same on every device."""
    return torch.randn(z.shape, generator=torch.Generator().manual_seed(seed)).to(z)


def _time(s: Schedule, k: int) -> float:
    """Returns the flow's time of level k: the noise's share of signal and noise."""
    return s.sigma[k] / (s.alpha[k] + s.sigma[k])


def _check(draft: Tensor, strength: Tensor, s: Schedule, noise: Tensor) -> None:
    if strength.shape != (1, 1, *draft.shape[-2:]):
        raise DragError(
            f"the strength map has shape {tuple(strength.shape)}; the latent of {tuple(draft.shape)} needs "
            f"{(1, 1, *draft.shape[-2:])}"
        )
    if not 0 <= float(strength.min()) <= float(strength.max()) <= 1:
        raise DragError(
            f"the strength map goes from {float(strength.min()):g} to {float(strength.max()):g}; "
            "it must stay within 0 and 1"
        )
    if noise.shape != draft.shape:
        raise DragError(f"the noise has shape {tuple(noise.shape)} and the latent {tuple(draft.shape)}")
    if s.sigma[-1] != 0:
        raise DragError(
            f"the schedule ends with noise left (sigma {s.sigma[-1]:g}): use evenly(), whose end is clean"
        )

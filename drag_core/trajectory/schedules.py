"""Noise schedules as (t, alpha, sigma), noisy to clean: z_t = alpha · z_0 + sigma · noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..types import DragError, Prediction, Schedule


def sd_alphas_cumprod(first: float = 0.00085, last: float = 0.012, count: int = 1000) -> Tensor:
    """Multiplies up Stable Diffusion's scaled-linear betas, (count,) float64."""
    betas = torch.linspace(first**0.5, last**0.5, count, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0)


def kept_steps(steps: int, strength: float) -> int:
    """Counts how many of `steps` an inversion of the share `strength` in (0, 1] makes; at least one."""
    return max(1, round(steps * strength + 1e-9))


def ddim(
    steps: int, strength: float = 1.0, alphas_cumprod: Tensor | None = None, offset: int = 1
) -> Schedule:
    """Makes DDIM levels of the VP family, the noisiest `strength` of `steps` left.

    50 at 0.75 give 38 levels of noise. As in SD's scheduler: spacing 1000/steps, steps_offset 1, and the
    clean end is alpha_cumprod[0], not 1 (set_alpha_to_one False); t of the clean end is 0.
    """
    acp = sd_alphas_cumprod() if alphas_cumprod is None else alphas_cumprod
    if not 1 <= steps <= len(acp):
        raise ValueError(f"steps is {steps}; it must be between 1 and {len(acp)}")
    if not 0 < strength <= 1:
        raise ValueError(f"inversion strength is {strength}; it must be above 0 and at most 1")
    kept = kept_steps(steps, strength)
    gap = len(acp) // steps
    levels = [k * gap + offset for k in range(kept)][::-1]
    values = [float(acp[min(t, len(acp) - 1)]) for t in levels] + [float(acp[0])]
    return _variance_preserving(levels, values)


def _variance_preserving(levels: Sequence[int], alphas_cumprod: Sequence[float]) -> Schedule:
    """Makes a noise model's schedule of its `levels` and a clean end; alphas_cumprod: of all of them."""
    return Schedule(
        t=(*map(float, levels), 0.0),
        alpha=tuple(math.sqrt(v) for v in alphas_cumprod),
        sigma=tuple(math.sqrt(1 - v) for v in alphas_cumprod),
        prediction="noise",
    )


def every_level(alphas_cumprod: Tensor | None = None) -> Schedule:
    """Lists all levels that a model of the VP family was trained at, 999 to 0, and the clean end."""
    acp = sd_alphas_cumprod() if alphas_cumprod is None else alphas_cumprod
    return ddim(len(acp), 1.0, acp, offset=0)


def flux_shift(tokens: int) -> float:
    """Computes FLUX.1's resolution shift mu.

    It is 0.5 at 256 image tokens, 1.15 at 4096, linear between and beyond.
    """
    return 0.5 + (1.15 - 0.5) * (tokens - 256) / (4096 - 256)


def qwen_shift(tokens: int) -> float:
    """Computes Qwen-Image's mu.

    It is 0.5 at 256 image tokens, 0.9 at 8192, linear (its scheduler's configuration).
    """
    return 0.5 + (0.9 - 0.5) * (tokens - 256) / (8192 - 256)


def flux2_shift(tokens: int, steps: int) -> float:
    """Computes FLUX.2's mu, an empirical fit of its authors.

    It is linear in the tokens at 200 steps and at 10, linear in the steps between and beyond; above 4300
    tokens it is that of 200 steps.
    """
    many, few = 0.00016927 * tokens + 0.45666666, 8.73809524e-05 * tokens + 1.89833333
    return many if tokens > 4300 else many + (few - many) * (200 - steps) / 190


def flow(steps: int, skip: int = 0, shift: float = 0.0) -> Schedule:
    """Makes rectified-flow levels, t from 1 to 0 in `steps`, the `skip` noisiest steps left out.

    DragFlow has 25 and 6. `shift` is FLUX's mu: t' = e^mu / (e^mu + 1/t - 1).
    """
    if not 0 <= skip < steps:
        raise ValueError(f"skip is {skip}; it must be between 0 and steps - 1 = {steps - 1}")
    even = [1 - k / steps for k in range(skip, steps)]
    return _straight([math.exp(shift) / (math.exp(shift) + 1 / x - 1) for x in even])


def _straight(times: Sequence[float]) -> Schedule:
    """Makes a flow's schedule of its `times` and a clean end."""
    t = (*times, 0.0)
    return Schedule(t=t, alpha=tuple(1 - x for x in t), sigma=t, prediction="velocity")


def evenly(
    first: float, steps: int, prediction: Prediction, alphas_cumprod: Tensor | None = None
) -> Schedule:
    """Makes `steps` levels evenly from the flow's time `first` in (0, 1) down to a clean end.

    A noise model takes those of its levels (`alphas_cumprod`; None: Stable Diffusion's) whose sigma / alpha
    are nearest. Its clean end has alpha 1, not DDIM's alpha_cumprod[0], which would leave 3 % of a fresh
    noise in the result.
    """
    if not 0 < first < 1 or steps < 1:
        raise DragError(f"{steps} steps from {first}: there must be one at least, and it within 0 and 1")
    even = [first * (1 - k / steps) for k in range(steps)]
    if prediction == "velocity":
        return _straight(even)
    acp = sd_alphas_cumprod() if alphas_cumprod is None else alphas_cumprod
    ratio = ((1 - acp) / acp).sqrt()
    found = [int((ratio - x / (1 - x)).abs().argmin()) for x in even]
    return _variance_preserving(found, [float(acp[n]) for n in found] + [1.0])


def sparser(s: Schedule, steps: int) -> Schedule:
    """Makes the same way from the same noise in `steps` steps, over levels of `s` chosen evenly."""
    count = len(s.t) - 1
    if not 1 <= steps <= count:
        raise ValueError(f"steps is {steps}; it must be between 1 and the schedule's {count}")
    kept = [round(k * count / steps) for k in range(steps + 1)]
    t, alpha, sigma = (tuple(values[k] for k in kept) for values in (s.t, s.alpha, s.sigma))
    return Schedule(t, alpha, sigma, s.prediction)

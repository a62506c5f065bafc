"""The host's model sampling <-> the core's noise levels.

The core's latent is z_t = alpha·z_0 + sigma·noise at level t. The host's flow models use the same; its noise
models use x = z / alpha at sigma_host = sigma / alpha.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import comfy.model_sampling as ms
import torch
from torch import Tensor

from ...drag_core.ranges import check_mode
from ...drag_core.trajectory.schedules import ddim, evenly, flow
from ...drag_core.types import DragError, Prediction, Schedule
from .shape import host_shape, latent_out

Shift = Literal["auto", "model"]
FULL_NOISE = "at full noise noisy_latent is the picture itself: go on with the noise output"


def prediction_of(sampling: Any) -> Prediction:
    """Names what the core calls the model's kind, "velocity" or "noise"."""
    if isinstance(sampling, ms.CONST) and isinstance(
        sampling, (ms.ModelSamplingFlux, ms.ModelSamplingDiscreteFlow)
    ):
        if not hasattr(sampling, "audio_shift"):  # two streams, each with levels of its own
            return "velocity"
    if isinstance(sampling, ms.ModelSamplingDiscrete) and isinstance(sampling, ms.EPS):
        return "noise"  # V_PREDICTION is a subclass of EPS
    bases = " + ".join(c.__name__ for c in type(sampling).__mro__[1:3])
    raise DragError(
        f"the model samples by {bases}, and drags know SD's noise or v-prediction and the flow of FLUX and "
        "SD3: connect such a model, without a ModelSampling node of another kind"
    )


def shift_of(sampling: Any) -> float:
    """Returns the mu that is set on the model."""
    if isinstance(sampling, ms.ModelSamplingFlux):
        return float(sampling.shift)
    return math.log(float(sampling.shift))  # schnell, SD3: a plain factor, which is e^mu


def schedule_for(
    sampling: Any,
    steps: int,
    strength: float,
    shift: Shift,
    tokens: int,
    rule: Callable[[int, int], float] | None = None,
) -> Schedule:
    """Makes the schedule: the noisiest `strength` of `steps` kept.

    shift: "model", or "auto" by the model's own `rule`, where it has one and no node put other levels on it.
    rule: mu by image tokens and steps.
    """
    check_mode("shift", shift, Shift)
    if not 0 < strength <= 1:
        raise DragError(f"strength is {strength:g}; it must be above 0 and at most 1")
    if prediction_of(sampling) == "velocity":
        by_size = shift == "auto" and isinstance(sampling, ms.ModelSamplingFlux)
        mu = rule(tokens, steps) if by_size and rule is not None else shift_of(sampling)
        return flow(steps, skip=steps - max(1, round(steps * strength)), shift=mu)
    sigmas = sampling.sigmas.double().cpu()
    if steps > len(sigmas):
        raise DragError(f"steps is {steps}; this model knows {len(sigmas)} noise levels")
    return ddim(steps, strength, 1 / (1 + sigmas**2))


def finishing(sampling: Any, first: float, steps: int) -> Schedule:
    """Makes `steps` levels evenly from the flow's time `first` to a clean end, of the model's own levels."""
    kind = prediction_of(sampling)
    acp = None if kind == "velocity" else 1 / (1 + sampling.sigmas.double().cpu() ** 2)
    return evenly(first, steps, kind, acp)


def noise_scale(sampling: Any) -> float:
    """Returns the deviation of the model's noise: 1 but where its sampling says otherwise."""
    return float(getattr(sampling, "noise_scale", 1.0))


def host_sigma(sampling: Any, t: float) -> float:
    """Computes the host's sigma at the core's level t."""
    if prediction_of(sampling) == "velocity":
        return t
    return float(sampling.sigmas[min(round(t), len(sampling.sigmas) - 1)])


def core_level(sampling: Any, sigma: float) -> float:
    """Computes the core's level at a host sigma, the inverse of host_sigma."""
    if prediction_of(sampling) == "velocity":
        return sigma
    return float(sampling.timestep(torch.tensor([max(sigma, 1e-8)])))


def to_host(z: Tensor, schedule: Schedule, level: int) -> Tensor:
    """Turns the core's latent at a level of the schedule into the form that the host's samplers hold."""
    return z if schedule.prediction == "velocity" else z / schedule.alpha[level]


def host_sigmas(schedule: Schedule, first: int = 0) -> Tensor:
    """Makes SIGMAS from level `first` to the clean end, which is 0."""
    values = [
        d if schedule.prediction == "velocity" else d / a
        for d, a in zip(schedule.sigma[first:-1], schedule.alpha[first:-1], strict=True)
    ]
    return torch.tensor([*values, 0.0])


@dataclass(frozen=True)
class RestartNoise:
    """NOISE that makes any of the host's samplers start at `x`, whatever latent it is given beside it.

    x (1, C, h, w) is the host's noisy latent at `sigma`. The sampler puts noise·factor + latent·share
    together; this solves for the noise. `seed` is read by the host.
    """

    x: Tensor
    sigma: float
    sigma_max: float
    flow: bool
    latent_format: Any
    scale: float = 1.0
    seed: int = 0

    def generate_noise(self, latent: dict[str, Any]) -> Tensor:
        given = host_shape(self, latent["samples"])
        if given.shape[1:] != self.x.shape[1:]:
            raise DragError(
                f"the inverted latent is {self.x.shape[-1]}x{self.x.shape[-2]} and the sampler was given one "
                f"of {given.shape[-1]}x{given.shape[-2]}: connect the latent that DragInvert puts out"
            )
        x = self.x.to(given).expand_as(given)
        clean = self.latent_format.process_in(given) if torch.count_nonzero(given) > 0 else given
        if self.flow:
            return (x - (1 - self.sigma) * clean) / (self.sigma * self.scale)
        full = math.isclose(self.sigma, self.sigma_max, rel_tol=1e-5) or self.sigma > self.sigma_max
        return (x - clean) / (math.sqrt(1 + self.sigma**2) if full else self.sigma)


def sampling_of(patcher: Any) -> Any:
    """Finds the model sampling that will run: a ModelSampling node puts its own over the model's."""
    return patcher.get_model_object("model_sampling")


def restart_noise(patcher: Any, z: Tensor, schedule: Schedule, level: int) -> RestartNoise:
    """Makes a NOISE that starts at the core's latent z of `level`."""
    sampling = sampling_of(patcher)
    is_flow = schedule.prediction == "velocity"
    sigma = float(host_sigmas(schedule, level)[0])
    x = host_shape(patcher.model, to_host(z, schedule, level).detach().float().cpu().clone())
    scale = noise_scale(sampling)
    return RestartNoise(x, sigma, float(sampling.sigma_max), is_flow, patcher.model.latent_format, scale)


def restart_latent(patcher: Any, z: Tensor, schedule: Schedule, level: int) -> Tensor | None:
    """Makes the LATENT samples that start a sampler at z when it is given no noise (DisableNoise).

    None at full noise of a flow, where the sampler multiplies the latent by zero: only a noise starts there.
    """
    x = to_host(z, schedule, level).detach().float().cpu()
    if schedule.prediction == "velocity":
        if schedule.t[level] > 1 - 1e-4:
            return None
        x = x / (1 - schedule.t[level])
    return latent_out(patcher.model, x)

"""Moving a latent from one level of a schedule to the next, either way.

Solvers are plain functions that carry their own velocity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ..types import KV, Backbone, DragError, Schedule

Step = Callable[[Backbone, Tensor, Schedule, int, int, KV, Tensor | None], tuple[Tensor, Tensor | None]]


class Solver(Protocol):
    """One step of a latent. A solver round another one says of itself what that one says."""

    @property
    def carries(self) -> bool:
        """Whether a denoising goes on with the velocity that the inversion arrived with."""
        ...

    def __call__(
        self, backbone: Backbone, z: Tensor, s: Schedule, i: int, j: int, kv: KV, carry: Tensor | None, /
    ) -> tuple[Tensor, Tensor | None]:
        """z at level i of `s` carried to level j, and the velocity of this step, for the next one."""
        ...


@dataclass(frozen=True)
class Stepping:
    """A plain function as a Solver."""

    step: Step
    carries: bool = False

    def __call__(
        self, backbone: Backbone, z: Tensor, s: Schedule, i: int, j: int, kv: KV, carry: Tensor | None, /
    ) -> tuple[Tensor, Tensor | None]:
        return self.step(backbone, z, s, i, j, kv, carry)

    def __repr__(self) -> str:
        return getattr(self.step, "__name__", repr(self.step))


def exact(step: Step) -> Stepping:
    """A solver that returns exactly, if it goes on with the velocity that it arrived with."""
    return Stepping(step, carries=True)


def ddim_jump(z: Tensor, noise: Tensor, s: Schedule, i: int, j: int) -> Tensor:
    """Carries z at level i to level j along the predicted noise (DDIM, eta 0)."""
    clean = (z - s.sigma[i] * noise) / s.alpha[i]
    return s.alpha[j] * clean + s.sigma[j] * noise


@Stepping
def ddim(
    backbone: Backbone, z: Tensor, s: Schedule, i: int, j: int, kv: KV, carry: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Takes DDIM's step.

    z_j = α_j (z_i - σ_i ε) / α_i + σ_j ε, ε = ε(z_i, t_k), k = min(i, j): inverting (j < i) evaluates at the
    noisier level that it goes to, where denoising will evaluate too, as DragDiffusion's release does. The
    papers write ε(z_t) without a level (DragNeXt eq. 10, AdaptiveDrag eq. 3).
    """
    return ddim_jump(z, backbone.predict(z, s.t[min(i, j)], kv), s, i, j), None


@Stepping
def euler(
    backbone: Backbone, z: Tensor, s: Schedule, i: int, j: int, kv: KV, carry: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Takes Euler's step: first order, one call a step."""
    _need_flow(s, "euler")
    return z + (s.t[j] - s.t[i]) * backbone.predict(z, s.t[i], kv), None


@Stepping
def fireflow(
    backbone: Backbone, z: Tensor, s: Schedule, i: int, j: int, kv: KV, carry: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Takes FireFlow's step: a midpoint step whose first slope is the last midpoint velocity.

    Second order at one call a step.
    """
    _need_flow(s, "fireflow")
    dt, middle = s.t[j] - s.t[i], (s.t[i] + s.t[j]) / 2
    slope = backbone.predict(z, s.t[i], kv) if carry is None else carry
    velocity = backbone.predict(z + dt / 2 * slope, middle, kv)
    return z + dt * velocity, velocity


@exact
def alf(
    backbone: Backbone, z: Tensor, s: Schedule, i: int, j: int, kv: KV, carry: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Takes a step of asynchronous leapfrog (MALI, ICLR 2021).

    It has FireFlow's cost and is exactly reversible with its carried velocity.
    """
    _need_flow(s, "alf")
    dt, middle = s.t[j] - s.t[i], (s.t[i] + s.t[j]) / 2
    slope = backbone.predict(z, s.t[i], kv) if carry is None else carry
    half = z + dt / 2 * slope
    velocity = 2 * backbone.predict(half, middle, kv) - slope
    return half + dt / 2 * velocity, velocity


def _need_flow(s: Schedule, name: str) -> None:
    if s.prediction != "velocity":
        raise DragError(
            f"solver {name} needs a velocity model (FLUX); this schedule predicts {s.prediction}: use ddim"
        )

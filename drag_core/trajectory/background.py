"""The background of an edit: which picture its constraint compares with, level by level.

Also what the source is between the levels, for samplers that stop elsewhere than the trajectory did.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from torch import Tensor

from ..types import KV, Backbone, DragError, Trajectory
from .solvers import Solver

BackgroundSource = Literal["trajectory", "reconstruction"]
Denoised = tuple[Tensor, Tensor | None]  # the background at a level, and its solver's velocity there


class Background(Protocol):
    """What the rest of the picture is held against.

    Its state goes in and out of `step`.
    """

    @property
    def needs_prediction(self) -> bool:
        """Whether `held` wants the background one step ahead."""
        ...

    def held(self, here: Tensor, ahead: Tensor) -> Tensor:
        """Returns what an update puts back, of the background at its level and one plain step ahead."""
        ...

    def step(
        self, backbone: Backbone, source: Trajectory, solver: Solver, i: int, now: Denoised, kv: KV
    ) -> Denoised:
        """Takes the background `now` at level i to level i + 1.

        backbone: what the source was inverted with. kv: the edit's.
        """
        ...


@dataclass(frozen=True)
class Stored:
    """The inversion's own latents: exact, and without a model call."""

    needs_prediction: bool = False

    def held(self, here: Tensor, ahead: Tensor) -> Tensor:
        return here

    def step(
        self, backbone: Backbone, source: Trajectory, solver: Solver, i: int, now: Denoised, kv: KV
    ) -> Denoised:
        return source.z[i + 1], now[1]


@dataclass(frozen=True)
class Reconstructed:
    """The inverted picture denoised beside the edit as it was inverted, without the edit's K/V or prompt.

    This is the papers' way: DragFlow's reconstruction branch, z_t^orig (§3.3, eq. 4).
    """

    needs_prediction: bool = False

    def held(self, here: Tensor, ahead: Tensor) -> Tensor:
        return here

    def step(
        self, backbone: Backbone, source: Trajectory, solver: Solver, i: int, now: Denoised, kv: KV
    ) -> Denoised:
        return solver(backbone, now[0], source.schedule, i, i + 1, None, now[1])


def background_of(source: BackgroundSource) -> Background:
    """Finds the background that a node or a command calls `source`."""
    if source not in get_args(BackgroundSource):
        raise DragError(f"there is no background {source!r}: use {' or '.join(get_args(BackgroundSource))}")
    return Stored() if source == "trajectory" else Reconstructed()


def background_at(source: Trajectory, sigma: float) -> Tensor:
    """Computes the source's own latent (1, C, h, w) at noise level `sigma`.

    It is exact at the stored levels, straight between them, the noisiest level's noise scaled beyond it, and
    the clean latent at 0.

    Flow schedules: sigma is t in [0, 1]. VP schedules: sigma = sigma_t / alpha_t and the latent is divided by
    alpha_t, the frame that ComfyUI's and k-diffusion's samplers work in.
    """
    s, clean = source.schedule, source.z[-1]
    flow = s.prediction == "velocity"
    levels = [0.0] + [d if flow else d / a for d, a in zip(s.sigma[-2::-1], s.alpha[-2::-1], strict=True)]

    def stored(k: int) -> Tensor:
        if k == 0:
            return clean
        i = len(s.t) - 1 - k
        return source.z[i] if flow else source.z[i] / s.alpha[i]

    k = bisect_left(levels, sigma)
    if k < len(levels) and levels[k] == sigma:
        return stored(k)
    if k == len(levels):
        top = levels[-1]
        noise = (stored(k - 1) - ((1 - top) if flow else 1.0) * clean) / top
        return ((1 - sigma) if flow else 1.0) * clean + sigma * noise
    share = (sigma - levels[k - 1]) / (levels[k] - levels[k - 1])
    return stored(k - 1) + share * (stored(k) - stored(k - 1))

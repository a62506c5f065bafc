"""Backbones whose answers are known in closed form."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from drag_core.trajectory.solvers import Solver
from drag_core.types import KV, FeatureTap, KVInject, KVRecord, Schedule


class Gaussian:
    """The exact denoiser of data N(mean, deviation²), cell by cell: what a perfect network would predict.

    The exact path through every level keeps (z_t − alpha·mean)/sqrt(alpha²·deviation² + sigma²) constant.
    """

    def __init__(self, mean: Tensor, deviation: float, schedule: Schedule) -> None:
        self.mean, self.deviation, self.schedule = mean, deviation, schedule
        self.levels: list[float] = []

    def _level(self, t: float) -> tuple[float, float]:
        s = self.schedule
        if s.prediction == "velocity":
            return 1 - t, t
        i = s.t.index(t)
        return s.alpha[i], s.sigma[i]

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        self.levels.append(t)
        alpha, sigma = self._level(t)
        centred = (z - alpha * self.mean) / (alpha**2 * self.deviation**2 + sigma**2)
        noise = sigma * centred
        if self.schedule.prediction == "noise":
            return noise
        return noise - (self.mean + alpha * self.deviation**2 * centred)

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        return [z for _ in taps], None if stop else self.predict(z, t, kv)

    def exact(self, z: Tensor, t: float, to: float) -> Tensor:
        """z at level t carried along the exact path to level `to`."""
        (a, b), (c, d) = self._level(t), self._level(to)
        v = self.deviation**2
        return c * self.mean + (z - a * self.mean) * math.sqrt((c * c * v + d * d) / (a * a * v + b * b))


class Mixture:
    """The exact velocity of a flow whose data are a mixture of Gaussians N(mean_k, deviation²), equally
    likely: mean_k (K, C, h, w). Unlike one Gaussian's its paths are curved.
    """

    def __init__(self, means: Tensor, deviation: float) -> None:
        self.means, self.deviation = means, deviation
        self.levels: list[float] = []

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        self.levels.append(t)
        alpha = 1 - t
        variance = alpha**2 * self.deviation**2 + t**2
        centred = z - alpha * self.means
        share = torch.softmax(-centred.square().flatten(1).sum(1) / (2 * variance), 0)
        noise = t * centred / variance
        clean = self.means + alpha * self.deviation**2 * centred / variance
        return (share[:, None, None, None] * (noise - clean)).sum(0, keepdim=True)

    def features(self, *args: object, **kwargs: object) -> tuple[list[Tensor], Tensor | None]:
        raise AssertionError("not asked for")


class Linear:
    """Features linear in the latent: each channel blurred by a Gaussian, then mixed; the prediction is
    `rate`·z.

    Block "a" hands K = z and V = 2z to the cache, and keeps what it is given back in `injected`.
    """

    def __init__(
        self, channels: int = 4, width: int = 8, rate: float = 0.0, blur: float = 1.5, seed: int = 0
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.mix = torch.randn(width, channels, 1, 1, generator=generator)
        line = torch.exp(-(torch.arange(-4.0, 5.0) ** 2) / (2 * blur**2))
        self.kernel = (line[:, None] * line / line.sum() ** 2).expand(channels, 1, 9, 9)
        self.rate = rate
        self.calls: list[tuple[str, float]] = []
        self.injected: list[tuple[float, Tensor]] = []

    def _attend(self, z: Tensor, t: float, kv: KV) -> None:
        if isinstance(kv, KVRecord):
            kv.cache.put(t, "a", z, 2 * z)
        if isinstance(kv, KVInject):
            self.injected.append((t, kv.cache.get(t, "a")[0]))

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        self.calls.append(("predict", t))
        self._attend(z, t, kv)
        return self.rate * z

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        self.calls.append(("features", t))
        self._attend(z, t, kv)
        smooth = F.conv2d(F.pad(z, (4, 4, 4, 4), mode="replicate"), self.kernel.to(z), groups=z.shape[1])
        return [F.conv2d(smooth, self.mix.to(z)) for _ in taps], None if stop else self.rate * z


def levels(n: int, start: float = 1.0, prediction: Literal["velocity", "noise"] = "velocity") -> Schedule:
    """n even steps of t from `start` to 0: a flow, or a VP family (alpha, sigma) = (cos, sin) of
    t·pi/2·0.95.
    """
    t = tuple(start * (1 - i / n) for i in range(n + 1))
    if prediction == "velocity":
        return Schedule(t, tuple(1 - x for x in t), t, "velocity")
    turn = [x * math.pi / 2 * 0.95 for x in t]
    return Schedule(t, tuple(map(math.cos, turn)), tuple(map(math.sin, turn)), "noise")


def walk(
    backbone: Gaussian, z: Tensor, s: Schedule, solver: Solver, path: list[int], carry: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """z carried by `solver` through the levels of `path`."""
    for i, j in zip(path, path[1:], strict=False):
        z, carry = solver(backbone, z, s, i, j, None, carry)
    return z, carry


def blob(at: tuple[float, float], size: int = 16, spread: float = 1.5, channels: int = 4) -> Tensor:
    """(1, channels, size, size): a Gaussian bump at cell (x, y), of different height in each channel."""
    i = torch.arange(float(size))
    bump = torch.exp(-((i[None] - at[0]) ** 2 + (i[:, None] - at[1]) ** 2) / (2 * spread**2))
    return bump * torch.linspace(2.0, 0.5, channels)[None, :, None, None]


def centre_of_mass(z: Tensor) -> tuple[float, float]:
    """(x, y) cells, of the absolute values."""
    weight = z.abs().sum((0, 1))
    i = torch.arange(weight.shape[-1], dtype=weight.dtype)
    return float((weight.sum(0) * i).sum() / weight.sum()), float((weight.sum(1) * i).sum() / weight.sum())

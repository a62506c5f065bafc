"""What a drag edit is made of: plain frozen data; no model, no device chosen here.

Frames: points are (x, y) pixel centres of the input image, origin at the centre of the top-left pixel, y down.
Angles are radians, positive turning +x towards +y (clockwise on screen). Masks are float tensors in {0, 1}.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from torch import Tensor

Point = tuple[float, float]
Variant = Literal["ours", "paper", "released"]


@dataclass(frozen=True)
class Grid:
    """Size of a sampling grid over the image, in cells."""

    height: int
    width: int


@dataclass(frozen=True)
class AffineMotion:
    """An affine motion at full progress, in image pixels: scale and turn about `anchor`, then shift.

    `scale` is along the image's axes (sx, sy > 0). Progress s gives shift·s, angle·s and scale**s.
    """

    shift: Point = (0.0, 0.0)
    angle: float = 0.0
    scale: Point = (1.0, 1.0)
    anchor: Point = (0.0, 0.0)


@dataclass(frozen=True)
class Region:
    """One thing to move: mask (H, W) in {0, 1}, its motion, its share γ of the loss."""

    mask: Tensor
    motion: AffineMotion
    weight: float = 1.0


@dataclass(frozen=True)
class Handle:
    """One point to move from `start` to `target`; `region` (H, W) optionally limits which pixels belong to it."""

    start: Point
    target: Point
    region: Tensor | None = None


@dataclass(frozen=True)
class Schedule:
    """Noise levels, noisy to clean: z_t = alpha · z_0 + sigma · noise; `t` is what the backbone is given."""

    t: tuple[float, ...]
    alpha: tuple[float, ...]
    sigma: tuple[float, ...]
    prediction: Literal["noise", "velocity"]


@dataclass(frozen=True)
class FeatureTap:
    """Where to read features: block "double.17", "single.3", "up.1"; site "norm1" (its input norm) or "out"."""

    block: str
    site: Literal["norm1", "out"] = "out"


class KVCache:
    """Self-attention keys and values of one branch, by (level, block). Owned by the run that fills it."""

    def __init__(self) -> None:
        self._kv: dict[tuple[float, str], tuple[Tensor, Tensor]] = {}

    def put(self, level: float, block: str, k: Tensor, v: Tensor) -> None:
        self._kv[level, block] = (k.detach(), v.detach())

    def get(self, level: float, block: str) -> tuple[Tensor, Tensor]:
        if (level, block) not in self._kv:
            raise KeyError(f"no K/V stored for block {block!r} at level {level}; levels: {sorted(self.levels)}")
        return self._kv[level, block]

    @property
    def levels(self) -> set[float]:
        return {level for level, _ in self._kv}

    @property
    def bytes(self) -> int:
        return sum(x.numel() * x.element_size() for kv in self._kv.values() for x in kv)


@dataclass(frozen=True)
class KVRecord:
    """Store K and V of the image tokens of `blocks` under noise level `level`."""

    cache: KVCache
    level: float
    blocks: tuple[str, ...]


@dataclass(frozen=True)
class KVInject:
    """Replace K and V of the image tokens of `blocks` by those stored under noise level `level`."""

    cache: KVCache
    level: float
    blocks: tuple[str, ...]


KV = KVRecord | KVInject | None


@dataclass(frozen=True)
class Trajectory:
    """Latents of one branch: z[i] belongs to schedule.t[i]; each (1, C, h, w); z[-1] is the clean latent."""

    schedule: Schedule
    z: tuple[Tensor, ...]
    kv: KVCache | None = field(default=None, compare=False)


class Backbone(Protocol):
    """A denoiser bound to its conditioning. Everything model-specific is behind it."""

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        """Noise or velocity at z (1, C, h, w), level t of its schedule; same shape."""
        ...

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        """One native-resolution map (1, F, fh, fw) per tap; with `stop` nothing past the last tap runs and the
        second item is None, else it is the prediction. Gradients flow to z, never to weights."""
        ...

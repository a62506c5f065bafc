"""What a drag edit is made of: plain frozen data; no model, no device chosen here.

Frames: points are (x, y) pixel centres of the input image, origin at the centre of the top-left pixel, y
down. Angles are radians, positive turning +x towards +y (clockwise on screen). Masks are float tensors in {0,
1}.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from torch import Tensor

Point = tuple[float, float]


class DragError(ValueError):
    """Bad input, said in one sentence meant for the user: what was wrong, with the value, and what to do."""


Variant = Literal["ours", "paper", "released"]


@dataclass(frozen=True)
class Grid:
    """Size of a sampling grid over the image, in cells."""

    height: int
    width: int


@dataclass(frozen=True)
class AffineMotion:
    """An affine motion at full progress, in image pixels: scale and turn about `anchor`, then shift.

    `scale` is along the image's axes (sx, sy > 0). Progress s gives shift·s, angle·s and scale**s; with a
    `path`, shifts on the way from (0, 0) to `shift`, the shift runs along that polyline by its length.
    """

    shift: Point = (0.0, 0.0)
    angle: float = 0.0
    scale: Point = (1.0, 1.0)
    anchor: Point = (0.0, 0.0)
    path: tuple[Point, ...] = ()


@dataclass(frozen=True)
class Region:
    """One thing to move: mask (H, W) in {0, 1}, its motion, its share γ of the loss."""

    mask: Tensor
    motion: AffineMotion
    weight: float = 1.0


@dataclass(frozen=True)
class Handle:
    """One point to move from `start` to `target`; `region` (H, W) optionally limits which pixels belong to
    it.
    """

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
    """Where to read features: block "double.17", "single.3", "up.1"; site "norm1" (its input norm) or
    "out".
    """

    block: str
    site: Literal["norm1", "out"] = "out"


class KVCache:
    """Self-attention keys and values of one branch, by (level t, block). Owned by the run that fills it.

    `device`: where they are kept ("cpu" for a trajectory that stays); None: where they were made.
    """

    def __init__(self, device: str | None = None) -> None:
        self.device = device
        self._kv: dict[float, dict[str, tuple[Tensor, Tensor]]] = {}

    def put(self, t: float, block: str, k: Tensor, v: Tensor) -> None:
        """Keep K and V of `block` at level `t`; one tensor given for both is kept once."""
        kept = k.detach() if self.device is None else k.detach().to(self.device)
        same = kept if v is k else v.detach() if self.device is None else v.detach().to(self.device)
        self._kv.setdefault(t, {})[block] = (kept, same)

    def get(self, t: float, block: str) -> tuple[Tensor, Tensor]:
        """K and V of `block` at the stored level nearest to `t` (aligned by noise level, not by call order).
        """
        levels = [level for level, blocks in self._kv.items() if block in blocks]
        if not levels:
            raise KeyError(f"no K/V stored for block {block!r}; record it first (KVRecord with this block)")
        return self._kv[min(levels, key=lambda level: abs(level - t))][block]

    def copy(self) -> KVCache:
        """The same tensors under a list of their own: what is added to the copy does not reach this one."""
        out = KVCache(self.device)
        out._kv = {t: dict(blocks) for t, blocks in self._kv.items()}
        return out

    @property
    def levels(self) -> tuple[float, ...]:
        return tuple(sorted(self._kv))

    @property
    def blocks(self) -> tuple[str, ...]:
        """Every block that has something stored, in the order of recording."""
        return tuple(dict.fromkeys(b for blocks in self._kv.values() for b in blocks))

    @property
    def bytes(self) -> int:
        pairs = [kv for blocks in self._kv.values() for kv in blocks.values()]
        return sum(x.numel() * x.element_size() for k, v in pairs for x in ((k,) if v is k else (k, v)))


@dataclass(frozen=True)
class KVRecord:
    """Store K and V of the image tokens of `blocks` under the level of each call."""

    cache: KVCache
    blocks: tuple[str, ...]


@dataclass(frozen=True)
class KVInject:
    """Replace K and V of the image tokens of `blocks` by those stored at the nearest level."""

    cache: KVCache
    blocks: tuple[str, ...]


KV = KVRecord | KVInject | None


@dataclass(frozen=True)
class Trajectory:
    """Latents of one branch: z[i] belongs to schedule.t[i]; each (1, C, h, w); z[-1] is the clean latent.

    `carry` is the solver's velocity at z[0] (alf needs it to return exactly).
    """

    schedule: Schedule
    z: tuple[Tensor, ...]
    kv: KVCache | None = field(default=None, compare=False)
    carry: Tensor | None = None


@dataclass(frozen=True)
class Task:
    """What the user asked for, on the picture that the model sees: regions and/or handles, and where it may
    change.

    `editable` is (H, W) in {0, 1}; None means that everything may change. `cell`: pixels along a cell of the
    model's latent.
    """

    image: Grid
    regions: tuple[Region, ...] = ()
    handles: tuple[Handle, ...] = ()
    editable: Tensor | None = None
    cell: int = 8


class Backbone(Protocol):
    """A denoiser bound to its conditioning. Everything model-specific is behind it."""

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        """Noise or velocity at z (1, C, h, w), level t of its schedule; same shape."""
        ...

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        """One native-resolution map (1, F, fh, fw) per tap; with `stop` nothing past the last tap runs and
        the
        second item is None, else it is the prediction. Gradients flow to z, never to weights."""
        ...

"""What a drag edit is made of: plain frozen data; no model, no device chosen here.

Frames: points are (x, y) pixel centres of the input image, origin at the centre of the top-left pixel, y
down. Angles are radians, positive from +x to +y (clockwise on screen). Masks are float tensors in {0, 1}.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, Protocol

from torch import Tensor

from .errors import DragError as DragError
from .ranges import check_mode

Point = tuple[float, float]
Variant = Literal["ours", "paper", "released"]
Family = Literal["sd", "flux"]  # what a recipe was made for: Stable Diffusion's UNets; FLUX and its kin
Prediction = Literal["noise", "velocity"]
Site = Literal["norm1", "out"]


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

    def __post_init__(self) -> None:
        if self.mask.ndim != 2:
            raise DragError(f"a region's mask has shape {tuple(self.mask.shape)}; it must be (H, W)")
        if not 0 <= self.weight < math.inf:
            raise DragError(f"a region's weight is {self.weight}; it must be a number from 0 up")


@dataclass(frozen=True)
class Handle:
    """One point to move from `start` to `target`.

    region: (H, W), optionally limits which pixels belong to it.
    """

    start: Point
    target: Point
    region: Tensor | None = None


@dataclass(frozen=True)
class Schedule:
    """Noise levels, noisy to clean: z_t = alpha · z_0 + sigma · noise, where the backbone is given `t`."""

    t: tuple[float, ...]
    alpha: tuple[float, ...]
    sigma: tuple[float, ...]
    prediction: Prediction

    def __post_init__(self) -> None:
        check_mode("the schedule's prediction", self.prediction, Prediction)
        counts = tuple(map(len, (self.t, self.alpha, self.sigma)))
        if len(set(counts)) != 1 or counts[0] < 2:
            raise DragError(
                "a schedule has {} values of t, {} of alpha and {} of sigma".format(*counts)
                + "; it must have as many of each, two at least"
            )
        if not all(map(math.isfinite, (*self.t, *self.alpha, *self.sigma))):
            raise DragError("a schedule has a level that is not a finite number")
        last = len(self.t) - 2  # the clean end's t is 0, and so may be that of the lowest level before it
        for i, (a, b) in enumerate(pairwise(self.t)):
            if a < b or (a == b and i < last):
                raise DragError(f"a schedule's t goes from {a:g} to {b:g}; it must fall, noisy to clean")


@dataclass(frozen=True)
class FeatureTap:
    """Where to read features.

    block: "double.17", "single.3", "up.1".
    site: "norm1" (its input norm) or "out".
    """

    block: str
    site: Site = "out"

    def __post_init__(self) -> None:
        check_mode(f"the site of feature tap {self.block}", self.site, Site)


class KVView(Protocol):
    """What an injection reads: a KVCache, or another order of what one keeps."""

    def level(self, t: float, block: str) -> float:
        """The stored level that is read for `t`: of a cache the nearest one."""
        ...

    def get(self, t: float, block: str, like: Tensor | None = None) -> tuple[Tensor | None, Tensor]:
        """K (None: only V is kept) and V of `block` at its level for `t`, on `like`'s device in its dtype."""
        ...

    def make_anew(self, wanted: Mapping[str, float], origin: Backbone, like: Tensor) -> None:
        """Make what get() will be asked, by block and level, where it is not kept but made with `origin`."""
        ...

    def text(self, block: str) -> int:
        """How many prompt tokens stand before the image's in what is stored for `block`."""
        ...

    @property
    def with_keys(self) -> bool:
        """Whether K is stored for every block, not V alone."""
        ...


class KVCache(KVView, Protocol):
    """Self-attention keys and values of one branch, by (level t, block).

    Owned by the run that fills it. They stay where they are made; drag_core.trajectory.kvstore has the one
    that keeps many within a budget.
    """

    def put(self, t: float, block: str, k: Tensor, v: Tensor, text: int = 0) -> None:
        """Keeps K and V of `block` at level `t`.

        One tensor given for both is kept once.

        text: how many of the tokens, the first, are the prompt's.
        """
        ...

    def note(self, t: float, z: Tensor, blocks: tuple[str, ...], text: bool) -> bool:
        """Keep the latent in place of the K/V that a pass over it would put(); False: they are wanted."""
        ...

    def holding(self, block: str) -> list[float]:
        """Lists the levels that `block` is stored at, one at least."""
        ...

    def copy(self) -> KVCache:
        """Copies the list, not the tensors: what is added to the copy does not reach this one."""
        ...

    @property
    def replays(self) -> bool:
        """Whether K/V are made anew from latents where they are asked for."""
        ...

    @property
    def with_text(self) -> bool:
        """Whether prompt tokens are stored too."""
        ...

    @property
    def levels(self) -> tuple[float, ...]: ...

    @property
    def blocks(self) -> tuple[str, ...]:
        """Every block that has something stored, in the order of recording."""
        ...

    @property
    def bytes(self) -> int: ...


@dataclass(frozen=True)
class KVRecord:
    """Stores K and V of the image tokens of `blocks` under the level of each call.

    text: also of the prompt's tokens, where a block has both in one sequence (FLUX's single blocks).
    """

    cache: KVCache
    blocks: tuple[str, ...]
    text: bool = False


@dataclass(frozen=True)
class KVInject:
    """Replaces K and V of `blocks` by those that `cache` has for the level of each call.

    where: (1, 1, h, w) in {0, 1}, in cells of the latent: only there; other tokens keep their own. None: all.
    """

    cache: KVView
    blocks: tuple[str, ...]
    where: Tensor | None = field(default=None, compare=False)


KV = KVRecord | KVInject | None


@dataclass(frozen=True)
class Trajectory:
    """Latents of one branch.

    z: z[i], (1, C, h, w), belongs to schedule.t[i]; z[-1] is the clean latent.
    carry: the solver's velocity at z[0] (alf needs it to return exactly).
    solver: the name of what it was inverted with; "": not known.
    """

    schedule: Schedule
    z: tuple[Tensor, ...]
    kv: KVCache | None = field(default=None, compare=False)
    carry: Tensor | None = None
    solver: str = ""


@dataclass(frozen=True)
class Task:
    """What the user asked for, on the picture that the model sees.

    regions, handles: what moves; one of them or both.
    editable: where it may change, (H, W) in {0, 1}; None means everywhere.
    cell: pixels along a cell of the model's latent.
    shadow: of the regions, (H, W) in {0, 1}: it leaves with them.
    automatic: whether `editable` follows from what moves, so that a paper's own way to find it may replace
        it; False where the user, or a node for it, has said what may change.
    labels: (H, W) int64, the picture's super-pixels counted from 0, for methods that move by them.
    picture: (1, C, H, W) in [0, 1], drawn on, if known; prompts: what that shows before and after.
    """

    image: Grid
    regions: tuple[Region, ...] = ()
    handles: tuple[Handle, ...] = ()
    editable: Tensor | None = None
    cell: int = 8
    shadow: Tensor | None = None
    automatic: bool = False
    labels: Tensor | None = None
    picture: Tensor | None = field(default=None, compare=False, repr=False)
    prompts: tuple[str, str] = ("", "")

    def __post_init__(self) -> None:
        if self.cell < 1:
            raise DragError(f"a task's cell is {self.cell} px; it must be 1 at least")
        masks = [("a region's mask", r.mask) for r in self.regions]
        masks += [("the region of a handle", h.region) for h in self.handles if h.region is not None]
        named = ("the editable mask", "the shadow", "the map of super-pixels")
        others = zip(named, (self.editable, self.shadow, self.labels), strict=True)
        masks += [(name, x) for name, x in others if x is not None]
        for what, mask in masks:
            if tuple(mask.shape) != (self.image.height, self.image.width):
                raise DragError(
                    f"{what} has shape {tuple(mask.shape)} and the task's picture is "
                    f"{self.image.width}x{self.image.height}: draw both on one picture"
                )

    def grid(self, step: int) -> Grid:
        """Returns the picture in cells of `step` pixels."""
        return Grid(self.image.height // step, self.image.width // step)

    @property
    def latent(self) -> Grid:
        return self.grid(self.cell)


class Backbone(Protocol):
    """A denoiser bound to its conditioning, with everything model-specific behind it."""

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        """Predicts noise or velocity at z (1, C, h, w), level t of its schedule; same shape."""
        ...

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        """Runs the network and returns (maps, prediction).

        maps: one (1, F, fh, fw) tensor per tap, at the block's own resolution.
        stop: True: nothing after the last tap runs, prediction is None.
        Gradients flow to z, never to weights.
        """
        ...

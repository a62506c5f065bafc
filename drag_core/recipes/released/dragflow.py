"""DragFlow's released code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ...features.supervise import Maps, RegionPlan, RegionSupervision
from ...kernels import region as kernel
from ...trajectory.background import Denoised
from ...trajectory.solvers import Solver
from ...types import KV, Backbone, DragError, Grid, KVCache, Trajectory
from .around import Around

KVPairing = Literal["level", "released"]
Reads = tuple[kernel.Read, ...]  # one a map


@dataclass(frozen=True)
class Cleaner:
    """Reads from a cache, in place of the K/V of a level, those of the next one recorded below it.

    Where there is none, it reads those of the last one.
    """

    cache: KVCache

    def level(self, t: float, block: str) -> float:
        levels = self.cache.holding(block)
        return max((level for level in levels if level < t - 1e-6), default=min(levels))

    def get(self, t: float, block: str, like: Tensor | None = None) -> tuple[Tensor | None, Tensor]:
        return self.cache.get(self.level(t, block), block, like)

    def make_anew(self, wanted: Mapping[str, float], origin: Backbone, like: Tensor) -> None:
        self.cache.make_anew(wanted, origin, like)

    def text(self, block: str) -> int:
        return self.cache.text(block)

    @property
    def with_keys(self) -> bool:
        return self.cache.with_keys


def kv_view(pairing: KVPairing) -> type[Cleaner] | None:
    """Finds the view of K/V that a node or a command calls `pairing`.

    It reads each level's own K/V, or the next cleaner ones.
    """
    if pairing not in get_args(KVPairing):
        raise DragError(f"there is no K/V pairing {pairing!r}: use {' or '.join(get_args(KVPairing))}")
    return Cleaner if pairing == "released" else None


@dataclass(frozen=True)
class HalfStepAhead:
    """The picture denoised beside the edit under the edit's K/V.

    An update puts back what lies half a step ahead of its own level.
    """

    needs_prediction: bool = True

    def held(self, here: Tensor, ahead: Tensor) -> Tensor:
        return (here + ahead) / 2

    def step(
        self, backbone: Backbone, source: Trajectory, solver: Solver, i: int, now: Denoised, kv: KV
    ) -> Denoised:
        return solver(backbone, now[0], source.schedule, i, i + 1, kv, now[1])


@dataclass(frozen=True)
class Unpacked(Around):
    """Reads the channels of FLUX' token maps as 2x2 cells, as its latent's are.

    (1, 4C, h, w) becomes (1, C, 2h, 2w), where cells side by side are features that have nothing to do with
    each other.
    """

    inside: RegionSupervision

    def plan(self, reference: Maps, ramp: tuple[float, ...]) -> RegionPlan:
        return replace(self.inside.in_windows(_unpacked(reference), ramp), then=reference)

    def loss(self, features: Maps, reference: Any, state: None, progress: float) -> Tensor:
        if not isinstance(reference, RegionPlan):
            return self.inside.loss(_unpacked(features), _unpacked(reference), state, progress)
        # only what lies beneath the windows: all of four maps of FLUX at 1024 px would take 0.2 GB more
        windows = reference.windows[progress]
        total: Tensor = features[0].new_zeros(())
        if windows:
            pieces = list(_Pieces.apply([w.now for w in windows], *features))  # type: ignore[no-untyped-call]
            for w in windows:
                now = [pieces.pop(0) for _ in features]  # freed once it is compared
                at_corner = replace(w, now=_at_corner(w.now), then=_at_corner(w.then))
                then = [_piece(x, r) for x, r in zip(reference.then, w.then, strict=True)]
                total = total + kernel.pull(now, then, (at_corner,), reference.scale)
        return total

    def on_small(self, grid: Grid) -> RegionSupervision:
        """Returns the supervision without it: a small network's few channels are compared whole."""
        return self.inside.on_small(grid)


def _unpacked(maps: Iterable[Tensor]) -> Maps:
    return [F.pixel_shuffle(x, 2) for x in maps]


def _beneath(x: Tensor, read: kernel.Read) -> Tensor:
    """Takes the packed cells of map `x` that lie beneath a window of the unpacked one."""
    rows, columns = read.top + read.down.shape[1], read.left + read.along.shape[1]
    return x[..., read.top // 2 : -(-rows // 2), read.left // 2 : -(-columns // 2)]


def _piece(x: Tensor, read: kernel.Read) -> Tensor:
    return F.pixel_shuffle(_beneath(x, read), 2)


def _at_corner(reads: Reads) -> Reads:
    """Returns the same windows, of their pieces."""
    return tuple(replace(r, top=r.top % 2, left=r.left % 2) for r in reads)


class _Pieces(torch.autograd.Function):
    """The pieces of every map for every window.

    Backward makes a map's gradient once for all of them.
    """

    @staticmethod
    def forward(ctx: Any, windows: list[Reads], *maps: Tensor) -> tuple[Tensor, ...]:
        ctx.windows, ctx.maps = windows, [(x.shape, x.stride(), x.dtype, x.device) for x in maps]
        return tuple(_piece(x, r) for reads in windows for x, r in zip(maps, reads, strict=True))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        out = [torch.empty_strided(*x[:2], dtype=x[2], device=x[3]).zero_() for x in ctx.maps]
        places = [(x, r) for reads in ctx.windows for x, r in zip(out, reads, strict=True)]
        for (whole, read), gradient in zip(places, gradients, strict=True):
            _beneath(whole, read).add_(F.pixel_unshuffle(gradient, 2))
        return None, *out

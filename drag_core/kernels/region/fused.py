"""The pull in three launches where a card and triton are there: loss, its sum, in backward the gradient.

Maps whose cells lie together (a UNet's) take one more, which lays the channels of the regions' cells so.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from ...types import Grid
from .poses import MOST, Pose, firsts, pose
from .windowed import pull as windowed_pull
from .windowed import window

KINDS = (torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Blocks:
    """Channels and warps of a program of the pull; cells, channels and warps of one of its gradient."""

    channels: int = 128
    warps: int = 1
    spread: tuple[int, int, int] = (16, 64, 4)
    registers: int = 128  # the pull by lines would take 96 and spill some

    def options(self, separable: bool) -> dict[str, int]:
        return {"maxnreg": self.registers} if separable and torch.version.hip is None else {}


BLOCKS = Blocks()


def by_channels(x: Tensor) -> bool:
    """Whether a cell's channels lie together."""
    return x.is_contiguous(memory_format=torch.channels_last)


def laid(maps: list[Tensor]) -> list[Tensor]:
    """Returns reference maps as the kernel reads them: channels of a cell together."""
    return [x.contiguous(memory_format=torch.channels_last) for x in maps]


def fits(maps: Sequence[Tensor], size: Grid) -> bool:
    """Whether these maps can be pulled here by the kernel; where they cannot, windows can."""
    x = maps[0]
    if not x.is_cuda or not 1 <= len(maps) <= MOST or x.dtype not in KINDS:
        return False
    for m in maps:
        height, width = m.shape[2:]
        if m.dtype != x.dtype or m.device != x.device or len(m) != 1 or m.numel() >= 2**26:
            return False
        if not (height <= size.height < 2**15 and width <= size.width < 2**15 and max(height, width) < 2**13):
            return False
    return works(x.device, x.dtype)


@cache
def works(device: torch.device, dtype: torch.dtype) -> bool:
    """Tries the kernels once for each device and precision, a shift and a turn, against windows."""
    if find_spec("triton") is None:
        return False
    try:
        with torch.inference_mode(False), torch.enable_grad():
            return all(_tried(device, dtype, turn) for turn in (0.0, 0.5))
    except Exception as error:  # no compiler, no driver, an old card: whatever it is, windows do it
        logging.getLogger(__name__).warning("the region kernel does not run here, windows do: %s", error)
        return False


def _tried(device: torch.device, dtype: torch.dtype, turn: float) -> bool:
    inside = torch.zeros(12, 12, dtype=torch.bool)
    inside[2:9, 3:11] = True
    matrix = torch.tensor([[1.0, turn, 1.5], [-turn, 1.0, -0.5], [0, 0, 1]], dtype=torch.float64)
    g = torch.Generator().manual_seed(0)
    then, now = (torch.randn(1, 16, 6, 6, generator=g).to(device, dtype) for _ in range(2))
    planned = pose([now], Grid(12, 12), [(matrix, inside, 0.5)], BLOCKS.channels)
    one = window([now], Grid(12, 12), matrix, inside, 0.5)
    assert planned is not None and one is not None
    x = now.clone().requires_grad_()
    losses = pull([x], laid([then]), planned), windowed_pull([x], [then], [one])
    a, b = (torch.autograd.grad(loss, x)[0].float() for loss in losses)
    close = torch.isclose(*losses, rtol=1e-4)
    return bool(close & ((a - b).norm() <= 2e-2 * b.norm()))  # a sign may differ, the type rounds


def pull(now: list[Tensor], then: list[Tensor], planned: Pose, scale: list[Tensor] | None = None) -> Tensor:
    """Sums share · reference.gap over the regions of a pose, each map's part times its `scale`.

    Differentiable in `now`; float32. `then` as `laid` gives it.
    """
    out: Tensor = _Pull.apply(planned, then, scale, BLOCKS, *now)  # type: ignore[no-untyped-call]
    return out


def _four(maps: Sequence[Tensor]) -> list[Tensor]:
    return [*maps, *[maps[0]] * (MOST - len(maps))]


def _cropped(maps: list[Tensor], planned: Pose) -> list[Tensor]:
    """The cells of the maps that the regions' quads touch, channels together."""
    from .triton_ends import crop_kernel

    crops = [(m.shape[1], *size) for m, size in zip(maps, planned.crops, strict=True)]
    flat = torch.empty(sum(c * h * w for c, h, w in crops), dtype=maps[0].dtype, device=maps[0].device)
    out = list(flat.split([c * h * w for c, h, w in crops]))
    *begin, programs = firsts([-(-c // 32) * -(-h * w // 32) for c, h, w in crops])
    crop_kernel[(programs,)](
        *_four(maps), *_four(out), *begin, planned.meta, MAPS=len(maps), BN=32, BC=32, num_warps=4
    )
    return out


class _Pull(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, planned: Pose, then: list[Tensor], scale: list[Tensor] | None, blocks: Blocks, *now: Tensor
    ) -> Tensor:
        from .triton import pull_kernel

        order, like = planned.order, now[0]
        last = all(by_channels(x) for x in now)
        maps = [now[i].detach() if last else now[i].detach().contiguous() for i in order]
        by = planned.ones if scale is None else torch.stack([scale[i].float() for i in order])
        room = torch.empty(planned.room, dtype=torch.float32, device=like.device)
        parts = torch.empty(planned.programs, dtype=torch.float32, device=like.device)
        with torch.cuda.device(like.device) if like.is_cuda else nullcontext():
            pull_kernel[(planned.programs,)](
                *_four(maps if last else _cropped(maps, planned)), *_four([then[i] for i in order]),
                *planned.firsts, by, planned.meta, planned.ints, planned.floats, planned.inside, room, parts,
                planned.regions, planned.sizes,
                MAPS=len(maps), SEPARABLE=planned.separable, CROP=not last,
                EVEN=all(x.shape[1] % 16 == 0 for x in now), BC=planned.channels, num_warps=blocks.warps,
                **blocks.options(planned.separable),
            )  # fmt: skip
        ctx.save_for_backward(room)
        ctx.by, ctx.planned, ctx.blocks, ctx.last, ctx.dtype = by, planned, blocks, last, like.dtype
        ctx.shapes = [x.shape for x in now]
        return parts.sum()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        from .triton_ends import spread_kernel

        (room,) = ctx.saved_tensors
        planned, (cells, channels, warps) = ctx.planned, ctx.blocks.spread
        layout = torch.channels_last if ctx.last else torch.contiguous_format
        made = [torch.empty(s, dtype=ctx.dtype, device=room.device, memory_format=layout) for s in ctx.shapes]
        out = [made[i] for i in planned.order]
        *begin, programs = firsts(
            [-(-x.shape[2] * x.shape[3] // cells) * -(-x.shape[1] // channels) for x in out]
        )
        with torch.cuda.device(room.device) if room.is_cuda else nullcontext():
            spread_kernel[(programs,)](
                *_four(out), *begin, ctx.by, grad, planned.meta, room,
                MAPS=len(out), LAST=ctx.last, EVEN=all(x.shape[1] % 16 == 0 for x in out),
                BN=cells, BC=channels, num_warps=warps,
            )  # fmt: skip
        return (None,) * 4 + tuple(made)

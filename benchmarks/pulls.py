"""Cases of the region pull, odd and real, and its definition in float64: for the tests and gpu_kernels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from drag_core.kernels import region
from drag_core.kernels.region import Moved
from drag_core.types import Grid

Sizes = tuple[tuple[int, int, int], ...]  # channels, rows, columns of each map


@dataclass(frozen=True)
class Case:
    """regions: (matrix, mask, share) on `grid`; last: a cell's channels lie together."""

    name: str
    sizes: Sizes
    grid: Grid
    regions: tuple[Moved, ...]
    dtype: torch.dtype = torch.float32
    scale: tuple[float, ...] | None = None
    last: bool = True

    def maps(self, seed: int, device: str = "cpu") -> list[Tensor]:
        g = torch.Generator(device).manual_seed(seed)
        form = torch.channels_last if self.last else torch.contiguous_format
        return [
            torch.randn(1, *s, generator=g, device=device).to(self.dtype).contiguous(memory_format=form)
            for s in self.sizes
        ]

    def scales(self, device: str = "cpu") -> list[Tensor] | None:
        return None if self.scale is None else [torch.tensor(s, device=device) for s in self.scale]


def motion(
    shift: tuple[float, float] = (0, 0),
    turn: float = 0,
    scale: float = 1,
    about: tuple[float, float] = (0, 0),
) -> Tensor:
    c, s = scale * math.cos(turn), scale * math.sin(turn)
    x, y = about
    rows = [[c, -s, x + shift[0] - c * x + s * y], [s, c, y + shift[1] - s * x - c * y], [0, 0, 1]]
    return torch.tensor(rows, dtype=torch.float64)


def box(grid: Grid, top: int, left: int, rows: int, columns: int) -> Tensor:
    mask = torch.zeros(grid.height, grid.width, dtype=torch.bool)
    mask[top : top + rows, left : left + columns] = True
    return mask


def disc(grid: Grid, y: float, x: float, r: float) -> Tensor:
    rows, columns = torch.arange(grid.height)[:, None], torch.arange(grid.width)[None]
    return (rows - y) ** 2 + (columns - x) ** 2 < r * r


def definition(case: Case, now: list[Tensor], then: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Loss and gradients in float64."""
    x = [m.detach().double().requires_grad_() for m in now]
    by = case.scale or (1.0,) * len(x)
    total = torch.zeros((), dtype=torch.float64, device=now[0].device)
    for matrix, mask, share in case.regions:
        if mask.any():
            to = torch.nonzero(mask).flip(1).double()
            back = torch.linalg.inv(matrix)
            came_from = to @ back[:2, :2].T + back[:2, 2]
            at = [p.to(now[0].device) for p in (to, came_from)]
            for a, b, s in zip(x, then, by, strict=True):
                total = total + s * share * region.gap([a], [b.double()], case.grid, at[0], at[1])
    return total.detach(), list(torch.autograd.grad(total, x))


TURN = motion((1.3, 0.4), 0.5, about=(8, 7))
EVEN: Sizes = ((5, 6, 8), (7, 12, 16))
EVEN_GRID = Grid(24, 32)
ODD: Sizes = ((5, 13, 11),)
ODD_GRID = Grid(51, 37)


def odd() -> Iterator[Case]:
    """Small cases of everything that a pose can hold."""
    e, o = EVEN_GRID, ODD_GRID
    block, round_ = box(e, 5, 7, 7, 9), disc(e, 11, 14, 4.2)
    for name, matrix in {
        "not moved": motion(), "whole cell": motion((3, -2)), "native cell": motion((4, -4)),
        "between cells": motion((2.3, -1.6)), "larger": motion(scale=1.5, about=(9, 9)),
        "smaller": motion(scale=0.55, about=(9, 9)), "turned": TURN,
    }.items():  # fmt: skip
        yield Case(f"even, {name}", EVEN, e, ((matrix, block, 0.01),))
        yield Case(f"odd, {name}", ODD, o, ((matrix, disc(o, 17, 12, 4.4), 0.01),), last=False)
    half, turned = (motion((2.3, -1.6)), round_, 0.02), (TURN, round_, 0.02)
    out, gone = (motion((9, 7)), box(e, 18, 27, 6, 5), 0.03), (motion((90, 0)), box(e, 0, 0, 0, 0), 0.1)
    for name, one in (("shift", half), ("turn", turned)):
        yield Case(f"a disc, {name}, and one at the border", EVEN, e, (one, out), scale=(0.3, 2.0))
        yield Case(f"four regions, one gone, {name}", EVEN, e, (one, out, gone, one), last=False)
        for kind in (torch.float16, torch.bfloat16):
            yield Case(f"{kind}, {name}", EVEN, e, (one,), kind, last=kind == torch.float16)
        yield Case(f"channels in sixteens, {name}", ((144, 6, 8), (16, 3, 4)), e, (one,))
        small = (one[0], box(Grid(7, 9), 2, 3, 4, 5), 0.1)
        yield Case(f"equal, and in one direction, {name}", ((3, 7, 9), (3, 7, 3)), Grid(7, 9), (small,))
        many: Sizes = ((3, 12, 16), (2, 6, 8), (4, 24, 32), (1, 3, 4))
        yield Case(f"four maps, {name}", many, e, ((one[0], box(e, 9, 9, 4, 5), 0.01),), scale=(1, 2, 3, 4))
    yield Case("one cell", EVEN, e, ((motion((1.5, 0.25)), box(e, 23, 31, 1, 1), 1.0),))
    yield Case("from beyond the border", EVEN, e, ((motion((-6, 5.5)), box(e, 0, 25, 4, 7), 0.1),))


def real() -> Iterator[Case]:
    """What updates of SD1.5 at 512 px and of FLUX at 1024 px pull with."""
    grid = Grid(256, 256)
    sd: Sizes = ((1280, 16, 16), (1280, 32, 32), (640, 64, 64), (320, 64, 64))
    flux: Sizes = ((3072, 64, 64),) * 4
    half, wide = torch.float16, torch.float32

    def one(side: int, turn: bool, x: int = 60) -> Moved:
        mask = box(grid, 50, x, side, side)
        if turn:
            mask = disc(grid, 120, 120, side / 2)
        matrix = motion((4.3, 2.6), 0.3, about=(120, 120)) if turn else motion((19.3, 7.6))
        return matrix, mask, 1e-8

    whole = motion((19.3, 7.6)), box(grid, 0, 0, 256, 256), 1e-8
    four = tuple(one(64, False, x) for x in (5, 60, 115, 170))
    for last in (True, False):
        yield Case("SD 3520 f32, 256 px shift", sd, grid, (one(128, False),), wide, last=last)
    yield Case("SD 3520 f32, 256 px turn", sd, grid, (one(128, True),), wide)
    yield Case("SD 3520 f16, 256 px shift", sd, grid, (one(128, False),), half)
    yield Case("FLUX 4x3072 bf16, 256 px shift", flux, grid, (one(64, False),), torch.bfloat16)
    yield Case("FLUX 4x3072 bf16, 256 px turn", flux, grid, (one(64, True),), torch.bfloat16)
    yield Case("FLUX 4x3072 f32, 256 px shift", flux, grid, (one(64, False),), wide)
    yield Case("SD 3520 f32, 128 px shift", sd, grid, (one(64, False),), wide)
    yield Case("SD 3520 f32, four of 128 px", sd, grid, four, wide)
    yield Case("SD 640 f32, 128 px shift", sd[2:3], grid, (one(64, False),), wide)
    yield Case("SD 320 f32, 128 px shift", sd[3:], grid, (one(64, False),), wide)
    yield Case("SD 3520 f32, 512 px shift", sd, grid, (whole,), wide)
    yield Case("FLUX 4x3072 bf16, 512 px shift", flux, grid, (one(128, False),), torch.bfloat16)

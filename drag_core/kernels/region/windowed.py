"""The region pull at the price of the region: no upsampled map, no gradient map but one at native size.

The cells of a moved mask lie in a window; reading a window of an upsampled map is two small matrix products
with the native cells beneath it, and its gradient is the two transposed ones. All of it, for every map and
region, is one autograd function that makes its gradient in the forward pass, where the differences are at
hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...autocast import uncast
from ...motion.geometry import sampling_grid
from ...types import Grid
from ..lookup import reading

AT_ONCE = 3 * 2**21  # differences held at a time (24 MiB in float32); more are taken channels by channels


@dataclass(frozen=True)
class Read:
    """A window of an upsampled map.

    Native rows count from `top` by `down` (n, k), columns from `left` by `along` (m, l).
    """

    top: int
    left: int
    down: Tensor
    along: Tensor


@dataclass(frozen=True)
class Window:
    """One region at one progress, with reads of each map's current and reference features.

    turn: (1, n, m, 2), where in the reference's window the cells come from, for motions that rows and columns
        cannot say.
    inside: (n, m) in {0, 1}, the moved mask (None: the whole window).
    share: multiplies the sum.
    """

    now: tuple[Read, ...]
    then: tuple[Read, ...]
    turn: Tensor | None
    inside: Tensor | None
    share: float


def exact(like: Tensor) -> torch.dtype:
    """Chooses the precision of the sums: float32, or float64 for maps that are."""
    return torch.float64 if like.dtype == torch.float64 else torch.float32


def window(maps: Sequence[Tensor], size: Grid, matrix: Tensor, inside: Tensor, share: float) -> Window | None:
    """Plans a mask moved by `matrix`; None if empty.

    inside: (H, W) bool on `size`, on the CPU.
    """
    at_y, at_x = torch.nonzero(inside, as_tuple=True)
    if len(at_y) == 0:
        return None
    y = torch.arange(int(at_y.min()), int(at_y.max()) + 1, dtype=torch.float64)
    x = torch.arange(int(at_x.min()), int(at_x.max()) + 1, dtype=torch.float64)
    area = (slice(int(y[0]), int(y[-1]) + 1), slice(int(x[0]), int(x[-1]) + 1))
    mask = inside[area]
    inverse = torch.linalg.inv(matrix)
    like = maps[0]
    turn: Tensor | None = None
    if inverse[0, 1] == 0 and inverse[1, 0] == 0:
        from_y, from_x = y * inverse[1, 1] + inverse[1, 2], x * inverse[0, 0] + inverse[0, 2]
    else:
        came_from = sampling_grid(matrix, size)[area]
        from_x, from_y = (
            torch.arange(int(a.floor().clamp_min(0)), int((b.floor() + 1).clamp_max(n - 1)) + 1).double()
            for a, b, n in zip(
                came_from[mask].amin(0).clamp_max(torch.tensor([size.width - 1, size.height - 1])),
                came_from[mask].amax(0).clamp_min(0),
                (size.width, size.height),
                strict=True,
            )
        )
        first = torch.stack([from_x[0], from_y[0]])
        sides = torch.tensor([len(from_x), len(from_y)], dtype=torch.float64)
        turn = ((came_from - first + 0.5) * 2 / sides - 1)[None].to(like.device, exact(like))
    made: dict[tuple[int, int], tuple[Read, Read]] = {}
    for m in maps:
        h, w = m.shape[-2:]
        if (h, w) not in made:
            now, then = (_read(a, b, (h, w), size, m) for a, b in ((y, x), (from_y, from_x)))
            made[h, w] = now, then
    reads = [made[m.shape[-2], m.shape[-1]] for m in maps]
    return Window(
        tuple(now for now, _ in reads),
        tuple(then for _, then in reads),
        turn,
        None if bool(mask.all()) else mask.to(like.device, exact(like)),
        share,
    )


def _read(y: Tensor, x: Tensor, native: tuple[int, int], size: Grid, like: Tensor) -> Read:
    top, down = reading(y[None], native[0], size.height, like.dtype)
    left, along = reading(x[None], native[1], size.width, like.dtype)
    kind = exact(like)
    return Read(int(top), int(left), down[0].to(like.device, kind), along[0].to(like.device, kind))


def _cut(x: Tensor, channels: slice, r: Read) -> Tensor:
    """Takes the native cells beneath a window, as they lie in the map."""
    rows, columns = r.down.shape[1], r.along.shape[1]
    return x[0, channels, r.top : r.top + rows, r.left : r.left + columns]


def _spread(x: Tensor, channels: slice, r: Read) -> Tensor:
    """Upsamples the window's native cells along x alone: (C, k, m)."""
    cells = _cut(x, channels, r).to(r.along.dtype)
    if cells.stride(-1) != 1:  # tokens; else the product reads the map where it lies
        cells = cells.contiguous()
    return torch.bmm(cells, r.along.T.expand(len(cells), -1, -1))


class _Pull(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        windows: Sequence[Window],
        then: list[Tensor],
        scale: list[Tensor] | None,
        *now: Tensor,
    ) -> Tensor:
        total = torch.zeros((), dtype=exact(now[0]), device=now[0].device)
        pieces: list[Tensor] = []  # gradients of the native cells beneath the windows
        places: list[tuple[int, slice, Read]] = []
        for i, (x, x0) in enumerate(zip(now, then, strict=True)):
            for w in windows:
                here, there = w.now[i], w.then[i]
                share = w.share if scale is None else scale[i] * w.share
                channels = x.shape[1]
                step = max(AT_ONCE // (here.down.shape[0] * here.along.shape[0]), 1)
                for c in (slice(a, min(a + step, channels)) for a in range(0, channels, step)):
                    count = c.stop - c.start
                    gap = torch.bmm(there.down.expand(count, -1, -1), _spread(x0, c, there))
                    if w.turn is not None:
                        gap = F.grid_sample(gap[None], w.turn, padding_mode="border", align_corners=False)[0]
                    # now - then
                    gap.baddbmm_(here.down.expand(count, -1, -1), _spread(x, c, here), beta=-1)
                    if w.inside is not None:
                        gap.mul_(w.inside)
                    total += torch.linalg.vector_norm(gap, 1, (1, 2)).sum() * share
                    if ctx.needs_input_grad[3 + i]:
                        tall = torch.bmm(here.down.T.expand(count, -1, -1), gap.sign_())
                        pieces.append((tall @ (here.along * share)).to(x.dtype))
                        places.append((i, c, here))
        ctx.save_for_backward(*pieces)
        ctx.places = places
        ctx.maps = [(x.shape, x.stride(), x.dtype, x.device) for x in now]
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        out: list[Tensor | None] = [None] * len(ctx.maps)
        for piece, (i, c, r) in zip(ctx.saved_tensors, ctx.places, strict=True):
            whole = out[i]
            if whole is None:
                shape, stride, dtype, device = ctx.maps[i]
                whole = out[i] = torch.empty_strided(shape, stride, dtype=dtype, device=device).zero_()
            with uncast(piece.device):
                _cut(whole, c, r).addcmul_(piece, grad.to(piece.dtype))
        return (None,) * 3 + tuple(out)


def pull(
    now: list[Tensor],
    then: list[Tensor],
    windows: Sequence[Window],
    scale: list[Tensor] | None = None,
) -> Tensor:
    """Sums share · reference.gap over `windows`, each map's part times its `scale`.

    Differentiable in `now`. In `exact` precision, also where torch.autocast is open.
    """
    if not windows:
        return now[0].new_zeros(())
    with uncast(now[0].device):
        out: Tensor = _Pull.apply(windows, then, scale, *now)  # type: ignore[no-untyped-call]
    return out

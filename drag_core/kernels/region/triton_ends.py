"""What stands around the region pull: its maps laid by channels, and its gradient gathered. See `poses`."""

# mypy: ignore-errors
from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def pick(m, a0, a1, a2, a3, MAPS: tl.constexpr):
    out = a0
    if MAPS > 1:
        if m == 1:
            out = a1
    if MAPS > 2:
        if m == 2:
            out = a2
    if MAPS > 3:
        if m == 3:
            out = a3
    return out


@triton.jit(do_not_specialize=["first1", "first2", "first3"])
def crop_kernel(
    x0, x1, x2, x3, y0, y1, y2, y3, first1, first2, first3, meta,
    MAPS: tl.constexpr, BN: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    """Lays BC channels of BN cells that the quads touch together, from maps whose cells lie together."""
    pid = tl.program_id(0)
    m = (pid >= first1).to(tl.int32) + (pid >= first2).to(tl.int32) + (pid >= first3).to(tl.int32)
    x = pick(m, x0, x1, x2, x3, MAPS)
    to = pick(m, y0, y1, y2, y3, MAPS)
    pid -= pick(m, 0, first1, first2, first3, MAPS)
    of = meta + m * 16
    C = tl.load(of + 1)
    h = tl.load(of + 2)
    w = tl.load(of + 3)
    oy = tl.load(of + 4)
    ox = tl.load(of + 5)
    wide = tl.minimum(tl.load(of + 7) + 1, w - ox)
    cells = tl.minimum(tl.load(of + 14) + 1, h - oy) * wide
    blocks = tl.cdiv(C, BC)
    i = pid // blocks * BN + tl.arange(0, BN)
    c = (pid % blocks) * BC + tl.arange(0, BC)
    mask = (c < C)[:, None] & (i < cells)[None, :]
    at = (oy + i // wide) * w + ox + i % wide
    value = tl.load(x + (c[:, None] * (h * w) + at[None, :]), mask=mask)
    tl.store(to + (i[None, :] * C + c[:, None]), value, mask=mask)


@triton.jit(do_not_specialize=["first1", "first2", "first3"])
def spread_kernel(
    g0, g1, g2, g3, first1, first2, first3, scale, grad, meta, room,
    MAPS: tl.constexpr, LAST: tl.constexpr, EVEN: tl.constexpr, BN: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    """Writes the gradient of BN native cells and BC channels: what the quads at their corners gave.

    grad: the incoming one. LAST: a cell's channels lie together, else a channel's cells.
    """
    pid = tl.program_id(0)
    m = (pid >= first1).to(tl.int32) + (pid >= first2).to(tl.int32) + (pid >= first3).to(tl.int32)
    g = pick(m, g0, g1, g2, g3, MAPS)
    pid -= pick(m, 0, first1, first2, first3, MAPS)
    of = meta + m * 16
    C = tl.load(of + 1)
    start = tl.load(of + 10)
    if EVEN:
        C = tl.multiple_of(C, 16)
        start = tl.multiple_of(start, 16)
    h = tl.load(of + 2)
    w = tl.load(of + 3)
    wide = tl.load(of + 7)
    run = tl.load(of + 9)
    high = tl.load(of + 14)
    blocks = tl.cdiv(C, BC)
    cell = pid // blocks * BN + tl.arange(0, BN)
    c = (pid % blocks) * BC + tl.arange(0, BC)
    y = cell // w - tl.load(of + 4)
    x = cell % w - tl.load(of + 5)
    mask = (cell < h * w)[:, None] & (c < C)[None, :]
    there = (cell < h * w) & (y >= 0) & (y <= high) & (x >= 0) & (x <= wide)
    at = y // run
    slot = y % run
    p = room + start
    total = tl.zeros((BN, BC), tl.float32)
    for side in tl.static_range(2):
        column = there & (x >= side) & (x < wide + side)
        strip = at * wide + x - side
        here = column & (y < tl.load(of + 6) * run)
        q = ((strip * (run + 1) + slot) * 2 + side) * C
        total += tl.load(p + (q[:, None] + c[None, :]), mask=here[:, None] & mask, other=0.0)
        above = column & (slot == 0) & (y > 0)
        q = (((strip - wide) * (run + 1) + run) * 2 + side) * C
        total += tl.load(p + (q[:, None] + c[None, :]), mask=above[:, None] & mask, other=0.0)
    total *= tl.load(scale + m) * tl.load(grad)
    if LAST:
        to = cell[:, None] * C + c[None, :]
    else:
        to = c[None, :] * (h * w) + cell[:, None]
    tl.store(g + to, total.to(g.dtype.element_ty), mask=mask)

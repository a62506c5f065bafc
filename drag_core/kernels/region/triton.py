"""The region pull in Triton: all maps and regions in one launch, its gradient in a second. See `poses`.

No atomics: a program has a run of quads, from top to bottom, and some channels, and writes what its quads
give to the cells at their corners; `spread_kernel` adds a cell's four. So two runs are equal bit for bit.
"""

# mypy: ignore-errors
from __future__ import annotations

import triton
import triton.language as tl

from .triton_ends import pick


@triton.jit
def _mix(a, b, share):
    """a + share (b - a): written alike for both maps, so that equal features differ by exactly 0."""
    return tl.fma(b - a, share, a)


@triton.jit
def _corners(x, qy, qx, h, w, wx, C, c, mc):
    """The four native cells of a quad; x has rows of wx cells."""
    top = x + qy * wx * C
    bottom = x + tl.minimum(qy + 1, h - 1) * wx * C
    left = qx * C + c
    right = tl.minimum(qx + 1, w - 1) * C + c
    f00 = tl.load(top + left, mask=mc, other=0.0).to(tl.float32)
    f01 = tl.load(top + right, mask=mc, other=0.0).to(tl.float32)
    f10 = tl.load(bottom + left, mask=mc, other=0.0).to(tl.float32)
    f11 = tl.load(bottom + right, mask=mc, other=0.0).to(tl.float32)
    return f00, f01, f10, f11


@triton.jit
def _three(p, step, mc, count):
    """Three native cells `step` apart, of which `count` are read."""
    a = tl.load(p, mask=mc, other=0.0).to(tl.float32)
    b = tl.load(p + step, mask=mc & (count > 1), other=0.0).to(tl.float32)
    d = tl.load(p + 2 * step, mask=mc & (count > 2), other=0.0).to(tl.float32)
    return a, b, d


@triton.jit
def _line(p, step, mc, c1, c2, count, WIDE: tl.constexpr):
    """Two or, WIDE, up to three native cells `step` apart blended."""
    a = tl.load(p, mask=mc, other=0.0).to(tl.float32)
    b = tl.load(p + step, mask=mc & (count > 1), other=0.0).to(tl.float32)
    out = _mix(a, b, c1)
    if WIDE:
        d = tl.load(p + 2 * step, mask=mc & (count > 2), other=0.0).to(tl.float32)
        out = tl.fma(d - b, c2, out)
    return out


@triton.jit
def _signed(d, share):
    """share with d's sign, 0 where d is 0; by bits, an instruction a cell less than by two comparisons."""
    sign = (d.to(tl.int32, bitcast=True) & -2147483648) | share.to(tl.int32, bitcast=True)
    return tl.where(d == 0.0, 0.0, sign.to(tl.float32, bitcast=True))


@triton.jit
def _separable(
    x, r, ints, floats, inside, qy, qx, h, w, wx, C, c, mc, u, lines, K, sizes,
    a00, a01, a10, a11, loss,
):  # fmt: skip
    """A quad's cells where rows and columns say the motion: 3x3 native cells of the reference, read once."""
    ya = tl.load(ints + lines + tl.minimum(qy, h))
    yb = tl.load(ints + lines + tl.minimum(qy + 1, h))  # below the map: no cells
    xa = tl.load(ints + lines + h + 1 + qx)
    xb = tl.load(ints + lines + h + 2 + qx)
    for k in range(K):
        head = ints + (k * sizes + u) * 8
        by = tl.load(head)
        bx = tl.load(head + 1)
        ny = tl.load(head + 2)
        nx = tl.load(head + 3)
        top = tl.maximum(ya, by)
        bottom = tl.minimum(yb, by + ny)
        left = tl.maximum(xa, bx)
        right = tl.minimum(xb, bx + nx)
        if (top < bottom) & (left < right):
            flat = inside + tl.load(head + 4)
            table = ints + tl.load(head + 5)
            cy = floats + tl.load(head + 6)
            cx = cy + 4 * ny
            share = tl.load(floats + k)
            f00, f01, f10, f11 = _corners(x, qy, qx, h, w, wx, C, c, mc)
            rows = tl.load(table + qy)
            columns = tl.load(table + h + qx)
            p = r + ((rows // 4) * w + columns // 4) * C + c
            rows = rows % 4
            columns = columns % 4
            r00, r10, r20 = _three(p, w * C, mc, rows)
            r01, r11, r21 = _three(p + C, w * C, mc & (columns > 1), rows)
            r02, r12, r22 = _three(p + 2 * C, w * C, mc & (columns > 2), rows)
            for y in range(top, bottom):
                fy = tl.load(cy + 4 * (y - by))
                c1 = tl.load(cy + 4 * (y - by) + 1)
                c2 = tl.load(cy + 4 * (y - by) + 2)
                now = _mix(f00, f10, fy)
                along = _mix(f01, f11, fy) - now
                t0 = tl.fma(r20 - r10, c2, _mix(r00, r10, c1))
                t1 = tl.fma(r21 - r11, c2, _mix(r01, r11, c1))
                t2 = tl.fma(r22 - r12, c2, _mix(r02, r12, c1))
                e1 = t1 - t0
                e2 = t2 - t1
                whole = tl.zeros_like(loss)
                second = tl.zeros_like(loss)
                for j in range(left, right):
                    if tl.load(flat + (y - by) * nx + j - bx) != 0:
                        fx = tl.load(cx + 4 * (j - bx))
                        d1 = tl.load(cx + 4 * (j - bx) + 1)
                        d2 = tl.load(cx + 4 * (j - bx) + 2)
                        d = tl.fma(along, fx, now) - tl.fma(e2, d2, tl.fma(e1, d1, t0))
                        s = _signed(d, share)
                        loss = tl.fma(s, d, loss)
                        whole += s
                        second = tl.fma(s, fx, second)
                first = whole - second
                a00 = tl.fma(first, 1.0 - fy, a00)
                a10 = tl.fma(first, fy, a10)
                a01 = tl.fma(second, 1.0 - fy, a01)
                a11 = tl.fma(second, fy, a11)
    return a00, a01, a10, a11, loss


@triton.jit
def _listed(x, r, ints, floats, qy, qx, h, w, wx, C, c, mc, lines, of, a00, a01, a10, a11, loss):
    """A quad's cells from their list, for any motion."""
    quad = ints + lines + tl.minimum(qy, h - 1) * w + qx
    begin = tl.load(quad)
    end = tl.where(qy < h, tl.load(quad + 1), begin)
    if begin < end:
        f00, f01, f10, f11 = _corners(x, qy, qx, h, w, wx, C, c, mc)
        for i in range(begin, end):
            code = tl.load(ints + lines + h * w + 1 + i)
            row = floats + of + i * 8
            share = tl.load(row)
            fy = tl.load(row + 1)
            fx = tl.load(row + 2)
            c1 = tl.load(row + 3)
            c2 = tl.load(row + 4)
            d1 = tl.load(row + 5)
            d2 = tl.load(row + 6)
            rows = (code // 4) % 4
            columns = code % 4
            cell = code // 16
            p = r + ((cell // 8192) * w + cell % 8192) * C + c
            if (rows > 2) | (columns > 2):
                t0 = _line(p, w * C, mc, c1, c2, rows, True)
                t1 = _line(p + C, w * C, mc & (columns > 1), c1, c2, rows, True)
                t2 = _line(p + 2 * C, w * C, mc & (columns > 2), c1, c2, rows, True)
                then = tl.fma(t2 - t1, d2, _mix(t0, t1, d1))
            else:
                t0 = _line(p, w * C, mc, c1, c2, rows, False)
                t1 = _line(p + C, w * C, mc & (columns > 1), c1, c2, rows, False)
                then = _mix(t0, t1, d1)
            now = _mix(f00, f10, fy)
            d = tl.fma(_mix(f01, f11, fy) - now, fx, now) - then
            s = _signed(d, share)
            loss = tl.fma(s, d, loss)
            second = s * fx
            first = s - second
            a00 = tl.fma(first, 1.0 - fy, a00)
            a10 = tl.fma(first, fy, a10)
            a01 = tl.fma(second, 1.0 - fy, a01)
            a11 = tl.fma(second, fy, a11)
    return a00, a01, a10, a11, loss


# What changes with every region is not specialised: each would compile the kernel again.
@triton.jit(
    do_not_specialize=["first1", "first2", "first3", "K", "sizes"], do_not_specialize_on_alignment=["inside"]
)
def pull_kernel(
    x0, x1, x2, x3, r0, r1, r2, r3, first1, first2, first3, scale, meta, ints, floats, inside, room, parts,
    K, sizes,
    MAPS: tl.constexpr, SEPARABLE: tl.constexpr, CROP: tl.constexpr, EVEN: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    """A run of quads and BC channels.

    room: left and right cells of run + 1 rows (.., 2, C). parts: the loss.
    CROP: the current maps are the cells that the quads touch, and no more.
    """
    pid = tl.program_id(0)
    m = (pid >= first1).to(tl.int32) + (pid >= first2).to(tl.int32) + (pid >= first3).to(tl.int32)
    x = pick(m, x0, x1, x2, x3, MAPS)
    r = pick(m, r0, r1, r2, r3, MAPS)
    of = meta + m * 16
    local = pid - tl.load(of)
    C = tl.load(of + 1)
    if EVEN:
        C = tl.multiple_of(C, 16)
    h = tl.load(of + 2)
    w = tl.load(of + 3)
    wide = tl.load(of + 7)
    blocks = tl.load(of + 8)
    run = tl.load(of + 9)
    u = tl.load(of + 11)
    lines = tl.load(of + 12)
    strip = local // blocks
    first = tl.load(of + 4) + (strip // wide) * run
    qx = tl.load(of + 5) + strip % wide
    wx = w
    if CROP:
        wx = tl.minimum(wide + 1, w - tl.load(of + 5))
        x -= (tl.load(of + 4) * wx + tl.load(of + 5)) * C
    c = (local % blocks) * BC + tl.arange(0, BC)
    mc = c < C
    loss = tl.zeros((BC,), tl.float32)
    a00 = tl.zeros((BC,), tl.float32)
    a01 = tl.zeros((BC,), tl.float32)
    start = tl.load(of + 10)
    if EVEN:
        start = tl.multiple_of(start, 16)
    out = room + start + strip * (run + 1) * 2 * C + c
    for j in range(run):
        a10 = tl.zeros((BC,), tl.float32)
        a11 = tl.zeros((BC,), tl.float32)
        if SEPARABLE:
            a00, a01, a10, a11, loss = _separable(
                x, r, ints, floats, inside, first + j, qx, h, w, wx, C, c, mc, u, lines,
                K, sizes, a00, a01, a10, a11, loss,
            )  # fmt: skip
        else:
            a00, a01, a10, a11, loss = _listed(
                x, r, ints, floats, first + j, qx, h, w, wx, C, c, mc, lines, tl.load(of + 13),
                a00, a01, a10, a11, loss,
            )  # fmt: skip
        tl.store(out + 2 * j * C, a00, mask=mc)
        tl.store(out + (2 * j + 1) * C, a01, mask=mc)
        a00 = a10
        a01 = a11
    tl.store(out + 2 * run * C, a00, mask=mc)
    tl.store(out + (2 * run + 1) * C, a01, mask=mc)
    tl.store(parts + pid, tl.sum(loss, 0) * tl.load(scale + m))

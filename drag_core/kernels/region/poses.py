"""What the fused pull reads of one progress: where every moved cell lies and comes from, as small tables.

A quad is a native cell with its right, lower and diagonal neighbour. A cell p of the grid reads the current
map in one quad, bilinearly, with shares (fx, fy). What it reads of the reference is a blend of two upsampled
cells a line, each of two native ones; where the grid is no smaller than the map these are three native
cells from `base` on, r0 + c1 (r1 - r0) + c2 (r2 - r1). Where all of a quad's cells read the same three rows
and columns, as shifts do, these are read once for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from ...types import Grid
from ..lookup import neighbours

Moved = tuple[Tensor, Tensor, float]  # a region's matrix (3, 3) and moved mask (H, W) on the grid, its share
Tables = tuple[list[Tensor], list[Tensor], list[tuple[int, int]]]  # ints, floats, where a size's begin
MOST = 4  # maps in a launch
HEAD, META = 8, 16  # numbers of a region and size in `ints`, of a map in `meta`
QUADS = 64  # cells of the grid that one program takes at least, where quads are smaller


@dataclass(frozen=True)
class Pose:
    """All regions at one progress, on the maps' device.

    meta: (maps, META) int32, as `pose` writes it; the maps with most cells a quad first, as `order` says.
    ints, floats, inside: of `separable` poses the lines' tables (`_lines`) and a byte a cell of the regions'
        boxes, else a row for each moved cell (`_cells`).
    order: the maps by size. crops: rows and columns of each that the quads touch.
    sizes: native sizes that differ. programs: of the pull, of the maps behind the first from `firsts` on.
    room: floats of its partial gradients.
    """

    meta: Tensor
    ints: Tensor
    floats: Tensor
    inside: Tensor
    ones: Tensor
    firsts: tuple[int, ...]
    order: tuple[int, ...]
    crops: tuple[tuple[int, int], ...]
    regions: int
    sizes: int
    programs: int
    room: int
    separable: bool
    channels: int  # of a program


def pose(maps: Sequence[Tensor], size: Grid, moved: Sequence[Moved], channels: int = 128) -> Pose | None:
    """Plans the regions that are still on the picture; None if none is."""
    device = maps[0].device
    moved = [m for m in moved if bool(m[1].any())]
    if not moved:
        return None
    natives = list(dict.fromkeys((m.shape[2], m.shape[3]) for m in maps))
    lines = _lines(natives, size, moved)
    ints, floats, starts = _cells(natives, size, moved, device) if lines is None else lines
    inside = torch.zeros(1, dtype=torch.uint8)
    if lines is not None:
        inside = torch.cat([mask[_box(mask)].flatten() for _, mask, _ in moved]).to(torch.uint8)
    order = sorted(range(len(maps)), key=lambda i: maps[i].shape[2] * maps[i].shape[3])
    rows, crops, programs, room = [], [], 0, 0
    y, x = _union(moved)
    for i in order:
        _, c, h, w = maps[i].shape
        u = natives.index((h, w))
        top, bottom = (int(_low(h, size.height)[a]) for a in y)
        left, right = (int(_low(w, size.width)[a]) for a in x)
        high, wide = bottom - top + 1, right - left + 1
        run = max(1, min(16, high, QUADS * h * w // (size.height * size.width)))
        blocks = -(-c // channels)
        runs = -(-high // run)
        rows.append([programs, c, h, w, top, left, runs, wide, blocks, run, room, u, *starts[u], high, 0])
        crops.append((min(high + 1, h - top), min(wide + 1, w - left)))
        programs += runs * wide * blocks
        room += runs * wide * (run + 1) * 2 * c
    return Pose(
        meta=torch.tensor(rows, dtype=torch.int32).to(device),
        ints=torch.cat(ints).to(device),
        floats=torch.cat(floats).to(device),
        inside=inside.to(device),
        ones=torch.ones(len(maps), device=device),
        firsts=tuple([row[0] for row in rows[1:]] + [programs] * (MOST - len(rows))),
        order=tuple(order),
        crops=tuple(crops),
        regions=len(moved),
        sizes=len(natives),
        programs=programs,
        room=room,
        separable=lines is not None,
        channels=channels,
    )


def firsts(counts: Sequence[int]) -> list[int]:
    """Lists the first programs of maps 1 to 3, and how many there are in all."""
    ends = list(accumulate(counts))
    return [*(ends[:-1] + ends[-1:] * MOST)[: MOST - 1], ends[-1]]


def _box(mask: Tensor) -> tuple[slice, slice]:
    rows, columns = (torch.nonzero(mask.any(d)).flatten() for d in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _union(moved: Sequence[Moved]) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last row, first and last column of all boxes."""
    boxes = [_box(mask) for _, mask, _ in moved]
    y, x = ([b[d] for b in boxes] for d in (0, 1))
    return tuple((min(s.start for s in d), max(s.stop for s in d) - 1) for d in (y, x))  # type: ignore[return-value]


def _near(at: Tensor, native: int, large: int) -> tuple[Tensor, Tensor]:
    """The first native cell that whole cells `at` read and the share of the next; 0 where there is none."""
    low, _, share = neighbours(at, native, large, torch.float32)
    return low, torch.where(low == native - 1, 0.0, share)


def _low(native: int, large: int) -> Tensor:
    return _near(torch.arange(large), native, large)[0]


def _read(at: Tensor, native: int, large: int) -> tuple[Tensor, Tensor, Tensor]:
    """base, c1 and c2 (see above) of places `at` on a line; outside it the border counts."""
    near = at.round()
    at = torch.where((at - near).abs() < 1e-9, near, at).clamp(0, large - 1)  # a whole cell must stay one
    first = at.floor()
    part = at - first
    base, a = _near(first, native, large)
    second, b = _near((first + 1).clamp_max(large - 1), native, large)
    one = second == base
    return base, (1 - part) * a + part * torch.where(one, b, 1.0), torch.where(one, 0.0, part * b)


def _lines(natives: list[tuple[int, int]], size: Grid, moved: Sequence[Moved]) -> Tables | None:
    """Makes tables for motions that rows and columns can say, if each quad reads 3x3 native cells at most.

    ints: for every region and size HEAD numbers: box (top, left, rows, columns), where its mask, its first
        table and its first share lie; then of every size the first grid cell of each native row and column,
        and of every region and size base * 4 + count of each native row and column.
    floats: each region's share, then of every region, size and row or column of its box (share of the next
        native cell, c1, c2, 0).
    """
    heads, tables, starts, at = [], [], [], len(moved) * len(natives) * HEAD
    sides = [(n, big) for h, w in natives for n, big in ((h, size.height), (w, size.width))]
    lines = [(n, big, *_near(torch.arange(big), n, big)) for n, big in sides]
    for native, _, low, _ in lines:
        starts.append((at, 0))
        tables.append(torch.searchsorted(low, torch.arange(native + 1)))
        at += native + 1
    shares, of, flat = [torch.tensor([s for *_, s in moved], dtype=torch.float64)], len(moved), 0
    for matrix, mask, _ in moved:
        back = torch.linalg.inv(matrix.double())
        if back[0, 1] != 0 or back[1, 0] != 0:
            return None
        box = _box(mask)
        high, wide = (s.stop - s.start for s in box)
        for u in range(len(natives)):
            heads += [box[0].start, box[1].start, high, wide, flat, at, of, 0]
            for d, (native, large, low, share) in enumerate(lines[2 * u : 2 * u + 2]):
                here = torch.arange(box[d].start, box[d].stop)
                read = _read(here * back[1 - d, 1 - d] + back[1 - d, 2], native, large)
                packed = _packed(low[here], *read, native)
                if packed is None:
                    return None
                tables.append(packed[0])
                row = [share[here], *packed[1], torch.zeros(len(here))]
                shares.append(torch.stack(row, 1).flatten())
                at, of = at + native, of + 4 * len(here)
        flat += high * wide
    ints = [torch.tensor(heads, dtype=torch.int32), *(t.to(torch.int32) for t in tables)]
    return ints, [s.float() for s in shares], starts[::2]


def _packed(
    quad: Tensor, base: Tensor, c1: Tensor, c2: Tensor, native: int
) -> tuple[Tensor, tuple[Tensor, Tensor]] | None:
    """Reads of a line's cells, counted from the first cell that their quad reads; None beyond three cells.

    Returns base * 4 + count (native,) of the quads, and the cells' c1 and c2.
    """
    none = torch.full((native,), native)
    first = none.scatter_reduce(0, quad, base, "amin")
    o = base - first[quad]
    last = o + (c1 > 0).long() + (c2 > 0).long()
    if int(last.max()) > 2:
        return None
    count = torch.zeros_like(none).scatter_reduce(0, quad, last + 1, "amax")
    c = torch.where(o > 0, 1.0, c1), torch.where(o > 1, 1.0, torch.where(o > 0, c1, c2))
    return first.clamp_max(native - 1) * 4 + count, c


def _cells(
    natives: list[tuple[int, int]], size: Grid, moved: Sequence[Moved], device: torch.device
) -> Tables:
    """Lists the moved cells of all regions by quad, on the device, for any motion.

    ints: for every size the first cell of each quad (h·w + 1), and of each cell base row * 8192 + base
        column, times 16, plus 4 times the rows that it reads, plus the columns.
    floats: eight of each cell: share of the region, fy, fx, c1 and c2 of rows, c1 and c2 of columns, 0.
    """
    at = [torch.nonzero(mask).to(torch.int16).to(device).double() for _, mask, _ in moved]
    there = torch.cat(at)
    backs = [torch.linalg.inv(matrix.double()).tolist() for matrix, *_ in moved]
    y, x = (
        torch.cat([a[:, 1] * b[d][0] + a[:, 0] * b[d][1] + b[d][2] for a, b in zip(at, backs, strict=True)])
        for d in (1, 0)
    )
    shares = torch.cat([torch.full_like(a[:, 0], s) for a, (*_, s) in zip(at, moved, strict=True)])
    ints: list[Tensor] = []
    floats: list[Tensor] = []
    starts: list[tuple[int, int]] = []
    begun = 0
    for h, w in natives:
        low_y, fy = _near(there[:, 0], h, size.height)
        low_x, fx = _near(there[:, 1], w, size.width)
        base_y, *rows = _read(y, h, size.height)
        base_x, *columns = _read(x, w, size.width)
        quad, by = (low_y * w + low_x).sort(stable=True)
        starts.append((begun, len(starts) * len(there) * 8))
        begun += h * w + 1 + len(quad)
        ints += [torch.searchsorted(quad, torch.arange(h * w + 1, device=device)).to(torch.int32)]
        counts = [1 + (c1 > 0).long() + (c2 > 0).long() for c1, c2 in (rows, columns)]
        ints += [(((base_y * 8192 + base_x) * 4 + counts[0]) * 4 + counts[1])[by].to(torch.int32)]
        row = [shares, fy, fx, *rows, *columns, torch.zeros_like(fy)]
        floats.append(torch.stack(row, 1)[by].float().flatten())
    return ints, floats, starts

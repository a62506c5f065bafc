"""The papers' loops, written out step by step beside drag() with the recipes' paper variants, in float64.

GoodDrag's Algorithm 1 (B 2, J 3, K 4), DragNeXt's PBSI (K 2, two timesteps), AdaptiveDrag's equations 5 and 6
with their backtracking, each on a toy network. DragFlow's is in test_paper_dragflow.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from drag_core.drag import drag
from drag_core.recipes.adaptivedrag import adaptivedrag
from drag_core.recipes.common import linear, per_level
from drag_core.recipes.dragnext import dragnext
from drag_core.recipes.gooddrag import gooddrag
from drag_core.trajectory.schedules import ddim as ddim_levels
from drag_core.trajectory.solvers import ddim_jump
from drag_core.types import (
    KV,
    AffineMotion,
    FeatureTap,
    Grid,
    Handle,
    Region,
    Schedule,
    Task,
    Trajectory,
)

WHOLE = ddim_levels(50)
CUT = slice(WHOLE.t.index(741.0), WHOLE.t.index(741.0) + 4)
S = Schedule(WHOLE.t[CUT], WHOLE.alpha[CUT], WHOLE.sigma[CUT], "noise")  # three steps
TOLERANCE = 1e-9


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@dataclass(frozen=True)
class Toy:
    """Features tanh(W z) at each tap, at the latent's size; the noise 0.3 tanh(E z)."""

    taps: tuple[Tensor, ...]
    noise: Tensor

    def feature(self, z: Tensor, k: int) -> Tensor:
        return torch.tanh(F.conv2d(z, self.taps[k], padding=1))

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        return 0.3 * torch.tanh(F.conv2d(z, self.noise, padding=1))

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        return [self.feature(z, k) for k in range(len(taps))], None if stop else self.predict(z, t)


def toy(taps: int = 1) -> Toy:
    return Toy(tuple(0.4 * drawn(3, 4, 3, 3, seed=k) for k in range(taps)), 0.2 * drawn(4, 4, 3, 3, seed=9))


def onward(net: Toy, z: Tensor, i: int) -> Tensor:
    return ddim_jump(z, net.predict(z, S.t[i]), S, i, i + 1)


def large(x: Tensor, side: int) -> Tensor:
    return F.interpolate(x, (side, side), mode="bilinear", align_corners=False)


def at_place(x: Tensor, column: float, row: float) -> Tensor:
    """(C,) of a large map between its cells."""
    c, r = math.floor(column), math.floor(row)
    fc, fr = column - c, row - r
    parts = (((1 - fr) * (1 - fc), r, c), ((1 - fr) * fc, r, c + 1), (fr * (1 - fc), r + 1, c))
    out = sum(w * x[0, :, min(a, x.shape[2] - 1), min(b, x.shape[3] - 1)] for w, a, b in parts)
    return out + fr * fc * x[0, :, min(r + 1, x.shape[2] - 1), min(c + 1, x.shape[3] - 1)]


def square(x: Tensor, column: float, row: float, radius: int) -> Tensor:
    """(C, n, n) of a large map around a place between its cells."""
    c, r = math.floor(column), math.floor(row)
    fc, fr = column - c, row - r
    a = [
        x[0, :, r + i - radius : r + i + radius + 1, c + j - radius : c + j + radius + 1]
        for i in (0, 1)
        for j in (0, 1)
    ]
    return (1 - fr) * ((1 - fc) * a[0] + fc * a[1]) + fr * ((1 - fc) * a[2] + fc * a[3])


def close(a: Tensor, b: Tensor) -> None:
    assert float((a - b).abs().max()) < TOLERANCE


def test_gooddrag_algorithm_1() -> None:
    """Features at the picture's size; the second handle lies within β of its target, the third at it."""
    net, levels = toy(), 2
    size, editable = Grid(128, 128), torch.zeros(128, 128)
    editable[24:104, 16:112] = 1
    pairs = (((40.0, 50.0), (64.0, 57.0)), ((80.0, 60.0), (82.0, 61.0)), ((60.0, 90.0), (60.0, 90.0)))
    task = Task(size, (), tuple(Handle(a, b) for a, b in pairs), editable)
    path = tuple(drawn(1, 4, 16, 16, seed=20 + i) for i in range(len(S.t)))
    made = gooddrag(task, "paper")
    assert made.track_every == 3
    recipe = replace(made, schedule=S, ramp=((1.0,) * 6,) * levels, kv_blocks=())
    got = drag(net, Trajectory(S, path), recipe)

    mask = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    mask[..., 3:13, 2:14] = 1
    z, places, traces = path[0], [a for a, _ in pairs], []
    for i in range(len(S.t) - 1):
        if i < levels:
            then, ref_next = large(net.feature(path[i], 0), 128), onward(net, path[i], i)
            z = z.clone().requires_grad_()
            adam = torch.optim.Adam([z], lr=0.02)
            for _ in range(2):  # B drags at a timestep
                for _ in range(3):  # J updates
                    now = large(net.feature(z, 0), 128)
                    loss = 0.2 * ((onward(net, z, i) - ref_next) * (1 - mask)).abs().sum()
                    for (x, y), (start, goal) in zip(places, pairs, strict=True):
                        far = math.dist((x, y), goal)
                        dx, dy = (
                            (4 * (g - p) / far) if far else 0.0 for g, p in zip(goal, (x, y), strict=True)
                        )
                        x0, y0 = int(start[0]), int(start[1])
                        own = then[0, :, y0 - 4 : y0 + 5, x0 - 4 : x0 + 5]
                        there = square(now, x + dx, y + dy, 4)
                        loss = loss + (there - own).abs().mean(0).sum()
                    adam.zero_grad()
                    loss.backward()
                    adam.step()
                now = large(net.feature(z.detach(), 0), 128)
                places = [_tracked(now, then, p, start) for p, (start, _) in zip(places, pairs, strict=True)]
                traces.append(places)
            z = z.detach()
        z = onward(net, z, i)
    assert len(got.losses) == 12 and [list(t) for t in got.traces] == traces
    assert len({p[0] for p in traces}) > 1  # something moved
    close(got.z, z)


def _tracked(
    now: Tensor, then: Tensor, place: tuple[float, float], start: tuple[float, float]
) -> tuple[float, float]:
    x, y = int(place[0]), int(place[1])
    want = then[0, :, int(start[1]), int(start[0])][:, None, None]
    k = int((now[0, :, y - 12 : y + 13, x - 12 : x + 13] - want).abs().sum(0).argmin())
    return float(x - 12 + k % 25), float(y - 12 + k // 25)


def test_dragnext_pbsi() -> None:
    """Two regions of unequal size and γ, moved by 0, 2, 4, 6 and 0, 1, 2, 3 cells of half the picture."""
    net, size = toy(4), Grid(128, 128)
    masks = [torch.zeros(128, 128), torch.zeros(128, 128)]
    masks[0][32:64, 24:64] = 1
    masks[1][80:92, 80:96] = 1
    motions = (AffineMotion((16.0, 0.0)), AffineMotion((0.0, -8.0)))
    weights = (0.4, 0.6)
    regions = tuple(Region(m, a, w) for m, a, w in zip(masks, motions, weights, strict=True))
    editable = torch.zeros(128, 128)
    editable[24:104, 16:112] = 1
    path = tuple(drawn(1, 4, 16, 16, seed=40 + i) for i in range(len(S.t)))
    made = dragnext(Task(size, regions, (), editable), "paper")
    recipe = replace(made, schedule=S, ramp=per_level(linear(4, first=0), 2), kv_blocks=())
    got = drag(net, Trajectory(S, path), recipe)

    mask = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    mask[..., 3:13, 2:14] = 1
    boxes = ((slice(16, 32), slice(12, 32)), (slice(40, 46), slice(40, 48)))
    cells = ((2, 0), (0, -1))  # (x, y) a quarter of the way
    z = path[0]
    for i in range(len(S.t) - 1):
        if i < 2:
            then = [large(net.feature(path[i], k), 64) for k in range(4)]
            ref_next = onward(net, path[i], i)
            z = z.clone().requires_grad_()
            adam = torch.optim.Adam([z], lr=0.02)
            for k in range(2):
                progress = 2 * i + k  # quarters: (K(T-t)+k)/(K(T-T'+1))
                loss = 0.2 * ((onward(net, z, i) - ref_next) * (1 - mask)).abs().sum()
                for (rows, columns), (dx, dy) in zip(boxes, cells, strict=True):
                    right, down = progress * dx, progress * dy
                    down_by = slice(rows.start + down, rows.stop + down)
                    right_by = slice(columns.start + right, columns.stop + right)
                    for tap in range(4):
                        now = large(net.feature(z, tap), 64)
                        loss = (
                            loss + (now[0, :, down_by, right_by] - then[tap][0, :, rows, columns]).abs().sum()
                        )
                adam.zero_grad()
                loss.backward()
                adam.step()
            z = z.detach()
        z = onward(net, z, i)
    assert len(got.losses) == 4
    close(got.z, z)


def adaptive(seed: int, rate: float) -> tuple[float, list[str]]:
    """How far drag() is from the loop written out, and what became of each of its three updates.

    A map of 16x16 cells in four super-pixels; a new place must be 2 cells away.
    """
    net = Toy((drawn(3, 4, 3, 3, seed=seed),), 0.2 * drawn(4, 4, 3, 3, seed=9))
    labels = torch.zeros(32, 32, dtype=torch.int64)
    labels[:, 16:] += 1
    labels[16:] += 2
    start, goal = (5.0, 6.0), (11.0, 9.0)  # cells; the ideal step is a third of the way
    as_pixels = [tuple(2 * v + 0.5 for v in p) for p in (start, goal)]
    handle = Handle(*as_pixels)  # type: ignore[arg-type]
    editable = torch.zeros(32, 32)
    editable[4:28, 4:28] = 1
    path = tuple(drawn(1, 4, 16, 16, seed=100 + seed + i) for i in range(len(S.t)))
    made = adaptivedrag(Task(Grid(32, 32), (), (handle,), editable, cell=2, labels=labels), "paper")
    assert made.track_every == 1
    supervision = replace(made.supervision, steps=3)  # type: ignore[type-var]
    adam_of = partial(torch.optim.Adam, lr=rate)
    changes = {"schedule": S, "ramp": ((1.0,) * 4,), "kv_blocks": (), "guide": None, "optimizer": adam_of}
    got = drag(net, Trajectory(S, path), replace(made, supervision=supervision, **changes))  # type: ignore[arg-type]

    def patch(p: tuple[float, float]) -> list[tuple[int, int]]:
        columns, rows = (range(8) if v < 7.5 else range(8, 16) for v in p)
        return [(x, y) for y in rows for x in columns]

    mask = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    mask[..., 2:14, 2:14] = 1
    then, ref_next = net.feature(path[0], 0), onward(net, path[0], 0)
    first = then[0, :, int(start[1]), int(start[0])]
    z, p, fates = path[0].clone().requires_grad_(), start, list[str]()
    traces: list[tuple[float, float]] = []
    adam = torch.optim.Adam([z], lr=rate)
    least, way = math.dist(start, goal) / 3, (goal[0] - start[0], goal[1] - start[1])
    for k in range(4):
        now = net.feature(z, 0)
        if k:
            seen = now.detach()[0]
            gaps = [(float((seen[:, y, x] - first).abs().sum()), (float(x), float(y))) for x, y in patch(p)]
            q = min(gaps)[1]
            step = (q[0] - p[0], q[1] - p[1])
            ahead = step[0] * way[0] + step[1] * way[1] > 0
            long = math.hypot(*step) >= least
            fates.append(
                "kept" if ahead and long else "repeated" if ahead or step == (0, 0) else "turned back"
            )
            p = q if ahead and long else p
            traces.append(p)
        far = math.dist(p, goal)
        if far < 2:
            fates.append("arrived")
            break
        d = ((goal[0] - p[0]) / far, (goal[1] - p[1]) / far)
        loss = 0.1 * ((onward(net, z, 0) - ref_next) * (1 - mask)).abs().sum()
        for x, y in patch(p):
            loss = loss + (at_place(now, x + d[0], y + d[1]) - now[0, :, y, x].detach()).abs().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    z = z.detach()
    for i in range(len(S.t) - 1):
        z = onward(net, z, i)
    found = [[(v - 0.5) / 2 for v in t[0]] for t in got.traces]
    assert found == [pytest.approx(list(t)) for t in traces]
    return float((got.z - z).abs().max()), fates


def test_adaptivedrag_equations_5_and_6() -> None:
    """Three updates: one kept, one turned back, one repeated."""
    apart, fates = adaptive(12, 0.2)
    assert apart < TOLERANCE and fates == ["kept", "turned back", "repeated"]

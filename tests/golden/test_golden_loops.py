"""The released loops of GoodDrag and DragNeXt, written out here step by step as their code orders them,
against drag() with the recipes' released variants on the golden files' toy network.

What the order is: GoodDrag tracks once when a timestep begins and then after every third update, in the
features from before that update; Adam is new at each timestep; a picture denoised beside the edit is the
reference. DragNeXt's region loss moves by whole cells and steps of two degrees, and adds the background once
for each region that moves.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from drag_core.drag import drag
from drag_core.recipes.dragnext import dragnext
from drag_core.recipes.gooddrag import gooddrag
from drag_core.recipes.recipe import Recipe
from drag_core.recipes.released import CountedBackground
from drag_core.recipes.released.adaptivedrag import forward_patch, spacing
from drag_core.recipes.released.around import Around
from drag_core.result import Result
from drag_core.trajectory.constrain import Constraint, SoftBackground
from drag_core.trajectory.schedules import ddim as ddim_levels
from drag_core.trajectory.solvers import ddim_jump
from drag_core.types import AffineMotion, Grid, Handle, Region, Schedule, Task, Trajectory
from tests.golden.load import golden, relative
from tests.golden.test_golden_points import ToyUNet

HALF = Grid(64, 64)
LEVELS = ddim_levels(50)
CUT = slice(LEVELS.t.index(741.0), LEVELS.t.index(741.0) + 7)
S = Schedule(LEVELS.t[CUT], LEVELS.alpha[CUT], LEVELS.sigma[CUT], "noise")
EDITABLE = torch.zeros(1, 1, 16, 16)
EDITABLE[..., 3:13, 2:14] = 1


@pytest.fixture(scope="module")
def toy() -> tuple[ToyUNet, Tensor]:
    data = golden("dragdiffusion_loop")
    return ToyUNet(data["We"], data["Wf"]), data["z0"]


def large(toy: ToyUNet, z: Tensor) -> Tensor:
    native = torch.tanh(F.conv2d(z, toy.feature_weight, padding=1))
    return F.interpolate(native, (64, 64), mode="bilinear", align_corners=False)


def onward(toy: ToyUNet, z: Tensor, i: int) -> Tensor:
    return ddim_jump(z, toy.predict(z, S.t[i]), S, i, i + 1)


def square(x: Tensor, row: float, column: float, radius: int) -> Tensor:
    """Bilinear square around a place between cells."""
    r0, c0 = math.floor(row), math.floor(column)
    fr, fc = row - r0, column - c0
    at = [
        x[:, :, r0 + a - radius : r0 + a + radius + 1, c0 + b - radius : c0 + b + radius + 1]
        for a in (0, 1)
        for b in (0, 1)
    ]
    share = ((1 - fr) * (1 - fc), (1 - fr) * fc, fr * (1 - fc), fr * fc)
    return sum(w * p for w, p in zip(share, at, strict=True))  # type: ignore[return-value]


def tracked(
    then: Tensor, now: Tensor, places: list[list[float]], starts: list[list[float]]
) -> list[list[float]]:
    out = []
    for (row, column), (r0, c0) in zip(places, starts, strict=True):
        want = then[:, :, int(r0), int(c0)][:, :, None, None]
        r, c = int(row), int(column)
        gap = (want - now[:, :, r - 12 : r + 13, c - 12 : c + 13]).abs().sum(1)[0]
        k = int(gap.argmin())
        out.append([row - 12 + k // 25, column - 12 + k % 25])
    return out


def far(p: list[float], q: list[float]) -> float:
    return math.dist(p, q)


def point_phase(
    toy: ToyUNet, z: Tensor, ref: Tensor, i: int, places: list[list[float]], memory: dict[str, object]
) -> tuple[Tensor, list[list[float]]]:
    """One timestep of GoodDrag as released: thirty updates, ten trackings."""
    starts, targets = memory["starts"], memory["targets"]
    assert isinstance(starts, list) and isinstance(targets, list)
    with torch.no_grad():
        then, ref_next = large(toy, ref), onward(toy, ref, i)
    z = z.detach().clone().requires_grad_()
    adam = torch.optim.Adam([z], lr=0.02)
    for k in range(30):
        now = large(toy, z)
        if k == 0:
            places = tracked(then, now.detach(), places, starts)
        if all(far(p, g) < 2 for p, g in zip(places, targets, strict=True)) or memory["still"] == 10:
            memory["over"] = True
            break
        loss = 0.2 * ((onward(toy, z, i) - ref_next) * (1 - EDITABLE)).abs().sum()
        for p, g, h in zip(places, targets, starts, strict=True):
            length = far(p, g)
            if length >= 2:
                step = [(b - a) / length * min(4.0, length) for a, b in zip(p, g, strict=True)]
                r, c = int(h[0]), int(h[1])
                own = then[:, :, r - 4 : r + 5, c - 4 : c + 5]
                loss = loss + 64 * (own - square(now, p[0] + step[0], p[1] + step[1], 4)).abs().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        if k % 3 == 2:
            new = tracked(then, now.detach(), places, starts)
            memory["still"] = int(memory["still"]) + 1 if new == places else 0  # type: ignore[call-overload]
            places = new
    return z.detach(), places


@pytest.mark.parametrize("targets", [[[22.0, 44.0], [45.0, 22.0]], [[29.0, 33.0], [41.0, 25.0]]])
def test_gooddrag_released_loop(toy: tuple[ToyUNet, Tensor], targets: list[list[float]]) -> None:
    """Three timesteps; the second pair of targets is near, so that the drag may end early. In float64, as
    below.
    """
    net, z0 = ToyUNet(toy[0].noise.double(), toy[0].feature_weight.double()), toy[1].double()
    starts = [[30.0, 31.0], [38.0, 27.0]]
    memory: dict[str, object] = {"starts": starts, "targets": targets, "still": 0, "over": False}
    z, ref, places = z0, z0, starts
    for i in range(len(S.t) - 1):
        if i < 3 and not memory["over"]:
            z, places = point_phase(net, z, ref, i, places, memory)
        with torch.no_grad():
            z, ref = onward(net, z, i), onward(net, ref, i)
    got = released(net, z0, gooddrag(task(starts, targets), "released"), 3)
    assert relative(got.z - ref, z - ref) < 1e-4
    assert [[y, x] for x, y in got.traces[-1]] == places


def task(starts: list[list[float]], targets: list[list[float]], regions: tuple[Region, ...] = ()) -> Task:
    pairs = tuple(Handle((a[1], a[0]), (b[1], b[0])) for a, b in zip(starts, targets, strict=True))
    return Task(HALF, regions, pairs)


def released(net: ToyUNet, z0: Tensor, recipe: Recipe, levels: int) -> Result:
    """The recipe on the toy: its cells are the files' own, its timesteps fewer."""
    supervision = on_half(recipe.supervision)
    constraint: Constraint = SoftBackground(EDITABLE, 0.2)
    if isinstance(recipe.constraint, CountedBackground):
        constraint = replace(recipe.constraint, inside=constraint)
    first = recipe.first
    if first is not None:
        of_first = on_half(first.supervision)
        first = replace(first, supervision=of_first, schedule=S, constraint=SoftBackground(EDITABLE, 0.2))
    recipe = replace(
        recipe,
        schedule=S,
        supervision=supervision,
        constraint=constraint,
        ramp=recipe.ramp[:levels],
        kv_blocks=(),
        first=first,
    )
    return drag(net, Trajectory(S, (z0,) * len(S.t)), recipe)


def on_half(supervision: Any) -> Any:
    if isinstance(supervision, Around):
        return replace(supervision, inside=on_half(supervision.inside))
    return replace(supervision, image=HALF, grid=HALF)


def turned(x: Tensor, degrees: float, row: float, column: float) -> Tensor:
    """Nearest cells, counter-clockwise about a point counted from the corner."""
    a = math.radians(degrees)
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    dy, dx = rows + 0.5 - row, columns + 0.5 - column
    from_x = (math.cos(a) * dx - math.sin(a) * dy + column - 0.5).round().long()
    from_y = (math.sin(a) * dx + math.cos(a) * dy + row - 0.5).round().long()
    inside = (from_x >= 0) & (from_x < 64) & (from_y >= 0) & (from_y < 64)
    return x[..., from_y.clamp(0, 63), from_x.clamp(0, 63)] * inside


@pytest.mark.parametrize("points", [False, True])
def test_dragnext_released_loop(toy: tuple[ToyUNet, Tensor], points: bool) -> None:
    """One region moved, one turned by 47 degrees counter-clockwise; five timesteps of ten; with GoodDrag's
    phase first at three of them where the drag has points (in float64: each Adam's first step keeps only
    signs, so that rounding grows from phase to phase).
    """
    net, z0 = toy
    if points:
        net, z0 = ToyUNet(net.noise.double(), net.feature_weight.double()), z0.double()
    shift, degrees, centre = (-12.4, 9.0), 47.0, (44.0, 20.0)  # rows, columns
    moved, spun = torch.zeros(64, 64), torch.zeros(64, 64)
    moved[20:32, 30:44] = 1
    spun[40:52, 10:22] = 1
    starts, targets = [[26.0, 37.0]], [[16.0, 45.0]]
    memory: dict[str, object] = {"starts": starts, "targets": targets, "still": 0, "over": False}
    z, ref, places = z0, z0, starts
    for i in range(len(S.t) - 1):
        if points and i < 3 and not memory["over"]:
            z, places = point_phase(net, z, ref, i, places, memory)
        if i < 5:
            with torch.no_grad():
                then, ref_next = large(net, ref), onward(net, ref, i)
            z = z.detach().clone().requires_grad_()
            adam = torch.optim.Adam([z], lr=0.02)
            for k in range(10):
                part = (10 * i + k + 1) / 30 if i < 3 else 1.0
                now, parts = large(net, z), []
                dy, dx = math.trunc(part * shift[0]), math.trunc(part * shift[1])
                if dy or dx:
                    at = torch.nonzero(moved)
                    to = at + torch.tensor([dy, dx])
                    inside = ((to >= 0) & (to < 64)).all(1)
                    a, b = at[inside], to[inside]
                    parts.append((then[:, :, a[:, 0], a[:, 1]] - now[:, :, b[:, 0], b[:, 1]]).abs().mean())
                angle = round(part * degrees / 2) * 2 if i < 3 else degrees
                there = turned(spun, angle, *centre) == 1
                parts.append((turned(then * spun, angle, *centre)[..., there] - now[..., there]).abs().mean())
                background = 0.2 * ((onward(net, z, i) - ref_next) * (1 - EDITABLE)).abs().sum()
                adam.zero_grad()
                sum(10 * p + background for p in parts).backward()  # type: ignore[union-attr]
                adam.step()
            z = z.detach()
        with torch.no_grad():
            z, ref = onward(net, z, i), onward(net, ref, i)
    regions = (
        Region(moved, AffineMotion((shift[1], shift[0]))),
        Region(spun, AffineMotion(angle=-math.radians(degrees), anchor=(centre[1], centre[0]))),
    )
    drawn = task(starts, targets, regions) if points else Task(HALF, regions)
    recipe = dragnext(replace(drawn, editable=torch.ones(64, 64)), "released")
    assert (recipe.first is not None) == points
    # the recipe's grid is half the picture's: here both are the files' cells, and so is the progress of the
    # shift
    assert isinstance(recipe.constraint, CountedBackground)
    recipe = replace(recipe, constraint=replace(recipe.constraint, since=(1 / 12.4 - 1e-6, 0.0)))
    got = released(net, z0, recipe, 5)
    assert relative(got.z - ref, z - ref) < 1e-4


def test_adaptivedrag_superpixel_functions() -> None:
    """Spacing of super-pixels, truncated and with rows and columns exchanged as released; the region of a
    point.
    """
    data = golden("adaptivedrag_superpixel")
    centroids = data["centroids"].flip(1)
    for (row, column), want in zip(data["dis_at"].tolist(), data["dis"].tolist(), strict=True):
        assert int(spacing(data["segments"], centroids, (column, row))) == want
    got = forward_patch(data["segments"], HALF, (31.0, 30.0), (57.0, 49.0), radius=9, count=63)
    assert torch.equal(got, data["half_mask"])
    down = F.avg_pool2d(data["down_in"].float()[None, None], 2)[0, 0] > 0.5
    assert torch.equal(down.long(), data["down"])

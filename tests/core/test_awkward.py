"""Odd drags through the whole way, from what was drawn to the denoised latent: a sensible result or one
sentence.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from drag_core.drag import drag
from drag_core.motion.instruction import DragInstruction, PointSpec, RegionSpec, Shape
from drag_core.motion.task import build_task
from drag_core.recipes.adaptivedrag import adaptivedrag
from drag_core.recipes.dragdiffusion import dragdiffusion
from drag_core.recipes.dragnext import dragnext
from drag_core.recipes.gooddrag import gooddrag
from drag_core.recipes.recipe import Recipe
from drag_core.result import Result
from drag_core.trajectory.constrain import FreeBackground
from drag_core.trajectory.invert import invert
from drag_core.trajectory.schedules import sparser
from drag_core.trajectory.solvers import ddim
from drag_core.types import KV, DragError, FeatureTap, Grid, Task, Trajectory

SIZE = Grid(128, 128)
POINTS = {"gooddrag": gooddrag, "dragdiffusion": dragdiffusion, "adaptivedrag": adaptivedrag}


class Toy:
    """A random convolution as denoiser and features, at the latent's size."""

    def __init__(self) -> None:
        g = torch.Generator().manual_seed(0)
        self.noise, self.kernel = (torch.randn(4, 4, 3, 3, generator=g) / 6 for _ in range(2))

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        return torch.tanh(F.conv2d(z, self.noise, padding=1))

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        maps = [torch.tanh(F.conv2d(z, self.kernel, padding=1)) for _ in taps]
        return maps, None if stop else self.predict(z, t)


TOY = Toy()


@cache
def path(t: float) -> Trajectory:
    base = dragdiffusion(Task(SIZE, handles=build("none", points=[((50, 50), (60, 50))])[0].handles))
    z = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    return invert(TOY, z, sparser(base.schedule, 6), ddim)


def build(
    editable: str = "adaptive",
    points: list[tuple[tuple[float, float], tuple[float, float]]] | None = None,
    regions: tuple[RegionSpec, ...] = (),
) -> tuple[Task, tuple[str, ...]]:
    pairs = tuple(PointSpec(a, b) for a, b in points or [])
    return build_task(DragInstruction(128, 128, regions=regions, points=pairs, editable=editable), SIZE)


def run(recipe: Recipe, updates: int = 6) -> Result:
    """The recipe with few updates on the toy."""
    source = path(0.0)
    ramp = tuple(level[:updates] for level in recipe.ramp[:2])
    result = drag(TOY, source, replace(recipe, schedule=source.schedule, kv_blocks=(), ramp=ramp))
    assert torch.isfinite(result.z).all() and all(torch.isfinite(torch.tensor(result.losses)))
    return result


@cache
def untouched() -> Tensor:
    z = path(0.0).z[0]
    for i in range(6):
        z, _ = ddim(TOY, z, path(0.0).schedule, i, i + 1, None, None)
    return z


@pytest.mark.parametrize("name", POINTS)
def test_without_a_mask_everything_may_change_and_something_does(name: str) -> None:
    task, _ = build("none", [((60, 60), (80, 60))])
    recipe = POINTS[name](task)
    assert task.editable is None and isinstance(recipe.constraint, FreeBackground)
    assert float((run(recipe).z - untouched()).abs().max()) > 1e-2


@pytest.mark.parametrize("name", POINTS)
@pytest.mark.parametrize("corner", [(0.0, 0.0), (127.0, 127.0), (127.0, 64.0)])
def test_a_handle_at_the_border_stays_inside(name: str, corner: tuple[float, float]) -> None:
    for start, target in ((corner, (64.0, 64.0)), ((64.0, 64.0), corner)):
        result = run(POINTS[name](build(points=[(start, target)])[0]))
        assert all(-0.5 <= v <= 127.5 for places in result.traces for p in places for v in p)


@pytest.mark.parametrize("name", POINTS)
def test_a_handle_at_its_target_changes_nothing_and_says_so(name: str) -> None:
    task, notes = build(points=[((60, 60), (60, 60))])
    assert any("moves by 0.0 px" in n for n in notes)
    recipe = replace(POINTS[name](task), guide=None)
    result = run(recipe)
    assert len(result.losses) <= 1 or all(v == 0 for v in result.losses)
    assert torch.allclose(result.z, untouched(), atol=1e-5)


@pytest.mark.parametrize("name", POINTS)
def test_one_of_two_at_its_target_stays(name: str) -> None:
    result = run(POINTS[name](build(points=[((30, 30), (30, 30)), ((80, 80), (100, 80))])[0]))
    assert torch.dist(torch.tensor(result.traces[-1][0]), torch.tensor([30.0, 30.0])) < 26


def test_a_target_off_the_canvas_is_refused_in_a_sentence() -> None:
    with pytest.raises(
        DragError, match=r"the target of point 1 is \(200, 64\), outside the 128x128 picture: put it"
    ):
        build(points=[((64, 64), (200, 64))])
    outside = RegionSpec(Shape(polygons=(((20, 20), (60, 20), (60, 60)),)), "relocation", target=(64, -40))
    with pytest.raises(DragError, match=r"the target of region 1 is \(64, -40\), outside"):
        build(regions=(outside,))


@pytest.mark.parametrize("name", POINTS)
def test_fifty_points(name: str) -> None:
    pairs = [
        ((12.0 + 10 * (k % 10), 20.0 + 20 * (k // 10)), (20.0 + 10 * (k % 10), 24.0 + 20 * (k // 10)))
        for k in range(50)
    ]
    result = run(POINTS[name](build(points=pairs)[0]), updates=4)
    assert len(result.traces[-1]) == 50 and float((result.z - untouched()).abs().max()) > 1e-3


def region(*corners: tuple[float, float], target: tuple[float, float]) -> RegionSpec:
    return RegionSpec(Shape(polygons=(corners,)), "relocation", target=target)


def test_a_region_of_one_pixel_moves_its_cell_and_says_so() -> None:
    task, notes = build("none", regions=(region((40, 40), (40, 40), (40, 40), target=(72, 40)),))
    assert task.regions[0].mask.sum() == 1 and any("has 1 px" in n for n in notes)
    result = run(dragnext(task))
    assert result.losses[-1] > 0 and float((result.z - untouched()).abs().max()) > 1e-3
    for make in POINTS.values():
        run(make(task))


def test_a_concave_region() -> None:
    """A horseshoe: its centroid lies outside; it moves, and the points made of it lie on it."""
    shape = ((20, 20), (100, 20), (100, 100), (80, 100), (80, 40), (40, 40), (40, 100), (20, 100))
    task, notes = build(regions=(region(*shape, target=(70, 62)),))
    x, y = task.handles[0].start
    assert task.regions[0].mask[60, 60] == 0 and task.regions[0].mask[int(y), int(x)] == 1 and not notes
    assert run(dragnext(task)).losses[0] > 0
    for make in POINTS.values():
        run(make(task))

"""Losses by hand and their gradients in float64, away from the kinks of |x|."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from drag_core.features.supervise import NoSupervision, PointSupervision, RegionPlan, RegionSupervision
from drag_core.recipes.released import Unpacked
from drag_core.types import AffineMotion, Grid, Handle, Region
from tests.core.analytic import blob

IMAGE, GRID = Grid(64, 96), Grid(16, 24)
NATIVE = (8, 12)


def features(seed: int, channels: int = 3, size: tuple[int, int] = NATIVE) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, *size, generator=g, dtype=torch.float64)


def square(rows: slice = slice(16, 32), columns: slice = slice(16, 32)) -> Tensor:
    mask = torch.zeros(IMAGE.height, IMAGE.width)
    mask[rows, columns] = 1
    return mask


MOVED = Region(square(), AffineMotion(shift=(32.0, 16.0)), 0.7)
TURNED = Region(
    square(slice(32, 56), slice(40, 72)), AffineMotion(angle=0.6, scale=(1.2, 0.9), anchor=(50, 40)), 0.3
)
regions = RegionSupervision((MOVED, TURNED), IMAGE, GRID)
HANDLES = (Handle((20.0, 21.0), (60.0, 33.0)), Handle((70.5, 40.0), (30.0, 44.0)))
gooddrag = PointSupervision(HANDLES, IMAGE, GRID, radius=2, search=3, stride=2.0, preserve=True, factor=25.0)
dragdiffusion = replace(gooddrag, radius=1, stride=1.0, preserve=False, factor=9.0)


@pytest.mark.parametrize(("mean", "cells"), [("map", 16 * 24), ("region", 16)])
def test_region_loss_by_hand(mean: str, cells: int) -> None:
    """Features on the grid itself; the region's 4x4 cells go 8 to the right and 4 down."""
    then, now = features(0, size=(16, 24)), features(1, size=(16, 24))
    gap = (now[..., 8:12, 12:16] - then[..., 4:8, 4:8]).abs().sum()
    got = RegionSupervision((MOVED,), IMAGE, GRID, mean=mean).loss([now], [then], None, 1.0)
    assert float(got) == pytest.approx(0.7 * float(gap) / (3 * cells))
    half = RegionSupervision((MOVED,), IMAGE, GRID, mean=mean).loss([now], [then], None, 0.5)
    gap = (now[..., 6:10, 8:12] - then[..., 4:8, 4:8]).abs().sum()
    assert float(half) == pytest.approx(0.7 * float(gap) / (3 * cells))


def test_region_loss_sums_regions_and_concatenates_taps() -> None:
    a, b = features(0), features(1, 5)
    now = [features(2), features(3, 5)]
    both = regions.loss(now, [a, b], None, 0.8)
    alone = [RegionSupervision((r,), IMAGE, GRID).loss(now, [a, b], None, 0.8) for r in (MOVED, TURNED)]
    assert torch.allclose(both, alone[0] + alone[1]) and both > 0
    parts = [regions.loss([x], [y], None, 0.8) * n for x, y, n in zip(now, (a, b), (3, 5), strict=True)]
    assert torch.allclose(both, (parts[0] + parts[1]) / 8)


def test_region_loss_is_lazy_upsampling() -> None:
    """Native maps give what maps upsampled to the grid give."""
    then, now = features(0), features(1)
    up = [F.interpolate(x, (GRID.height, GRID.width), mode="bilinear") for x in (now, then)]
    assert torch.allclose(
        regions.loss([now], [then], None, 0.9), regions.loss([up[0]], [up[1]], None, 0.9), rtol=1e-10
    )


def test_features_that_moved_along_cost_nothing() -> None:
    then = blob((5.5, 5.5), 16, 1.0).double()
    now = then.roll((4, 8), (2, 3))
    mask = torch.zeros(16, 16)
    mask[4:8, 4:8] = 1
    one = RegionSupervision((Region(mask, AffineMotion(shift=(8.0, 4.0))),), Grid(16, 16), Grid(16, 16))
    assert one.loss([now], [then], None, 1.0) == 0 and one.loss([then], [then], None, 0.0) == 0
    assert one.loss([then], [then], None, 1.0) > 0.001


def test_equal_taps_forgets_the_scale_of_a_tap() -> None:
    now, then = [features(0), features(1)], [features(2), features(3)]
    equal = replace(regions, equal_taps=True)
    loud = equal.loss([now[0], 100 * now[1]], [then[0], 100 * then[1]], None, 1.0)
    assert torch.allclose(loud, equal.loss(now, then, None, 1.0), rtol=1e-4)
    assert regions.loss([now[0], 100 * now[1]], [then[0], 100 * then[1]], None, 1.0) > 10 * loud


def test_a_region_that_leaves_the_picture_pulls_no_more() -> None:
    off = RegionSupervision((replace(MOVED, motion=AffineMotion(shift=(500.0, 0.0))),), IMAGE, GRID)
    start, end = (off.loss([features(0)], [features(1)], None, progress) for progress in (0.0, 1.0))
    assert end == 0 and start > 0


def point_loss(s: PointSupervision) -> Callable[[Tensor], Tensor]:
    then = features(0)
    return lambda x: s.loss([x], [then], s.init([then]), 1.0)


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: regions.loss([x], [features(0)], None, 0.7),
        lambda x: replace(regions, mean="region").loss([x], [features(0)], None, 1.0),
        lambda x: replace(regions, equal_taps=True).loss([x, x * x], [features(0), features(4)], None, 1.0),
        lambda x: Unpacked(regions).loss([x.tile(1, 4, 1, 1)], [features(0, 12)], None, 0.4),
        point_loss(gooddrag),
        point_loss(replace(gooddrag, stride=1.3)),
    ],
    ids=["regions", "per-region", "equal-taps", "unpacked", "points", "between-cells"],
)
def test_gradients(loss: Callable[[Tensor], Tensor]) -> None:
    x = features(1).requires_grad_()
    assert torch.autograd.gradcheck(loss, x, eps=1e-7, atol=1e-6)
    assert torch.autograd.grad(loss(x), x)[0].abs().max() > 0


def test_drift_prone_loss_holds_its_own_patch_still() -> None:
    """Its value and gradient are the information-preserving ones with the features in hand as a fixed
    reference.
    """
    x = features(1).requires_grad_()
    state = dragdiffusion.init([x])
    frozen = replace(dragdiffusion, preserve=True)
    a, b = dragdiffusion.loss([x], [features(0)], state, 1.0), frozen.loss([x], [x.detach()], state, 1.0)
    assert torch.equal(a, b)
    assert torch.equal(torch.autograd.grad(a, x)[0], torch.autograd.grad(b, x)[0])


def test_point_loss_by_hand() -> None:
    """One handle 10 cells from its target along x, stride 4: patches four cells apart."""
    pair = Handle((6.0, 8.0), (16.0, 8.0))
    s = PointSupervision((pair,), GRID, GRID, radius=1, search=2, stride=4.0, preserve=True, factor=9.0)
    then, now = features(0, size=(16, 24)), features(1, size=(16, 24))
    want = 9 * (now[..., 7:10, 9:12] - then[..., 7:10, 5:8]).abs().mean()
    assert float(s.loss([now], [then], s.init([then]), 1.0)) == pytest.approx(float(want))
    near = s.loss(
        [now], [then], torch.tensor([[13.0, 8.0]], dtype=torch.float64), 1.0
    )  # 3 cells left: no overshoot
    assert float(near) == pytest.approx(
        9 * float((now[..., 7:10, 15:18] - then[..., 7:10, 5:8]).abs().mean())
    )
    assert s.loss([now], [then], torch.tensor([[14.5, 8.0]], dtype=torch.float64), 1.0) == 0  # within reach
    assert s.loss([now], [then], torch.tensor([[14.0, 8.0]], dtype=torch.float64), 1.0) > 0  # two cells left


def test_tracking_finds_the_shifted_feature_and_keeps_the_template() -> None:
    then = features(0, size=(16, 24))
    s = replace(
        gooddrag, image=GRID, handles=(Handle((6.0, 8.0), (16.0, 8.0)), Handle((1.0, 15.0), (9.0, 15.0)))
    )
    state = s.init([then])
    first, done = s.track([then.roll((-1, 3), (2, 3))], [then], state)
    assert first.tolist() == [[9.0, 7.0], [4.0, 14.0]] and not done
    second, _ = s.track([then.roll((-1, 5), (2, 3))], [then], first)
    assert second.tolist() == [[11.0, 7.0], [6.0, 14.0]]
    last, done = s.track([then.roll((-1, 8), (2, 3))], [then], second)
    assert last[:, 0].tolist() == [14.0, 9.0] and not done  # exactly 2.2 and 1 cells away
    _, done = s.track([then.roll((0, 9), (2, 3))], [then], last)
    assert done


def test_traces_are_image_pixels() -> None:
    assert gooddrag.trace(gooddrag.init([])) == tuple(pytest.approx(h.start) for h in HANDLES)
    assert gooddrag.init([])[0].tolist() == pytest.approx([20.5 / 4 - 0.5, 21.5 / 4 - 0.5])
    assert regions.trace(None) == ()


def test_places_come_in_pairs() -> None:
    """Cells of the moved mask and where they come from (DragNeXt's Π): a quarter turn about grid place (7.5,
    5.5).
    """
    to, origin = regions.places(
        replace(MOVED, motion=AffineMotion(angle=math.pi / 2, anchor=(31.5, 23.5))), 1.0
    )
    assert sorted(to.tolist()) == [[float(x), float(y)] for x in range(6, 10) for y in range(2, 6)]
    assert torch.allclose(origin, torch.stack([2 + to[:, 1], 13 - to[:, 0]], -1))


@pytest.mark.parametrize(
    ("degrees", "columns"),
    [
        (0.0, {y: range(4, 8) for y in range(4, 8)}),
        (10.0, {4: (5, 6, 7), 5: range(4, 9), 6: range(4, 8), 7: range(4, 8)}),
    ],
)
def test_a_moved_mask_is_the_cells_that_it_covers_by_more_than_half(
    degrees: float, columns: dict[int, Sequence[int]]
) -> None:
    """A square of 4x4 cells goes 0.4 to the right: by 0.4 it covers column 8, by 0.6 column 4. Turned by ten
    degrees too, it covers (4, 4) by 0.37, (8, 4) by 0.46 and (8, 5) by 0.52.
    """
    mask = torch.zeros(16, 16)
    mask[4:8, 4:8] = 1
    region = Region(mask, AffineMotion((0.4, 0.0), math.radians(degrees), anchor=(5.5, 5.5)))
    one = RegionSupervision((region,), Grid(16, 16), Grid(16, 16))
    to, _ = one.places(region, 1.0)
    assert to.tolist() == [[x, y] for y, row in columns.items() for x in row]
    plan = one.plan([features(0, size=(16, 16))], (1.0,))
    assert isinstance(plan, RegionPlan)
    cells = [0 if w.inside is None else int(w.inside.sum()) for w in plan.windows[1.0]]
    assert cells == ([0] if degrees == 0 else [len(to)])  # none: the whole window


@pytest.mark.parametrize(("shift", "cell"), [((0.0, 0.0), [5.0, 4.0]), ((8.0, 4.0), [7.0, 5.0])])
def test_a_region_smaller_than_a_cell_is_the_cell_that_has_most_of_it(
    shift: tuple[float, float], cell: list[float]
) -> None:
    pixel = Region(square(slice(18, 19), slice(21, 22)), AffineMotion(shift))
    to, came_from = RegionSupervision((pixel,), IMAGE, GRID).places(pixel, 1.0)
    assert to.tolist() == [cell] and came_from.tolist() == [[5.0, 4.0]]


def test_equal_taps_divides_by_the_mean_magnitude() -> None:
    """383 cells of -1 and one of 9, far from the region: its 16 cells differ by 0.5 each."""
    then = -torch.ones(1, 1, 16, 24, dtype=torch.float64)
    then[..., 0, 0] = 9
    one = RegionSupervision((MOVED,), IMAGE, GRID, equal_taps=True)
    want = 0.7 * 16 * 0.5 / ((383 + 9) / 384 + 1e-6) / 384
    now = torch.full_like(then, -0.5)
    for reference in ([then], one.plan([then], (1.0,))):
        assert float(one.loss([now], reference, None, 1.0)) == pytest.approx(want, rel=1e-12)


def test_nothing_pulls() -> None:
    none = NoSupervision()
    x = features(0).requires_grad_()
    assert not none.loss([x], [x], None, 1.0).requires_grad
    assert none.track([x], [x], None) == (None, False) and none.trace(None) == ()

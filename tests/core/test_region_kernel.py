"""The windowed region pull and the batched patches against their definitions: values and gradients."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.equality import COARSE
from drag_core.features.supervise import PointSupervision, RegionSupervision, Supervision
from drag_core.kernels.lookup import lookup, lookup_all, patches, reading
from drag_core.kernels.region import windowed
from drag_core.recipes.released import Unpacked
from drag_core.types import AffineMotion, Grid, Handle, Region

IMAGE = Grid(120, 176)
# native sizes and the grid they are read on: even, odd, growing in one direction only, shrinking
SIZES = [
    ((15, 22), Grid(60, 88)),
    ((13, 17), Grid(51, 70)),
    ((31, 11), Grid(31, 88)),
    ((63, 77), Grid(251, 309)),
    ((16, 24), Grid(16, 24)),
    ((30, 40), Grid(21, 33)),
]


def rectangle(top: int, left: int, height: int, width: int) -> Tensor:
    mask = torch.zeros(IMAGE.height, IMAGE.width)
    mask[top : top + height, left : left + width] = 1
    return mask


def disc(x: float, y: float, r: float) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(IMAGE.height), torch.arange(IMAGE.width), indexing="ij")
    return ((columns - x) ** 2 + (rows - y) ** 2 < r * r).float()


REGIONS = (
    Region(rectangle(20, 30, 33, 41), AffineMotion((37.3, -11.9)), 0.5),
    Region(disc(100, 60, 23), AffineMotion((-9.0, 6.5), 0.7, (1.2, 0.8), (90.0, 50.0)), 0.3),
    Region(rectangle(70, 10, 40, 30), AffineMotion(scale=(1.3, 0.7), anchor=(25.0, 90.0)), 0.2),
    Region(rectangle(60, 140, 40, 30), AffineMotion((25.0, 30.0)), 0.4),  # partly leaves the picture
    Region(rectangle(0, 0, 20, 20), AffineMotion((900.0, 0.0)), 0.4),  # wholly
)


def maps(size: tuple[int, int], dtype: torch.dtype, seed: int, channels: int = 8) -> list[Tensor]:
    g = torch.Generator().manual_seed(seed)
    other = (size[0] // 2 + 1, size[1])
    return [torch.randn(1, channels, *s, generator=g, dtype=torch.float64).to(dtype) for s in (size, other)]


def both(s: Supervision, now: list[Tensor], then: list[Tensor], progress: float) -> list[list[Tensor]]:
    """Loss and gradients from the definition and from the plan."""
    out = []
    for reference in (then, s.plan(then, (progress,))):
        leaves = [x.clone().requires_grad_() for x in now]
        loss = s.loss(leaves, reference, None, progress)
        out.append([loss.detach(), *torch.autograd.grad(loss, leaves)])
    return out


def same(a: list[Tensor], b: list[Tensor], loss: float, gradient: float) -> None:
    assert float((a[0] - b[0]).abs()) <= loss * float(a[0].abs())
    for x, y in zip(a[1:], b[1:], strict=True):
        assert x.abs().max() > 0 and float((x - y).norm()) <= gradient * float(x.norm())


@pytest.mark.parametrize(("native", "grid"), SIZES)
@pytest.mark.parametrize("progress", [0.0, 0.37, 1.0])
@pytest.mark.parametrize("mean", ["map", "region"])
def test_equals_the_definition(native: tuple[int, int], grid: Grid, progress: float, mean: str) -> None:
    s = RegionSupervision(REGIONS, IMAGE, grid, mean=mean)
    same(*both(s, maps(native, torch.float64, 1), maps(native, torch.float64, 2), progress), 1e-12, 1e-11)


@pytest.mark.parametrize(("unpack", "equal_taps"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("progress", [0.41, 1.0])
def test_equals_the_definition_packed_and_with_equal_taps(
    unpack: bool, equal_taps: bool, progress: float
) -> None:
    plain = RegionSupervision(REGIONS, IMAGE, Grid(51, 70), equal_taps=equal_taps)
    s = Unpacked(plain) if unpack else plain
    now, then = maps((13, 17), torch.float64, 1), maps((13, 17), torch.float64, 2)
    then[1] *= 30
    same(*both(s, now, then, progress), 1e-12, 1e-11)


@pytest.mark.parametrize("grid", [Grid(60, 88), Grid(30, 44)])
def test_equals_the_definition_where_a_turn_reads_beyond_the_border(grid: Grid) -> None:
    """In the picture's corner: the outermost cells come from up to half a cell outside, where the border
    counts.
    """
    turned = Region(rectangle(0, 0, 40, 40), AffineMotion((2.0, 1.0), 0.3, anchor=(20.0, 20.0)))
    s = RegionSupervision((turned,), IMAGE, grid)
    assert float(s.places(turned, 1.0)[1].min()) < -0.2
    now, then = maps((15, 22), torch.float64, 1), maps((15, 22), torch.float64, 2)
    same(*both(s, now, then, 1.0), 1e-12, 1e-11)


@pytest.mark.parametrize(("native", "grid"), SIZES)
def test_equals_the_definition_in_float32(native: tuple[int, int], grid: Grid) -> None:
    """Current features well above the reference's, so that no difference is near the kink of |x|."""
    s = RegionSupervision(REGIONS, IMAGE, grid)
    now, then = maps(native, torch.float32, 1), maps(native, torch.float32, 2)
    same(*both(s, [x + 12 for x in now], then, 0.63), 1e-6, 1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sums_of_small_numbers_are_made_in_float32(dtype: torch.dtype) -> None:
    s = RegionSupervision(REGIONS, IMAGE, Grid(60, 88))
    now, then = maps((15, 22), dtype, 1), maps((15, 22), dtype, 2)
    plan = s.plan(then, (0.4,))
    loss = s.loss(now, plan, None, 0.4)
    exactly = s.loss([x.float() for x in now], [x.float() for x in then], None, 0.4)
    assert loss.dtype == torch.float32 and float(loss) == pytest.approx(float(exactly), rel=1e-5)


def test_many_channels_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    s = Unpacked(RegionSupervision(REGIONS, IMAGE, Grid(60, 88)))
    now, then = maps((15, 22), torch.float64, 1, 32), maps((15, 22), torch.float64, 2, 32)
    whole = both(s, now, then, 0.8)[1]
    monkeypatch.setattr(windowed, "AT_ONCE", 3000)
    same(whole, both(s, now, then, 0.8)[1], 1e-13, 1e-13)


def test_gradient_is_the_numerical_one() -> None:
    s = RegionSupervision(REGIONS[:3], IMAGE, Grid(15, 22), equal_taps=True)
    then = maps((6, 8), torch.float64, 2, 2)
    plan = s.plan(then, (0.5,))
    x = maps((6, 8), torch.float64, 1, 2)[0].requires_grad_()
    assert torch.autograd.gradcheck(lambda a: s.loss([a, a * a], plan, None, 0.5), x, eps=1e-7, atol=1e-6)


def test_regions_that_left_pull_no_more() -> None:
    s = RegionSupervision(REGIONS[4:], IMAGE, Grid(60, 88))
    now, then = maps((15, 22), torch.float64, 1), maps((15, 22), torch.float64, 2)
    plan = s.plan(then, (0.0, 1.0))
    end = s.loss([x.requires_grad_() for x in now], plan, None, 1.0)
    assert end == 0 and not end.requires_grad and s.loss(now, plan, None, 0.0) > 0


def test_a_plan_reads_no_cell_outside_its_windows() -> None:
    """NaN everywhere that neither mask nor source touches."""
    s = RegionSupervision(REGIONS[:1], IMAGE, Grid(60, 88))
    now, then = (torch.full((1, 4, 15, 22), math.nan) for _ in range(2))
    window = s.plan([then], (1.0,)).windows[1.0][0]
    for x, r in ((now, window.now[0]), (then, window.then[0])):
        x[:, :, r.top : r.top + r.down.shape[1], r.left : r.left + r.along.shape[1]] = 1.0
    assert s.loss([now], s.plan([then], (1.0,)), None, 1.0) == pytest.approx(0, abs=1e-6)
    assert window.now[0].down.shape[1] <= 33 // 8 + 3


@pytest.mark.parametrize(("native", "grid"), SIZES)
@pytest.mark.parametrize(
    ("dtype", "value", "slope"),
    [(torch.float64, 1e-12, 1e-11), (torch.float32, COARSE * 1e-6, COARSE * 2e-6)],
    ids=["float64", "float32"],
)
def test_lazy_reads_equal_interpolate(
    native: tuple[int, int], grid: Grid, dtype: torch.dtype, value: float, slope: float
) -> None:
    """Every cell of the upsampled map, by `lookup` and by `reading`'s matrices."""
    x = maps(native, dtype, 3)[0].requires_grad_()
    up = F.interpolate(x, (grid.height, grid.width), mode="bilinear")[0]
    rows, columns = torch.arange(grid.height), torch.arange(grid.width)
    y, w = torch.meshgrid(rows, columns, indexing="ij")
    weight = torch.randn(up.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64).to(dtype)
    (want,) = torch.autograd.grad((up * weight).sum(), x, retain_graph=True)
    (top,), (down,) = reading(rows[None], native[0], grid.height, dtype)
    (left,), (along,) = reading(columns[None], native[1], grid.width, dtype)
    assert int(top) == int(left) == 0
    for got in (
        lookup(x, grid, torch.stack([w, y], -1), padding="border"),
        down.to(dtype) @ x[0] @ along.to(dtype).T,
    ):
        assert float((got - up).detach().abs().max()) <= value * max(1, float(up.detach().abs().max()))
        (gradient,) = torch.autograd.grad((got * weight).sum(), x)
        assert float((gradient - want).abs().max()) <= slope * float(want.abs().max())


@pytest.mark.parametrize("whole", [True, False])
def test_patches_equal_lookup(whole: bool) -> None:
    """Squares around many points at once, over the border too."""
    now = [x.requires_grad_() for x in maps((13, 17), torch.float64, 5)]
    grid = Grid(51, 70)
    at = torch.tensor([[0.0, 0.0], [69.0, 50.0], [31.0, 20.0], [-4.0, 60.0]], dtype=torch.float64)
    at = at if whole else at + torch.tensor([0.3, 0.71], dtype=torch.float64)
    o = torch.arange(-3.0, 4.0, dtype=torch.float64)
    dy, dx = torch.meshgrid(o, o, indexing="ij")
    want = lookup_all(now, grid, at[:, None, None, :] + torch.stack([dx, dy], -1), padding="border")
    got = patches(now, grid, at, 3)
    assert got.shape == (16, 4, 7, 7) and torch.allclose(got, want, rtol=0, atol=1e-12)
    weight = torch.randn(got.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    for a, b in zip(*(torch.autograd.grad((y * weight).sum(), now) for y in (got, want)), strict=True):
        assert a.abs().max() > 0 and torch.allclose(a, b, rtol=0, atol=1e-11)


def test_point_plan_is_the_reference() -> None:
    handles = (Handle((40.5, 31.0), (60.0, 33.0)), Handle((90.5, 60.0), (70.0, 44.0)))
    s = PointSupervision(
        handles, IMAGE, Grid(60, 88), radius=3, search=5, stride=2.5, preserve=True, factor=49.0
    )
    now, then = maps((15, 22), torch.float64, 1), maps((15, 22), torch.float64, 2)
    state, plan = s.init(then) + 0.4, s.plan(then, ())
    assert torch.equal(s.loss(now, plan, state, 1.0), s.loss(now, then, state, 1.0))
    assert torch.equal(s.track(now, plan, state)[0], s.track(now, then, state)[0])

"""The fused pull against its definition in float64, value and gradient, through triton's interpreter."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from benchmarks.pulls import EVEN, EVEN_GRID, ODD, ODD_GRID, TURN, Case, box, definition, disc, motion, odd
from drag_core.features.supervise import RegionSupervision
from drag_core.kernels.region import Pose, fused, windowed
from drag_core.kernels.region.poses import pose
from drag_core.types import AffineMotion, Grid, Region

CASES = {case.name: case for case in odd()}


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Every buffer begins as NaN: what is read must have been written, and all of a gradient is."""
    made: list[Tensor] = []
    empty = torch.empty

    def filled(*size: object, **k: object) -> Tensor:
        out = empty(*size, **k)  # type: ignore[call-overload]
        made.append(out.fill_(math.nan) if out.is_floating_point() else out)
        return out

    monkeypatch.setattr(torch, "empty", filled)
    return made


def pulled(case: Case, now: list[Tensor], then: list[Tensor], by: float = 1.0) -> tuple[Tensor, list[Tensor]]:
    planned = pose(then, case.grid, case.regions)
    assert planned is not None
    x = [m.detach().requires_grad_() for m in now]
    loss = fused.pull(x, fused.laid(then), planned, case.scales())
    gradients = torch.autograd.grad(loss * by, x)
    form = torch.channels_last if case.last else torch.contiguous_format
    assert all(g.dtype == case.dtype and g.is_contiguous(memory_format=form) for g in gradients)
    return loss.detach(), list(gradients)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_equals_the_definition(case: Case, poisoned: list[Tensor]) -> None:
    now, then = case.maps(1), case.maps(2)
    loss, gradients = pulled(case, now, then, by=3.0)
    room = poisoned[0]
    assert not room.isnan().any()  # each place once: as many stores as places, and none left out
    want, slopes = definition(case, now, then)
    assert float(loss) == pytest.approx(float(want), rel=1e-6)
    rounds = {torch.float32: 2e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}[case.dtype]
    for got, slope in zip(gradients, slopes, strict=True):
        assert slope.abs().max() > 0
        assert float((got / 3 - slope).abs().max()) <= rounds * float(slope.abs().max())


def test_lines_say_shifts_and_cells_the_rest() -> None:
    said = {n: pose(c.maps(1), c.grid, c.regions).separable for n, c in CASES.items()}  # type: ignore[union-attr]
    assert said["odd, between cells"] and said["even, larger"] and said["even, native cell"]
    assert not said["odd, turned"] and not said["even, smaller"]  # more than three native cells a quad


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("sizes", "grid"), [(EVEN, EVEN_GRID), (ODD, ODD_GRID)])
def test_equal_features_pull_nothing(
    dtype: torch.dtype, sizes: tuple[tuple[int, int, int]], grid: Grid
) -> None:
    """Not moved, and the centre of a turn: ties, where the windows' products differ by their rounding."""
    mask = disc(grid, 11, 14, 4.2)
    middle = box(grid, 12, 9, 1, 1)
    for regions in (((motion(), mask, 1.0),), ((motion(turn=0.7, about=(9, 12)), middle, 1.0),)):
        case = Case("ties", sizes, grid, regions, dtype)
        now = case.maps(1)
        loss, gradients = pulled(case, now, now)
        assert loss == 0 and not any(g.any() for g in gradients)


def test_the_same_bits_twice_and_for_any_block() -> None:
    """A channel's sums are the same whatever shares its program; the loss adds programs in one order."""
    case = Case("", ((40, 6, 8),), EVEN_GRID, ((TURN, box(EVEN_GRID, 9, 9, 3, 4), 0.1),))
    now, then = case.maps(1), case.maps(2)
    a, b = (pulled(case, now, then) for _ in range(2))
    planned = pose(then, case.grid, case.regions, channels=16)
    assert planned is not None
    x = [m.requires_grad_() for m in now]
    gradients = torch.autograd.grad(fused.pull(x, fused.laid(then), planned), x)
    assert torch.equal(a[0], b[0])
    assert all(torch.equal(g, h) and torch.equal(g, k) for g, h, k in zip(a[1], b[1], gradients, strict=True))


def test_what_no_quad_of_the_regions_reads_may_be_anything() -> None:
    case = CASES["even, between cells"]
    now, then = case.maps(1), case.maps(2)
    want = pulled(case, now, then)
    for m in (*now, *then):
        m[..., -1, :] = m[..., :, -1] = math.nan
    loss, gradients = pulled(case, now, then)
    assert torch.equal(loss, want[0]) and all(map(torch.equal, gradients, want[1]))


def test_a_supervision_takes_it_where_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "fits", lambda maps, size: maps[0].dtype == torch.float32)
    mask = torch.zeros(48, 64)
    mask[10:26, 14:30] = 1
    s = RegionSupervision(
        (Region(mask, AffineMotion((7.0, 3.0))), Region(mask, AffineMotion((900.0, 0.0)))),
        Grid(48, 64),
        Grid(24, 32),
        equal_taps=True,
    )
    case = Case("", EVEN, Grid(24, 32), (), last=False)
    now, then = case.maps(1), case.maps(2)
    plan = s.plan(then, (0.5, 1.0))
    assert isinstance(plan.windows[0.5], Pose)
    exactly = s.plan([x.double() for x in then], (1.0,))
    assert isinstance(exactly.windows[1.0][0], windowed.Window)
    results = []
    for reference, kind in ((plan, torch.float32), (exactly, torch.float64), (then, torch.float32)):
        x = [m.to(kind).requires_grad_() for m in now]
        loss = s.loss(x, reference, None, 1.0)
        results.append([loss.detach(), *torch.autograd.grad(loss, x)])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert float((a - b).norm()) <= 1e-5 * float(b.norm())
    away = RegionSupervision(s.regions[1:], s.image, s.grid).plan(then, (1.0,))
    assert away.windows[1.0] == () and s.loss(now, away, None, 1.0) == 0

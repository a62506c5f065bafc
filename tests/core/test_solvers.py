"""Solvers on Gaussian data, whose exact path is known: order, cost and reversibility."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from drag_core.trajectory.invert import invert
from drag_core.trajectory.schedules import ddim as ddim_levels
from drag_core.trajectory.schedules import flow
from drag_core.trajectory.solvers import Solver, alf, ddim, ddim_jump, euler, fireflow
from drag_core.types import DragError, Schedule
from tests.core.analytic import Gaussian, Mixture, levels, walk

MEAN = torch.linspace(-1.5, 1.0, 32, dtype=torch.float64).reshape(1, 2, 4, 4)


def noise(seed: int = 0) -> Tensor:
    return torch.randn(MEAN.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def error(solver: Solver, n: int, denoising: bool, start: float = 0.9) -> float:
    """Distance from the exact end after n even steps; `start` < 1, DDIM's own starts at 1."""
    s = levels(n, start, "noise" if solver is ddim else "velocity")
    backbone = Gaussian(MEAN, 0.3, s)
    path = list(range(n + 1)) if denoising else list(range(n, -1, -1))
    first, last = s.t[path[0]], s.t[path[-1]]
    z = noise() if denoising else MEAN + 0.3 * noise()
    end, _ = walk(backbone, z, s, solver, path)
    return float((end - backbone.exact(z, first, last)).norm())


@pytest.mark.parametrize("denoising", [True, False])
@pytest.mark.parametrize(
    ("solver", "low", "high"), [(euler, 1.6, 2.4), (ddim, 1.6, 2.4), (fireflow, 3.0, 5.0), (alf, 3.0, 20.0)]
)
def test_order_of_convergence(solver: Solver, low: float, high: float, denoising: bool) -> None:
    """Halving the step divides a first-order method's error by 2, a second-order one's by 4 (alf gains 16
    here).
    """
    errors = [error(solver, n, denoising) for n in (40, 80, 160)]
    ratios = [a / b for a, b in zip(errors, errors[1:], strict=False)]
    assert all(low < r < high for r in ratios), ratios
    assert errors[-1] < 0.1


def test_fireflow_beats_euler_at_the_same_number_of_steps() -> None:
    assert error(fireflow, 25, True) < 0.1 * error(euler, 25, True)


@pytest.mark.parametrize(("solver", "calls"), [(euler, 19), (fireflow, 20), (alf, 20)])
def test_model_calls(solver: Solver, calls: int) -> None:
    s = flow(25, skip=6, shift=0.6)
    backbone = Gaussian(MEAN, 0.3, s)
    invert(backbone, MEAN + 0.3 * noise(), s, solver)
    assert len(backbone.levels) == calls
    if solver is not euler:
        assert backbone.levels[0] == 0.0
        assert backbone.levels[1:] == pytest.approx(
            [(a + b) / 2 for a, b in zip(s.t[::-1], s.t[-2::-1], strict=False)]
        )


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_alf_returns_to_where_it_started(dtype: torch.dtype, tolerance: float) -> None:
    s = flow(5, skip=1, shift=0.6)
    z0 = (MEAN + 0.3 * noise()).to(dtype)
    backbone = Gaussian(MEAN.to(dtype), 0.3, s)
    source = invert(backbone, z0, s, alf)
    back, _ = walk(backbone, source.z[0], s, alf, list(range(len(s.t))), source.carry)
    assert (back - z0).norm() < tolerance * z0.norm()
    assert (source.z[0] - z0).norm() > 0.3 * z0.norm()
    without, _ = walk(backbone, source.z[0], s, alf, list(range(len(s.t))))
    assert (
        without - z0
    ).norm() > 50 * tolerance * z0.norm()  # it is the carried velocity that makes it exact


def test_fireflow_round_trip_is_near_but_not_exact() -> None:
    s = flow(25, skip=6, shift=0.6)
    z0 = MEAN + 0.3 * noise()
    backbone = Gaussian(MEAN, 0.3, s)
    back, _ = walk(backbone, invert(backbone, z0, s, fireflow).z[0], s, fireflow, list(range(len(s.t))))
    assert 1e-8 < (back - z0).norm() / z0.norm() < 0.02


def test_ddim_round_trip_error_falls_with_the_steps() -> None:
    errors = []
    for steps in (10, 20, 40, 80):
        s = ddim_levels(steps, 0.75)
        backbone = Gaussian(MEAN, 0.3, s)
        z0 = MEAN + 0.3 * noise()
        source = invert(backbone, z0, s, ddim)
        back, _ = walk(backbone, source.z[0], s, ddim, list(range(len(s.t))))
        errors.append(float((back - z0).norm() / z0.norm()))
        assert (source.z[-1] - z0).norm() == 0 and len(source.z) == len(s.t)
    assert all(b < 0.75 * a for a, b in zip(errors, errors[1:], strict=False)), errors


def test_inverting_ddim_asks_at_the_noisier_level() -> None:
    s = ddim_levels(4)
    backbone = Gaussian(MEAN, 0.3, s)
    invert(backbone, MEAN, s, ddim)
    assert backbone.levels == list(s.t[-2::-1])


def test_ddim_jump_by_hand() -> None:
    s = Schedule((2.0, 1.0), (0.6, 0.8), (0.8, 0.6), "noise")
    z = torch.tensor([1.4])  # 0.6·1 + 0.8·1
    assert float(ddim_jump(z, torch.tensor([1.0]), s, 0, 1)) == pytest.approx(1.4)
    assert float(ddim_jump(z, torch.tensor([0.5]), s, 0, 1)) == pytest.approx(0.8 * (1.4 - 0.4) / 0.6 + 0.3)


def test_euler_by_hand() -> None:
    s = levels(2, prediction="velocity")
    z, carry = euler(Gaussian(torch.zeros(1), 1.0, s), torch.tensor([2.0]), s, 0, 1, None, None)
    assert float(z) == pytest.approx(1.0) and carry is None  # at t = 1 the velocity is z − mean


@pytest.mark.parametrize("solver", [euler, fireflow, alf])
def test_flow_solvers_refuse_noise_models(solver: Solver) -> None:
    s = ddim_levels(5)
    with pytest.raises(DragError, match="use ddim"):
        solver(Gaussian(MEAN, 0.3, s), MEAN, s, 0, 1, None, None)


def mixture() -> Mixture:
    g = torch.Generator().manual_seed(4)
    return Mixture(torch.randn(2, 2, 2, 2, generator=g, dtype=torch.float64), 0.7)


def trip(solver: Solver, steps: int, z0: Tensor) -> tuple[Tensor, Tensor, int]:
    """The inverted latent where 6 of 25 steps are skipped, what denoising makes of it, and the calls of the
    inversion.
    """
    backbone, s = mixture(), flow(steps, skip=steps * 6 // 25, shift=1.15)
    path = invert(backbone, z0, s, solver)
    calls = len(backbone.levels)
    carry = path.carry if solver is alf else None
    back, _ = walk(backbone, path.z[0], s, solver, list(range(len(s.t))), carry)  # type: ignore[arg-type]
    return path.z[0], back, calls


def test_orders_on_a_mixture() -> None:
    """Curved paths: an error falls by 2 (Euler) or by 3 to 5 (FireFlow) where the steps are doubled; N + 1
    calls. Mean over four pictures.
    """
    g = torch.Generator().manual_seed(5)
    means = mixture().means
    pictures = [means[k % 2][None] + 0.7 * torch.randn(1, 2, 2, 2, generator=g).double() for k in range(4)]
    exact = [trip(fireflow, 1000, z)[0] for z in pictures]
    for solver, low, high, more in ((euler, 1.6, 2.4, 0), (fireflow, 3.0, 5.0, 1)):
        errors: dict[str, list[float]] = {"one way": [], "round trip": []}
        for n in (50, 100, 200):
            found = [trip(solver, n, z) for z in pictures]
            there = [float((f[0] - e).norm()) for f, e in zip(found, exact, strict=True)]
            errors["one way"].append(sum(there))
            errors["round trip"].append(
                sum(float((f[1] - z).norm()) for f, z in zip(found, pictures, strict=True))
            )
            assert {f[2] for f in found} == {n - n * 6 // 25 + more}
        for way, e in errors.items():
            ratios = [a / b for a, b in zip(e, e[1:], strict=False)]
            print(solver, way, [x / 4 for x in e], ratios)
            if way == "one way" or solver is euler:
                assert all(low < r < high for r in ratios), (solver, way, ratios)
            else:  # the two ways' errors cancel to one more order
                assert all(r > low for r in ratios), ratios
    back = [float((trip(alf, 100, z)[1] - z).norm()) for z in pictures]
    assert max(back) < 1e-10

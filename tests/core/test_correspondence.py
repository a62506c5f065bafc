"""CLoss: by hand, its gradient in float64, and what guidance does to a denoised latent."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from drag_core.drag import drag
from drag_core.features.correspondence import Correspondence
from drag_core.trajectory.constrain import FreeBackground
from drag_core.trajectory.invert import invert
from drag_core.trajectory.solvers import ddim
from drag_core.types import Grid, Handle, Trajectory
from tests.core.analytic import Gaussian, Linear, levels
from tests.core.test_drag import VP, picture, recipe

IMAGE = Grid(128, 128)
PAIR = Handle((43.5, 51.5), (83.5, 67.5))  # cells (5, 6) and (10, 8)
GUIDE = Correspondence((PAIR,), IMAGE, radius=2, step=0.3)


def noise(seed: int) -> Tensor:
    return torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_least_where_the_patch_has_been_carried() -> None:
    source = noise(1)
    carried = torch.roll(source, (2, 5), (2, 3))
    there, not_there = float(GUIDE.loss(carried, source)), float(GUIDE.loss(source, source))
    assert there < 1e-3 < math.log(25) / 2 < not_there
    same = torch.ones_like(source)  # every cell like every other: chance
    assert math.isclose(float(GUIDE.loss(same, same)), math.log(25), rel_tol=1e-4)
    assert math.isclose(
        float(replace(GUIDE, handles=(PAIR, PAIR)).loss(source, source)), 2 * not_there, rel_tol=1e-5
    )


def test_cells_off_the_latent_do_not_count() -> None:
    source, corner = noise(1), Handle((3.5, 3.5), (123.5, 123.5))
    guide = replace(GUIDE, handles=(corner,))
    assert float(guide.loss(source, source)) == 0  # no cell lies inside in both places but one
    far = replace(GUIDE, handles=(Handle((60, 60), (900, 60)),))
    assert float(far.loss(source, source)) == 0 and far.gradient(source, source, source) is None


def test_gradient() -> None:
    source, z = noise(1).double(), noise(2).double().requires_grad_()
    guide = replace(GUIDE, temperature=0.5)
    assert torch.autograd.gradcheck(lambda x: guide.loss(x, source), (z,), fast_mode=True)
    way = guide.gradient(z, source, z)
    assert way is not None
    acts = way != 0
    assert math.isclose(float(way.square().sum() / acts.sum()), 1.0, rel_tol=1e-6)
    assert not acts[..., :4].any() and acts[..., 6:11, 8:13].all()  # a cell more than the square


def test_guided_denoising_lowers_the_loss_and_changes_the_result() -> None:
    """On an exact denoiser, with and without: more than 1e-2 apart, CLoss lower, nothing far from the
    target changed.
    """
    s = levels(8, 0.8, "noise")
    net, clean = Gaussian(torch.zeros(1, 4, 16, 16), 1.0, s), noise(3)
    source = invert(net, clean, s, ddim)
    base = recipe(schedule=s, solver=ddim, ramp=(), constraint=FreeBackground())
    plain, guided = (drag(net, source, replace(base, guide=g)).z for g in (None, GUIDE))
    assert float((plain - guided).abs().max()) > 1e-2
    assert float(GUIDE.loss(guided, clean)) < 0.7 * float(GUIDE.loss(plain, clean))
    assert torch.allclose(plain[..., :5], guided[..., :5], atol=1e-5)
    assert torch.equal(drag(net, source, replace(base, guide=replace(GUIDE, step=0.0))).z, plain)


def test_inversion_is_not_guided() -> None:
    net = Gaussian(torch.zeros(1, 4, 16, 16), 1.0, VP)
    solver = GUIDE.solver(ddim, invert(net, picture(), VP, ddim))
    args = (net, picture(), VP, 2, 1, None, None)
    assert torch.equal(solver(*args)[0], ddim(*args)[0])


def test_symmetric_by_hand() -> None:
    """Two cells. Described with its neighbours, a latent row (a, b) is (a, a, b) and (a, b, b): of a = (1, 0)
    and b = (0, 1) their cosines with (a, a, a) are 2/3 and 1/3, so that rows are by chance right (ln 2) and
    columns are not.
    """
    then, now = torch.zeros(2, 1, 2, 1, 2, dtype=torch.float64)
    then[0, 0, 0, 0] = then[0, 1, 0, 1] = 1
    now[0, 0] = 1
    guide = Correspondence(
        (Handle((3.5, 3.5), (3.5, 3.5)),), Grid(8, 16), radius=1, step=0.0, temperature=0.5
    )
    gap = (2 / 3 - 1 / 3) / 0.5
    columns = (math.log(1 + math.exp(-gap)) + math.log(1 + math.exp(gap))) / 2
    assert math.isclose(float(guide.loss(now, then)), (math.log(2) + columns) / 2, rel_tol=1e-6)
    assert math.isclose(float(guide.loss(then, now)), (math.log(2) + columns) / 2, rel_tol=1e-6)


def guided(
    net: Linear | Gaussian, source: Trajectory, guide: Correspondence, i: int
) -> tuple[Tensor, Tensor]:
    """The clean estimates of a guided and of a plain step from a noise at level i."""
    s, z = source.schedule, noise(7).double()
    way = s.alpha[i + 1] - s.sigma[i + 1] * s.alpha[i] / s.sigma[i]  # z' = way · clean + σ'/σ · z
    steps = (solver(net, z, s, i, i + 1, None, None)[0] for solver in (guide.solver(ddim, source), ddim))
    bent, plain = ((x - s.sigma[i + 1] / s.sigma[i] * z) / way for x in steps)
    return bent, plain


@pytest.mark.parametrize("level", [0, 2])
def test_a_guided_step_shifts_the_clean_estimate_by_the_levels_sigma(level: int) -> None:
    """Root mean square over the 7x7 cells of 4 channels that the square of 5x5 reads: step · σ_i."""
    net = Gaussian(torch.zeros(1, 4, 16, 16, dtype=torch.float64), 1.0, VP)
    source = invert(net, noise(1).double(), VP, ddim)
    bent, plain = guided(net, source, replace(GUIDE, temperature=0.5), level)
    shift = float(((bent - plain).square().sum() / (4 * 7 * 7)).sqrt())
    assert math.isclose(shift, 0.3 * VP.sigma[level], rel_tol=1e-6)


def test_guidance_compares_with_the_clean_source() -> None:
    """One step of a model that predicts no noise, from a trajectory whose levels have nothing in common."""
    source = Trajectory(VP, tuple(noise(k).double() for k in range(len(VP.t))))
    guide = replace(GUIDE, temperature=0.5)
    bent, plain = guided(Linear(), source, guide, 1)
    leaf = noise(7).double().requires_grad_()
    assert torch.allclose(plain, leaf.detach() / VP.alpha[1], atol=1e-12)
    for k, same in ((-1, True), (1, False)):
        (g,) = torch.autograd.grad(guide.loss(leaf / VP.alpha[1], source.z[k]), leaf)
        want = plain - 0.3 * VP.sigma[1] * g / (g.square().sum() / (g != 0).sum()).sqrt()
        assert torch.allclose(bent, want, atol=1e-9) is same

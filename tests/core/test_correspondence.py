"""CLoss: by hand, its gradient in float64, and what guidance does to a denoised latent."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from drag_core.drag import drag
from drag_core.features.correspondence import Correspondence
from drag_core.trajectory.constrain import FreeBackground
from drag_core.trajectory.invert import invert
from drag_core.trajectory.solvers import ddim
from drag_core.types import Grid, Handle
from tests.core.analytic import Gaussian, levels
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
    assert float(GUIDE.loss(same, same)) - math.log(25) < 1e-4
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

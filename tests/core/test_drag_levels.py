"""What the loop does from level to level: the solver's velocity, and the branch denoised beside the edit."""

from __future__ import annotations

from dataclasses import replace
from functools import partial, wraps
from typing import Any

import pytest
import torch
from torch import Tensor

from drag_core.drag import drag
from drag_core.features.supervise import NoSupervision
from drag_core.recipes.gooddrag import gooddrag
from drag_core.recipes.recipe import Recipe
from drag_core.recipes.released import HalfStepAhead, Patience
from drag_core.trajectory.background import background_of
from drag_core.trajectory.constrain import FreeBackground, SoftBackground
from drag_core.trajectory.invert import denoise, invert
from drag_core.trajectory.solvers import Solver, Stepping, alf, ddim, euler, fireflow
from drag_core.types import KV, FeatureTap, Handle, KVInject, Schedule, Task
from tests.core.analytic import Linear, Mixture, levels
from tests.core.test_drag import FLOW, GOAL, IMAGE, POINTS, START, VP, at, picture, recipe


def beside(r: Recipe, background: Any) -> Recipe:
    """The recipe with this background: "reconstruction", or that one as released, under the edit's K/V."""
    return replace(r, background=HalfStepAhead() if background == "released" else background_of(background))


class Pushed(NoSupervision):
    """A pull of 1 on every cell."""

    def loss(self, features: list[Tensor], reference: Any, state: None, progress: float) -> Tensor:
        return features[0].sum()


class Curved(Mixture):
    """Its features are the latent itself."""

    def features(  # type: ignore[override]
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        return [z for _ in taps], None


def curved() -> Curved:
    g = torch.Generator().manual_seed(4)
    return Curved(torch.randn(2, 2, 2, 2, generator=g, dtype=torch.float64), 0.7)


def test_fireflow_starts_anew_after_every_updated_level() -> None:
    """Updates at levels 0 and 2 of four, each 0.5 down: a velocity carried over them would be another
    latent's.
    """
    backbone = curved()
    source = invert(backbone, backbone.means[:1], FLOW, fireflow)
    push = recipe(
        Pushed(),
        solver=fireflow,
        constraint=FreeBackground(),
        optimizer=partial(torch.optim.SGD, lr=0.5),
        ramp=((1.0,), (), (1.0,)),
    )
    backbone.levels.clear()
    got = drag(backbone, source, push)
    assert len(backbone.levels) == 4 + 2  # a level each, and the true first slope after updates
    z, carry = source.z[0], None
    for i in range(4):
        if i in (0, 2):
            z, carry = z - 0.5, None
        z, carry = fireflow(backbone, z, FLOW, i, i + 1, None, carry)
    assert torch.allclose(got.z, z, rtol=0, atol=1e-12) and torch.equal(got.reconstruction, source.z[-1])


@wraps(alf)
def counted(*args: Any) -> Any:
    """A solver that somebody has wrapped."""
    return alf(*args)


@pytest.mark.parametrize("solver", [alf, counted, Stepping(counted, carries=True)])
def test_alf_goes_on_with_the_velocity_that_it_arrived_with(solver: Solver) -> None:
    """Five steps: what is wrong without it changes its sign at every step, and an even number hides it."""
    backbone, s = curved(), levels(5, 0.8)
    clean = backbone.means[:1] + 0.3
    source = invert(backbone, clean, s, solver)
    still = recipe(NoSupervision(), solver=solver, schedule=s, ramp=(), constraint=FreeBackground())
    found = drag(backbone, source, beside(still, "reconstruction"))
    for z in (found.z, found.reconstruction):
        assert torch.allclose(z, clean, rtol=0, atol=1e-10)
    assert not torch.allclose(denoise(backbone, source.z[0], s, solver), clean, rtol=0, atol=1e-4)


@pytest.mark.parametrize("solver", [fireflow, alf])
def test_a_resumed_branch_goes_on_with_its_own_velocity(solver: Solver) -> None:
    """Paused at level 1, which the branch beside the edit has reached with a velocity."""
    backbone = curved()
    source = invert(backbone, backbone.means[:1] + 0.3, FLOW, solver)
    push = recipe(
        Pushed(),
        solver=solver,
        constraint=FreeBackground(),
        optimizer=partial(torch.optim.SGD, lr=0.1),
        ramp=((1.0,), (1.0,)),
    )
    push = beside(push, "reconstruction")
    whole = drag(backbone, source, push)
    rest = drag(backbone, source, push, resume=drag(backbone, source, push, pause=True))
    assert torch.equal(rest.z, whole.z) and torch.equal(rest.reconstruction, whole.reconstruction)


def test_keys_and_values_begin_where_the_points_have_arrived() -> None:
    """With drag levels left that make no update any more: from the level of the arrival on."""
    backbone = Linear(rate=0.2)
    source = invert(backbone, picture(), FLOW, euler, ("a",))
    choices = {"track_every": 1, "ramp": ((1.0,) * 100,) * 3, "constraint": FreeBackground()}
    done = drag(backbone, source, recipe(POINTS, kv_blocks=("a",), kv_while_dragging=False, **choices))
    assert len(done.losses) < 100 and [t for t, _ in backbone.injected] == list(FLOW.t[:4])


@pytest.mark.parametrize(("s", "solver"), [(FLOW, euler), (VP, ddim)], ids=["flow", "vp"])
def test_the_soft_term_is_one_step_ahead(s: Schedule, solver: Solver) -> None:
    """Every cell 0.5 off at level 0, of a model that predicts 0.2 z; none may change."""
    if solver is euler:
        kept = 1 + (s.t[1] - s.t[0]) * 0.2
    else:
        kept = s.alpha[1] * (1 - 0.2 * s.sigma[0]) / s.alpha[0] + 0.2 * s.sigma[1]
    backbone = Linear(rate=0.2)
    source = invert(backbone, picture(), s, solver)
    soft = SoftBackground(torch.zeros(1, 1, 16, 16), 0.1)
    off = recipe(NoSupervision(), schedule=s, solver=solver, constraint=soft, ramp=((1.0,),))
    (loss,) = drag(backbone, source, replace(off, start=lambda z, path, level: z + 0.5 * (level == 0))).losses
    assert loss == pytest.approx(0.1 * 0.5 * kept * 4 * 16 * 16, rel=1e-4)


class Followed(Pushed):
    """A handle that stays, moves once, and stays."""

    def __init__(self) -> None:
        self.places = [0.0, 1.0]

    def init(self, reference: list[Tensor]) -> Any:
        return torch.zeros(1, 2)

    def track(self, features: list[Tensor], reference: Any, state: Any) -> tuple[Any, bool]:
        return torch.full((1, 2), self.places.pop(0) if self.places else 1.0), False


def test_patience_counts_the_trackings_in_a_row() -> None:
    """Before update 2 the handle stays, before 3 it moves, before 4 and 5 it stays: two in a row end it."""
    backbone = Linear()
    source = invert(backbone, picture(), FLOW, euler)
    choices = {"track_every": 1, "ramp": ((1.0,) * 9,), "constraint": FreeBackground()}
    optimizer = partial(torch.optim.SGD, lr=0.01)
    assert (
        len(drag(backbone, source, recipe(Patience(Followed(), 2), optimizer=optimizer, **choices)).losses)
        == 4
    )


class Watched(Linear):
    """Keeps every prediction's latent, level and whether K/V were injected."""

    def __init__(self) -> None:
        super().__init__(rate=0.2)
        self.seen: list[tuple[Tensor, float, bool]] = []

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        self.seen.append((z.clone(), t, isinstance(kv, KVInject)))
        return super().predict(z, t, kv)


@pytest.mark.parametrize(("background", "shared"), [("released", True), ("reconstruction", False)])
def test_the_branch_beside_the_edit_is_denoised_under_its_kv_or_without(
    background: str, shared: bool
) -> None:
    """Of two denoising calls at a level one is the branch's: a plain denoise of the inverted latent. As
    released it runs under the K/V that the edit runs under.
    """
    backbone = Watched()
    source = invert(backbone, picture(), VP, ddim, ("a",))
    backbone.seen.clear()
    task = Task(IMAGE, (), (Handle(at(START), at(GOAL)),))
    short = replace(gooddrag(task), schedule=VP, ramp=((1.0, 1.0), (1.0,)))
    drag(backbone, source, beside(replace(short, kv_blocks=("a",), kv_while_dragging=True), background))
    branch = source.z[0]
    for i, t in enumerate(VP.t[:-1]):
        here = [(torch.equal(z, branch), injected) for z, level, injected in backbone.seen if level == t]
        assert sorted(here) == [(False, True), (True, shared)]
        branch = ddim(Linear(rate=0.2), branch, VP, i, i + 1, None, None)[0]

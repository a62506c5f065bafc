"""What the loop does from level to level: the solver's velocity, and the branch denoised beside the edit."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from drag_core.drag import drag
from drag_core.features.supervise import NoSupervision
from drag_core.recipes.gooddrag import gooddrag
from drag_core.recipes.recipe import Recipe
from drag_core.trajectory.constrain import FreeBackground
from drag_core.trajectory.invert import invert
from drag_core.trajectory.solvers import ddim, fireflow
from drag_core.types import KV, FeatureTap, Handle, KVInject, Task
from tests.core.analytic import Linear, Mixture
from tests.core.test_drag import FLOW, GOAL, IMAGE, START, VP, at, picture, recipe


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


def test_fireflow_starts_anew_after_every_updated_level() -> None:
    """Updates at levels 0 and 2 of four, each 0.5 down: a velocity carried over them would be another
    latent's.
    """
    g = torch.Generator().manual_seed(4)
    backbone = Curved(torch.randn(2, 2, 2, 2, generator=g, dtype=torch.float64), 0.7)
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


class Watched(Linear):
    """Keeps every prediction's latent, level and whether K/V were injected."""

    def __init__(self) -> None:
        super().__init__(rate=0.2)
        self.seen: list[tuple[Tensor, float, bool]] = []

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        self.seen.append((z.clone(), t, isinstance(kv, KVInject)))
        return super().predict(z, t, kv)


def beside(background: str) -> Recipe:
    """GoodDrag's loop, short, with this background and K/V of the toy's one block."""
    task = Task(IMAGE, (), (Handle(at(START), at(GOAL)),))
    base = replace(gooddrag(task), schedule=VP, ramp=((1.0, 1.0), (1.0,)), kv_blocks=("a",))
    return replace(base, kv_while_dragging=True, background=background)


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
    drag(backbone, source, beside(background))
    branch = source.z[0]
    for i, t in enumerate(VP.t[:-1]):
        here = [(torch.equal(z, branch), injected) for z, level, injected in backbone.seen if level == t]
        assert sorted(here) == [(False, True), (True, shared)]
        branch = ddim(Linear(rate=0.2), branch, VP, i, i + 1, None, None)[0]

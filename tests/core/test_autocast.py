"""Losses and drags with torch.autocast open around them: the same as without."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from drag_core.drag import drag
from drag_core.features.correspondence import correspondence
from drag_core.features.supervise import PointSupervision, RegionSupervision, Supervision
from drag_core.recipes.released import CoarseRegions, Unpacked
from drag_core.result import Result
from drag_core.trajectory.constrain import SoftBackground
from drag_core.types import AffineMotion, Grid, Handle, Region, Task
from tests.core.analytic import Linear
from tests.core.test_drag import EDITABLE, POINTS, REGIONS, recipe, source

HALVES = [torch.float16, torch.bfloat16]
IMAGE, GRID = Grid(64, 64), Grid(32, 32)
READ = ("", "2x2", "cells")  # what the maps are to the losses


def noise(seed: int) -> Tensor:
    return torch.randn(1, 24, 16, 16, generator=torch.Generator().manual_seed(seed))


def supervisions() -> dict[str, Supervision]:
    mask = torch.zeros(64, 64)
    mask[10:30, 12:34] = 1
    out: dict[str, Supervision] = {}
    for angle, mean, equal, kind in product((0.0, 0.3), ("map", "region"), (False, True), READ):
        region = Region(mask, AffineMotion((9.5, 4.25), angle, anchor=(22.0, 20.0)))
        s = RegionSupervision((region,), IMAGE, GRID, mean, equal)
        wrapped: dict[str, Supervision] = {"": s, "2x2": Unpacked(s), "cells": CoarseRegions(s)}
        out[f"region turned {angle} {mean} {kind} {equal}"] = wrapped[kind]
    pairs = (Handle((20.0, 20.0), (40.0, 33.0)), Handle((30.0, 31.0), (12.0, 44.0)))
    for preserve in (False, True):
        out[f"points {preserve}"] = PointSupervision(
            pairs, IMAGE, GRID, radius=4, search=6, stride=4.0, preserve=preserve, factor=81.0
        )
    return out


KINDS = supervisions()


def asked(supervision: Supervision, planned: bool, half: torch.dtype | None) -> tuple[Tensor, ...]:
    """Loss, gradient and where the points are found."""
    then, now = noise(1), noise(2).requires_grad_()
    with torch.autocast("cpu", dtype=half or torch.bfloat16, enabled=half is not None):
        state = supervision.init([then])
        reference: Any = supervision.plan([then], (1.0,)) if planned else [then]
        loss = supervision.loss([now * 1.0], reference, state, 1.0)
        found, _ = supervision.track([now.detach()], reference, state)
    return (loss.detach(), *torch.autograd.grad(loss, now), *([] if found is None else [found]))


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("planned", [True, False], ids=["plan", "definition"])
@pytest.mark.parametrize("name", list(KINDS))
def test_a_loss_and_its_gradient(name: str, planned: bool, half: torch.dtype) -> None:
    want, got = asked(KINDS[name], planned, None), asked(KINDS[name], planned, half)
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(want, got, strict=True))
    assert want[1].abs().max() > 0


class Plain(Linear):
    """Its own network never sees the autocast of the caller: what differs is the loop's doing."""

    def features(self, *args: Any, **kwargs: Any) -> Any:
        with torch.autocast("cpu", enabled=False):
            return super().features(*args, **kwargs)


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("supervision", [REGIONS, POINTS], ids=["regions", "points"])
def test_a_whole_drag(supervision: Supervision, half: torch.dtype) -> None:
    """Gradients are taken inside the autocast here, with a penalty, tracking and CLoss."""
    task = Task(Grid(128, 128), handles=POINTS.handles)

    def run() -> Result:
        r = recipe(supervision, constraint=SoftBackground(EDITABLE, 0.1), ramp=((0.5, 1.0, 1.0),) * 2)
        r = replace(r, track_every=1, guide=replace(correspondence(task, 0.1), radius=2))
        return drag(Plain(rate=0.1), source(Linear(rate=0.1)), r)

    want = run()
    with torch.autocast("cpu", dtype=half):
        got = run()
    assert torch.equal(got.z, want.z) and got.losses == want.losses and got.traces == want.traces
    assert float((want.z - source(Linear()).z[-1]).abs().max()) > 0.05

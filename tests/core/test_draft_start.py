"""A draft as the start of a drag, and the few even levels that its hole is drawn anew at."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from drag_core.backends.load import load_model
from drag_core.edit import _start, ground_of, run_task
from drag_core.motion.masks import leaving
from drag_core.pictures.draft import draft_of
from drag_core.pictures.inpaint import pixel_warp
from drag_core.recipes.assemble import Choice, Given, assemble
from drag_core.step import quiet
from drag_core.trajectory.schedules import evenly, sd_alphas_cumprod
from drag_core.trajectory.start import Refill
from drag_core.types import AffineMotion, DragError, Grid, Handle, Prediction, Region, Task, Trajectory
from tests.core.analytic import levels

model = cache(load_model)
SQUARE = torch.zeros(128, 128)
SQUARE[32:64, 32:64] = 1  # 4x4 cells


def task(shift: tuple[float, float] = (48.0, 0.0), editable: Tensor | None = None) -> Task:
    return Task(Grid(128, 128), (Region(SQUARE, AffineMotion(shift=shift)),), editable=editable)


def cells(ys: slice, xs: slice) -> Tensor:
    out = torch.zeros(1, 1, 16, 16)
    out[..., ys, xs] = 1
    return out


@pytest.mark.parametrize("kind", ["noise", "velocity"])
def test_even_levels(kind: Prediction) -> None:
    s = evenly(0.6, 3, kind)
    assert len(s.t) == 4 and (s.alpha[-1], s.sigma[-1], s.t[-1]) == (1.0, 0.0, 0.0)
    ratios = [b / a for a, b in zip(s.alpha, s.sigma, strict=True)]
    want = [0.6 / 0.4, 0.4 / 0.6, 0.2 / 0.8, 0.0]
    # a noise model has a thousand levels to choose from
    assert ratios == pytest.approx(want, abs=1e-9 if kind == "velocity" else 0.01)
    if kind == "noise":
        acp = sd_alphas_cumprod()
        assert s.alpha[0] == pytest.approx(math.sqrt(float(acp[int(s.t[0])])))


@pytest.mark.parametrize(("first", "steps"), [(0.0, 4), (1.0, 4), (-0.1, 4), (0.5, 0)])
def test_impossible_levels_are_refused(first: float, steps: int) -> None:
    with pytest.raises(DragError, match=f"{steps} steps from {first}"):
        evenly(first, steps, "noise")


def path(seed: int) -> Trajectory:
    g = torch.Generator().manual_seed(seed)
    return Trajectory(levels(3, 0.9), tuple(torch.randn(1, 16, 16, 16, generator=g) for _ in range(4)))


def test_a_draft_is_the_whole_start() -> None:
    ground, draft = ground_of(model("embedded-sd")), path(1)
    may = torch.zeros(128, 128)
    may[:64] = 1
    drag = replace(task(editable=may), handles=(Handle((48.0, 48.0), (96.0, 48.0)),))
    for name in ("dragnext", "gooddrag", "copy_paste"):
        recipe = assemble(drag, ground, Choice(name), Given(draft=draft))
        assert isinstance(recipe.start, Refill) and recipe.start.background is draft
        z = recipe.start(torch.zeros(1, 16, 16, 16), path(2), 0)
        want = torch.where(cells(slice(0, 8), slice(0, 16)) > 0.5, draft.z[0], torch.zeros(()))
        assert torch.equal(z, want)


@pytest.mark.parametrize("other", [{"filled": path(2)}, {"warped": path(2).z[-1]}])
def test_a_draft_beside_another_start_is_refused(other: dict[str, Trajectory | Tensor]) -> None:
    with pytest.raises(DragError, match="a draft is a whole start: give it alone"):
        Given(draft=path(1), **other)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["embedded-sd", "embedded-flux"])
def test_an_edit_of_an_embedded_model_starts_from_its_draft(name: str) -> None:
    """Without updates the thing is where it goes, as the picture has it, and nothing of it where it was."""
    image = torch.full((1, 3, 128, 128), 0.3)
    image[:, 0, 32:64, 32:64] = 0.9
    stages: list[str] = []
    drag = replace(task(), editable=None)
    _, out = run_task(
        model(name), image, drag, recipe="dragnext" if name == "embedded-sd" else "dragflow",
        updates=False, on_step=lambda s: stages.append(s.stage),
    )  # fmt: skip
    there, here = out[0, :, 40:56, 88:104].mean((1, 2)), out[0, :, 40:56, 40:56].mean((1, 2))
    assert there == pytest.approx(torch.tensor([0.9, 0.3, 0.3]), abs=0.06)
    assert here == pytest.approx(torch.tensor([0.3, 0.3, 0.3]), abs=0.06)
    assert stages[:4] == ["finish"] * 4


@pytest.mark.parametrize("shadow", [None, SQUARE.roll((8, 8), (0, 1)) * (1 - SQUARE)])
def test_the_draft_that_an_edit_starts_from(shadow: Tensor | None) -> None:
    """The pixel warp's bits, points or not, since updates of regions do not follow points; a shadow moves."""

    class Seen(Exception):
        pass

    def encode(x: Tensor) -> Tensor:
        raise Seen(x[0])

    image = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    own = model("embedded-flux")
    with_codec = replace(own, codec=SimpleNamespace(encode=encode))  # type: ignore[arg-type]
    points = (Handle((34.0, 34.0), (34.0, 34.0)), Handle((60.0, 60.0), (60.0, 90.0)))
    drag = replace(task(), handles=points, shadow=shadow)
    with pytest.raises(Seen) as seen:
        _start(with_codec, ground_of(own), Choice("dragflow"), drag, image, quiet)
    rigid = pixel_warp(image[0], drag.regions, leaving(drag))
    assert torch.equal(seen.value.args[0], rigid) == (shadow is None)
    assert torch.equal(seen.value.args[0], draft_of(image[0], replace(drag, handles=())).picture)

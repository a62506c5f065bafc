"""finish(): what is kept is the draft's bit for bit, what is drawn is the model's from its own level on."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from torch import Tensor

from drag_core.backends.load import load_model
from drag_core.recipes.presets import PRESETS
from drag_core.step import Step
from drag_core.trajectory.finish import STEPS, finish, noise_like
from drag_core.trajectory.kvcache import KVPlain
from drag_core.trajectory.schedules import ddim as ddim_levels
from drag_core.trajectory.schedules import evenly
from drag_core.trajectory.solvers import fireflow
from drag_core.types import (
    KV,
    DragError,
    KVInject,
    KVRecord,
    Prediction,
    Schedule,
)
from tests.core.analytic import Gaussian

model = cache(load_model)
KINDS: tuple[Prediction, ...] = ("noise", "velocity")


def cells(ys: slice, xs: slice) -> Tensor:
    out = torch.zeros(1, 1, 16, 16)
    out[..., ys, xs] = 1
    return out


def latent(seed: int, rows: int = 1) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 4, 16, 16, generator=g, dtype=torch.float64)


class Wild:
    """A model that says anything; it notes what it is asked."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, Tensor, KV]] = []

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        self.seen.append((t, z.clone(), kv))
        return torch.sin(7 * z) + z.flip(-1)

    def features(self, *_: object, **__: object) -> tuple[list[Tensor], Tensor]:
        raise AssertionError("no features are needed")


def graded() -> Tensor:
    """Strengths 0, 1/4, 1/2, 3/4 and 1 in columns of a square, 0 around it."""
    out = torch.zeros(1, 1, 16, 16)
    for i, value in enumerate((0.25, 0.5, 0.75, 1.0)):
        out[..., 4:12, 4 + i] = value
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_no_strength_is_the_draft_bit_for_bit(kind: Prediction) -> None:
    draft, s = latent(1), evenly(0.9, 5, kind)
    out = finish(Wild(), draft, graded(), s, latent(2))
    kept = (graded() == 0).expand_as(out)
    assert torch.equal(out[kept], draft[kept]) and not (out == draft)[~kept].any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [4, 8])
def test_a_cell_follows_the_draft_until_its_share_of_the_noise_is_left(kind: Prediction, steps: int) -> None:
    draft, noise, s, seen = latent(1), latent(2), evenly(0.8, steps, kind), []
    finish(Wild(), draft, graded(), s, noise, on_step=lambda step: seen.append(step.z))
    for k, z in enumerate(seen, 1):
        on_its_way = s.alpha[k] * draft + s.sigma[k] * noise if k < steps else draft
        same = (z == on_its_way).all(1, keepdim=True)
        for strength in (0.0, 0.25, 0.5, 0.75, 1.0):
            there = graded() == strength
            # a noise model's levels are near the even ones, not at them
            left = (s.sigma[k] / (s.alpha[k] + s.sigma[k])) / (s.sigma[0] / (s.alpha[0] + s.sigma[0]))
            assert abs(left - (1 - k / steps)) < 0.02
            assert bool(same[there].all()) == (left >= strength - 0.01), (k, strength)


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_model_of_one_picture_draws_it(kind: Prediction) -> None:
    """A denoiser that knows one picture (deviation 0) draws it, from whatever level a cell is the model's."""
    known = torch.linspace(-1, 1, 256).reshape(1, 1, 16, 16)
    oracle = Gaussian(known, 0.0, evenly(0.5, STEPS, kind))
    draft, told = torch.zeros(1, 1, 16, 16), list[Step]()
    where = graded()
    out = finish(oracle, draft, where, oracle.schedule, noise_like(draft, 0), on_step=told.append)
    assert torch.allclose(out, torch.where(where > 0, known, draft), atol=1e-5)
    assert [(s.done, s.total, s.stage) for s in told] == [(k, 4, "finish") for k in (1, 2, 3, 4)]
    assert len(oracle.levels) == STEPS


@pytest.mark.parametrize("kind", KINDS)
def test_less_noise_less_change(kind: Prediction) -> None:
    """From next to no noise the draft comes back, and none to draw is no call."""
    draft, ones = latent(1), torch.ones(1, 1, 16, 16)
    near = finish(Wild(), draft, ones, evenly(1e-6, 2, "velocity"), latent(2))
    assert float((near - draft).abs().max()) < 1e-5
    wild = Wild()
    assert finish(wild, draft, 0 * ones, evenly(0.5, 2, kind), latent(2)) is draft and not wild.seen


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_two_is_two_passes(kind: Prediction) -> None:
    s, draft, noise = evenly(0.5, 4, kind), latent(1, 2), latent(2, 2)
    both = finish(Wild(), draft, graded(), s, noise)
    for i in (0, 1):
        one = finish(Wild(), draft[i : i + 1], graded(), s, noise[i : i + 1])
        assert torch.equal(both[i : i + 1], one)


@pytest.mark.parametrize("kind", KINDS)
def test_keys_and_values_are_the_drafts_of_the_same_level_and_noise(kind: Prediction) -> None:
    draft, noise, s, wild = latent(1), latent(2), evenly(0.78, 4, kind), Wild()
    finish(wild, draft, graded(), s, noise, kv_blocks=("a",), kv_where=graded())
    assert len(wild.seen) == 8
    for k in range(4):
        (t, z, record), (again, _, inject) = wild.seen[2 * k : 2 * k + 2]
        assert t == again == s.t[k] and isinstance(record, KVRecord) and isinstance(inject, KVInject)
        assert torch.equal(z, s.alpha[k] * draft + s.sigma[k] * noise) and record.cache is inject.cache
        assert inject.where is not None and torch.equal(inject.where, graded())


def test_any_solver() -> None:
    """FireFlow's second order is nearer to the exact flow of a Gaussian than Euler's first."""
    ones, draft, noise = torch.ones(1, 1, 16, 16), torch.zeros(1, 1, 16, 16), latent(3)[:, :1].float()
    mean = torch.linspace(-1, 1, 256).reshape(1, 1, 16, 16)

    def drawn(steps: int, **more: object) -> Tensor:
        s = evenly(0.8, steps, "velocity")
        return finish(Gaussian(mean, 0.5, s), draft, ones, s, noise, **more)  # type: ignore[arg-type]

    exact = drawn(400)
    first, second = drawn(8), drawn(8, solver=fireflow)
    assert float((second - exact).norm()) < 0.3 * float((first - exact).norm())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"strength": torch.ones(16, 16)}, r"strength map has shape \(16, 16\)"),
        ({"strength": torch.full((1, 1, 16, 16), 1.5)}, "from 1.5 to 1.5; it must stay within 0 and 1"),
        ({"strength": torch.full((1, 1, 16, 16), math.nan)}, "from nan to nan"),
        ({"noise": torch.zeros(1, 4, 8, 8)}, r"noise has shape \(1, 4, 8, 8\)"),
        ({"schedule": ddim_levels(10, 0.5)}, "ends with noise left"),
    ],
)
def test_nonsense_is_refused(change: dict[str, object], says: str) -> None:
    given = {"strength": graded(), "noise": latent(2), "schedule": evenly(0.5, 2, "noise")} | change
    with pytest.raises(DragError, match=says):
        finish(Wild(), latent(1), **given)  # type: ignore[arg-type]


def test_seeds() -> None:
    z = torch.zeros(1, 4, 8, 8)
    assert torch.equal(noise_like(z, 1), noise_like(z, 1)) and not torch.equal(
        noise_like(z, 1), noise_like(z, 2)
    )
    assert noise_like(z.double(), 1).dtype == torch.float64


# on the embedded models


@pytest.mark.parametrize("name", PRESETS)
def test_where_of_keys_and_values(name: str) -> None:
    """All ones is today's injection, all zeros none, half something else."""
    backbone = model(name).backbone
    channels, t = 16, PRESETS[name].schedule.t[0]
    z, other = (torch.randn(1, channels, 16, 16, generator=torch.Generator().manual_seed(s)) for s in (1, 2))
    named, seen, mask = tuple(backbone.projections), KVPlain(), torch.ones(1, 1, 16, 16)  # type: ignore[attr-defined]
    with torch.no_grad():
        backbone.predict(other, t, KVRecord(seen, named))

        def under(where: Tensor | None) -> Tensor:
            return backbone.predict(z, t, KVInject(seen, named, where))

        plain, all_of_it = backbone.predict(z, t), under(None)
        assert torch.allclose(under(mask), all_of_it, atol=1e-5) and torch.equal(under(0 * mask), plain)
        half = under(cells(slice(0, 16), slice(0, 8)))
    assert float((half - plain).abs().max()) > 1e-4 and float((half - all_of_it).abs().max()) > 1e-4
    with pytest.raises(DragError, match="15x3 cells, which do not divide into the"):
        under(torch.ones(1, 1, 3, 15))


@pytest.mark.parametrize("name", PRESETS)
def test_finish_on_the_embedded_models_keeps_what_is_kept(name: str) -> None:
    small = model(name)
    kind: Prediction = PRESETS[name].schedule.prediction
    draft = small.codec.encode(torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(4)))
    levels: Schedule = evenly(0.5, STEPS, kind)
    named = tuple(small.backbone.projections)  # type: ignore[attr-defined]
    one, other = (
        finish(small.backbone, draft, graded(), levels, noise_like(draft, 0), kv_blocks=blocks)
        for blocks in ((), named)
    )
    kept = (graded() == 0).expand_as(draft)
    assert torch.equal(one[kept], draft[kept]) and torch.equal(other[kept], draft[kept])
    assert float((one - other)[~kept].abs().max()) > 1e-5

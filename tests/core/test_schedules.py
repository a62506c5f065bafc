"""Noise levels: counts, ends, and the families' identities."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from drag_core.trajectory.schedules import (
    ddim,
    evenly,
    flow,
    flux2_shift,
    flux_shift,
    qwen_shift,
    sd_alphas_cumprod,
    sparser,
)
from drag_core.types import Schedule


@pytest.mark.parametrize(
    ("strength", "kept", "first"),
    [(1.0, 50, 981), (0.75, 38, 741), (0.7, 35, 681), (0.6, 30, 581), (0.001, 1, 1)],
)
def test_ddim_keeps_the_share_that_strength_says(strength: float, kept: int, first: float) -> None:
    s = ddim(50, strength)
    assert len(s.t) == kept + 1 and s.t[0] == first and s.t[-2:] == (1.0, 0.0)
    assert s.prediction == "noise"
    whole = ddim(50)
    assert s.alpha == whole.alpha[-kept - 1 :] and s.sigma == whole.sigma[-kept - 1 :]


@pytest.mark.parametrize(
    "s", [ddim(50), ddim(20, 0.5), ddim(1), ddim(1000, offset=0)], ids=["50", "20", "1", "1000"]
)
def test_ddim_preserves_variance_and_gets_cleaner(s: Schedule) -> None:
    assert [a * a + b * b for a, b in zip(s.alpha, s.sigma, strict=True)] == pytest.approx([1.0] * len(s.t))
    assert sorted(s.t, reverse=True) == list(s.t)
    assert sorted(s.alpha) == list(s.alpha)
    assert s.alpha[-1] ** 2 == pytest.approx(1 - 0.00085)  # set_alpha_to_one False: the first beta is left in


def test_ddim_takes_other_alphas() -> None:
    acp = torch.linspace(0.9, 0.1, 10, dtype=torch.float64)
    s = ddim(5, 1.0, acp)
    assert s.t == (9.0, 7.0, 5.0, 3.0, 1.0, 0.0)
    assert [a * a for a in s.alpha] == pytest.approx([float(acp[int(t)]) for t in s.t])


def test_sd_alphas() -> None:
    acp = sd_alphas_cumprod()
    assert acp.shape == (1000,) and acp.dtype == torch.float64
    assert float(acp[0]) == pytest.approx(1 - 0.00085) and float(acp[-1]) == pytest.approx(0.00466, rel=1e-2)
    assert float(acp[-1] / acp[-2]) == pytest.approx(1 - 0.012)


@pytest.mark.parametrize(
    ("tokens", "mu"), [(256, 0.5), (4096, 1.15), (2176, 0.825), (64, 0.4675), (8192, 1.843333)]
)
def test_flux_shift(tokens: int, mu: float) -> None:
    assert flux_shift(tokens) == pytest.approx(mu, rel=1e-6)


@pytest.mark.parametrize("skip", [0, 6, 24])
@pytest.mark.parametrize("shift", [0.0, 0.5, 1.15])
def test_flow(skip: int, shift: float) -> None:
    s = flow(25, skip, shift)
    assert len(s.t) == 26 - skip and s.t[-1] == 0.0 and s.prediction == "velocity"
    assert s.t == flow(25, 0, shift).t[skip:]
    assert sorted(set(s.t), reverse=True) == list(s.t)
    assert [a + b for a, b in zip(s.alpha, s.sigma, strict=True)] == pytest.approx([1.0] * len(s.t))
    even = 1 - skip / 25
    assert s.t[0] == pytest.approx(even / (even + math.exp(-shift) * (1 - even)))


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (ddim, (0, 1.0)),
        (ddim, (1001, 1.0)),
        (ddim, (50, 0.0)),
        (ddim, (50, 1.1)),
        (flow, (25, 25)),
        (flow, (25, -1)),
    ],
)
def test_impossible_schedules_are_refused(make: Callable[..., Schedule], values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must be"):
        make(*values)


def test_a_sparser_schedule_goes_the_same_way() -> None:
    s = flow(10)
    assert sparser(s, 10) == s
    assert sparser(s, 5).t == s.t[::2] and sparser(s, 5).sigma == s.sigma[::2]
    assert sparser(ddim(50, 0.75), 1).alpha == (ddim(50, 0.75).alpha[0], ddim(50, 0.75).alpha[-1])
    for steps in (0, 11):
        with pytest.raises(ValueError, match="must be"):
            sparser(s, steps)


def test_other_models_shifts_by_resolution() -> None:
    assert qwen_shift(256) == pytest.approx(0.5) and qwen_shift(8192) == pytest.approx(0.9)
    # FLUX.2 at 1024x1024: 1.1500 for 200 steps and 2.2562 for 10; between them by the steps
    assert flux2_shift(4096, 200) == pytest.approx(1.1500, abs=1e-4)
    assert flux2_shift(4096, 10) == pytest.approx(2.2562, abs=1e-4)
    assert flux2_shift(4096, 50) == pytest.approx(2.0233, abs=1e-4)  # the host's fixed value is 2.02
    assert flux2_shift(4300, 10) == pytest.approx(8.73809524e-05 * 4300 + 1.89833333, abs=1e-8)
    assert flux2_shift(4301, 10) == flux2_shift(4301, 200)


def test_even_levels_of_a_models_own_table() -> None:
    """At half the flow's time noise and signal are equal, at whatever of its levels that is."""
    own = sd_alphas_cumprod(0.0001, 0.02)
    for table in (None, own):
        s = evenly(0.5, 4, "noise", table)
        acp = sd_alphas_cumprod() if table is None else table
        assert s.alpha[0] ** 2 == pytest.approx(float(acp[int(s.t[0])]))
        ratios = [d / a for d, a in zip(s.sigma[:-1], s.alpha[:-1], strict=True)]
        assert ratios == pytest.approx([1.0, 0.6, 1 / 3, 1 / 7], rel=0.02)
        assert s.alpha[-1] == 1 and s.sigma[-1] == 0
    assert evenly(0.5, 4, "noise").t != evenly(0.5, 4, "noise", own).t

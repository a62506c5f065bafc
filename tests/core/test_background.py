"""The background between and beyond the stored levels, by hand."""

from __future__ import annotations

import pytest
import torch

from drag_core.trajectory.background import Reconstructed, Stored, background_at, background_of
from drag_core.types import DragError, Schedule, Trajectory

CLEAN, NOISE = torch.full((1, 1, 2, 2), 3.0), torch.full((1, 1, 2, 2), -1.0)


def flow() -> Trajectory:
    t = (0.8, 0.4, 0.0)
    bent = torch.full((1, 1, 2, 2), 0.25)  # the stored path need not be straight
    z = tuple((1 - x) * CLEAN + x * NOISE + (bent if x == 0.4 else 0) for x in t)
    return Trajectory(Schedule(t, tuple(1 - x for x in t), t, "velocity"), z)


def vp() -> Trajectory:
    alpha, sigma = (0.6, 0.8, 0.9998), (0.8, 0.6, 0.02)
    z = (*(a * CLEAN + d * NOISE for a, d in zip(alpha[:2], sigma[:2], strict=True)), CLEAN)
    return Trajectory(Schedule((600.0, 300.0, 0.0), alpha, sigma, "noise"), z)


def test_flow() -> None:
    source = flow()
    for i, t in enumerate(source.schedule.t):
        assert torch.equal(background_at(source, t), source.z[i])
    between = (source.z[0] + source.z[1]) / 2
    assert torch.allclose(background_at(source, 0.6), between, atol=1e-6)
    assert torch.allclose(background_at(source, 0.1), 0.75 * CLEAN + 0.25 * source.z[1], atol=1e-6)
    assert torch.allclose(background_at(source, 1.0), NOISE, atol=1e-6)
    assert torch.allclose(background_at(source, 0.9), 0.1 * CLEAN + 0.9 * NOISE, atol=1e-6)


def test_vp_is_given_in_the_samplers_frame() -> None:
    source = vp()
    assert torch.allclose(background_at(source, 0.8 / 0.6), source.z[0] / 0.6)
    for sigma in (0.0, 0.3, 0.75, 1.0, 1.2, 5.0):  # this path is straight: clean + sigma·noise everywhere
        assert torch.allclose(background_at(source, sigma), CLEAN + sigma * NOISE, atol=1e-5), sigma
    assert torch.equal(background_at(source, 0.0), CLEAN)


def test_a_source_by_its_name() -> None:
    assert background_of("trajectory") == Stored() and background_of("reconstruction") == Reconstructed()
    with pytest.raises(DragError, match="no background 'relased': use trajectory or reconstruction"):
        background_of("relased")  # type: ignore[arg-type]

"""A path through the noise without an inversion."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from drag_core.trajectory.invert import denoise
from drag_core.trajectory.kvcache import KVPlain
from drag_core.trajectory.noised import NOISED, noise_in, noised
from drag_core.trajectory.schedules import evenly
from drag_core.trajectory.solvers import euler
from drag_core.types import KV, DragError, KVRecord, Prediction, Schedule, Trajectory

Z = torch.randn(1, 4, 6, 8, generator=torch.Generator().manual_seed(1))
NOISE = torch.randn(1, 4, 6, 8, generator=torch.Generator().manual_seed(2))


class Asked:
    """Notes what it is asked, and has the velocity of exactly this noise."""

    def __init__(self) -> None:
        self.calls: list[tuple[Tensor, float, KV]] = []

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        self.calls.append((z, t, kv))
        return NOISE - Z

    def features(self, *args: object, **kw: object) -> tuple[list[Tensor], Tensor | None]:
        raise AssertionError("no features are asked for")


@pytest.mark.parametrize("kind", ["velocity", "noise"])
def test_every_level_by_hand_and_without_a_call(kind: Prediction) -> None:
    schedule, net, told = evenly(0.6, 4, kind), Asked(), []
    path = noised(net, Z, schedule, NOISE, on_step=told.append)
    assert len(path.z) == len(schedule.t) == 5 and path.solver == NOISED and path.kv is None
    for z, a, s in zip(path.z[:-1], schedule.alpha, schedule.sigma, strict=False):
        assert torch.equal(z, a * Z + s * NOISE)
    assert torch.equal(path.z[-1], Z) and not net.calls
    assert [(t.done, t.total) for t in told] == [(i, 4) for i in range(1, 5)]
    assert torch.allclose(noise_in(path), NOISE, atol=1e-5)


def test_one_call_a_level_records_the_keys_there() -> None:
    schedule, net, cache = evenly(0.5, 3, "velocity"), Asked(), KVPlain()
    path = noised(net, Z, schedule, NOISE, ("double.1",), cache=cache, kv_text=True)
    assert [t for _, t, _ in net.calls] == list(schedule.t[2::-1]) and path.kv is cache
    for z, t, kv in net.calls:
        assert isinstance(kv, KVRecord) and kv.blocks == ("double.1",) and kv.text
        assert torch.equal(z, path.z[schedule.t.index(t)])


def test_where_the_velocity_is_that_of_this_noise_it_comes_back() -> None:
    schedule = evenly(0.7, 5, "velocity")
    path = noised(Asked(), Z, schedule, NOISE)
    assert torch.allclose(denoise(Asked(), path.z[0], schedule, euler), Z, atol=1e-5)


def test_a_path_without_noise_is_refused() -> None:
    clean = Schedule((0.0, 0.0), (1.0, 1.0), (0.0, 0.0), "velocity")
    with pytest.raises(DragError, match="no noise at its first level"):
        noise_in(Trajectory(clean, (Z, Z)))

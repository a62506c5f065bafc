"""Schedules, solvers and token layout against DragDiffusion's and DragFlow's released code."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from drag_core.backends.diffusers_flux import pack, unpack
from drag_core.features.supervise import RegionSupervision
from drag_core.recipes.released import Unpacked
from drag_core.trajectory.invert import invert
from drag_core.trajectory.schedules import ddim, flow, flux_shift, sd_alphas_cumprod
from drag_core.trajectory.solvers import ddim_jump, fireflow
from drag_core.types import KV, AffineMotion, Grid, Region, Schedule
from tests.golden.load import golden, relative


def test_ddim_schedule() -> None:
    data = golden("ddim_steps")
    s = ddim(50)
    assert s.t == (*data["timesteps"].tolist(), 0.0)
    assert relative(sd_alphas_cumprod(), data["alphas_cumprod"]) < 1e-5
    kept = data["alphas_cumprod"][data["timesteps"]]
    assert relative(torch.tensor(s.alpha[:-1]) ** 2, kept) < 1e-5
    assert s.alpha[-1] ** 2 == pytest.approx(float(data["alphas_cumprod"][0]), rel=1e-5)


@pytest.mark.parametrize("index", range(5))
def test_ddim_jump(index: int) -> None:
    """`step` goes from t to the next cleaner level; `inv_step` arrives at t with the noise found one level
    below.
    """
    data = golden("ddim_steps")
    s = ddim(50)
    i = s.t.index(float(data["t"][index]))
    assert relative(ddim_jump(data["x"], data["eps"], s, i, i + 1), data["x_prev"][index]) < 1e-5
    assert relative(ddim_jump(data["x"], data["eps"], s, i + 1, i), data["x_next"][index]) < 1e-5


class ToyVelocity:
    """tanh(x W)(1 + 0.3 t) + 0.01 x on tokens; keeps the levels that it was asked at."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self.levels: list[float] = []

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        self.levels.append(t)
        return torch.tanh(z @ self.weight) * (1 + 0.3 * t) + 0.01 * z

    def features(self, *args: object, **kwargs: object) -> tuple[list[Tensor], Tensor | None]:
        raise AssertionError("not asked for")


def dragflow_schedule(data: dict[str, Tensor]) -> Schedule:
    """25 steps at 64 tokens, 6 skipped."""
    s = flow(25, skip=6, shift=flux_shift(64))
    assert relative(torch.tensor(s.t), data["schedule"][6:]) < 1e-5
    return s


def test_fireflow_inversion_and_reconstruction() -> None:
    data = golden("dragflow_fireflow")
    s = dragflow_schedule(data)
    backbone = ToyVelocity(data["Wv"])
    source = invert(backbone, data["z0"], s, fireflow)
    assert relative(source.z[0], data["z_T"]) < 1e-4
    assert len(backbone.levels) == int(data["n_calls_inversion"]) == 20
    assert backbone.levels == pytest.approx(data["call_times_inversion"].tolist(), abs=1e-6)
    backbone.levels.clear()
    z, carry = source.z[0], None
    for i in range(len(s.t) - 1):
        z, carry = fireflow(backbone, z, s, i, i + 1, None, carry)
    assert relative(z, data["z_rec"]) < 1e-4
    assert backbone.levels == pytest.approx(data["call_times_sampling"].tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("key", "shift"),
    [
        ("schedule_25_1024", flux_shift(1024)),
        ("schedule_25_4096", flux_shift(4096)),
        ("schedule_noshift", 0.0),
    ],
)
def test_flow_schedule(key: str, shift: float) -> None:
    s = flow(25, shift=shift)
    assert relative(torch.tensor(s.t), golden("dragflow_tokens")[key]) < 1e-5
    assert s.sigma == s.t and s.alpha == pytest.approx([1 - t for t in s.t])


def test_tokens() -> None:
    data = golden("dragflow_tokens")
    assert torch.equal(unpack(data["tokens"], 48, 64), data["decoded"])
    assert torch.equal(pack(data["decoded"]), data["roundtrip"])
    assert torch.equal(unpack(data["feat_tokens"], 12, 16), data["feat_decoded"])


def test_unpacked_features_are_compared_at_twice_the_resolution() -> None:
    """The token map, Unpacked, gives the loss that the released code's decoded map gives without."""
    data = golden("dragflow_tokens")
    native = data["feat_tokens"].transpose(1, 2).reshape(1, 3072, 6, 8)
    assert torch.equal(F.pixel_shuffle(native, 2), data["feat_decoded"])
    mask = torch.zeros(96, 128)
    mask[24:64, 24:72] = 1
    regions, image, grid = (Region(mask, AffineMotion(shift=(21.0, 9.0))),), Grid(96, 128), Grid(24, 32)
    plain = RegionSupervision(regions, image, grid)
    got = Unpacked(plain).loss([native.flip(-1)], [native], None, 0.5)
    decoded = F.pixel_shuffle(native.flip(-1), 2)
    assert torch.allclose(got, plain.loss([decoded], [data["feat_decoded"]], None, 0.5), rtol=1e-6)
    assert got > 0

"""The probe on features whose answer is known, the pictures of feature maps, and the chart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from drag_core.features.probe import (
    compare,
    probe,
    probe_motion,
    ranked,
    score_table,
    tap_text,
    warped_picture,
)
from drag_core.features.view import REACH, feature_picture, principal
from drag_core.motion.geometry import apply, motion_matrix
from drag_core.pictures.plot import tap_chart
from drag_core.trajectory.schedules import flow
from drag_core.types import KV, DragError, FeatureTap, Grid, Trajectory

IMAGE = Grid(192, 256)


def smooth(*shape: int, seed: int = 0) -> Tensor:
    small = (*shape[:2], shape[2] // 16, shape[3] // 16)
    x = torch.randn(small, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(x, shape[2:], mode="bicubic")


def places(x: Tensor) -> Tensor:
    y, c = torch.meshgrid(torch.arange(x.shape[-2]), torch.arange(x.shape[-1]), indexing="ij")
    waves = [f(p / 2**k) for p in (y, c) for k in range(5) for f in (torch.sin, torch.cos)]
    return torch.stack(waves)[None].float()


@dataclass
class Three:
    """Taps that know the content, only the place, and nothing."""

    calls: int = 0

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        return torch.zeros_like(z)

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        self.calls += 1
        known = {
            "content": z
            + t * 0.4 * torch.randn(z.shape, generator=torch.Generator().manual_seed(self.calls)),
            "place": places(z),
            "nothing": torch.randn(z.shape, generator=torch.Generator().manual_seed(self.calls)),
        }
        return [known[tap.block] for tap in taps], None


def paths() -> tuple[Trajectory, Trajectory]:
    picture = smooth(1, 32, IMAGE.height, IMAGE.width)
    two = (picture, warped_picture(picture, probe_motion(IMAGE)))
    schedule = flow(4, skip=1)
    size = (IMAGE.height // 8, IMAGE.width // 8)
    latents = [F.interpolate(x, size, mode="area") for x in two]
    a, b = (Trajectory(schedule, (z,) * len(schedule.t)) for z in latents)
    return a, b


def test_the_content_is_found_and_the_place_is_not() -> None:
    taps = tuple(FeatureTap(n) for n in ("nothing", "content", "place"))
    told: list[tuple[int, int]] = []
    scores = probe(
        Three(), *paths(), probe_motion(IMAGE), IMAGE, taps, (0, 2), lambda *done: told.append(done)
    )
    by = {(s.tap.block, s.level): s for s in scores}
    assert by["content", 2].pck > 0.9 and by["content", 2].ratio < 0.6
    assert by["place", 2].pck < 0.1 and by["place", 2].ratio == pytest.approx(1.0, abs=0.2)
    assert by["nothing", 2].pck < 0.05 and by["nothing", 2].score < 0.02
    assert by["content", 0].ratio > by["content", 2].ratio  # noisier
    assert [t.block for t, _ in ranked(scores)][0] == "content" and told == [(1, 2), (2, 2)]
    table = score_table(scores).splitlines()
    assert table[2].startswith("| content |") and len(table) == 5
    assert "level 2" in table[0] and f"{by['content', 2].pck:.2f}" in table[2]
    assert tap_text(FeatureTap("double.1", "norm1")) == "double.1:norm1"


def test_a_perfect_map_is_found_exactly() -> None:
    motion = probe_motion(IMAGE)
    wide = smooth(1, 32, IMAGE.height, IMAGE.width, seed=4)
    pck, ratio = compare(wide, warped_picture(wide, motion), motion, IMAGE)
    assert pck > 0.97 and ratio < 0.35
    assert compare(wide, wide, motion, IMAGE)[1] == pytest.approx(1.0)


def test_the_motion_is_longer_than_a_match_may_be_off() -> None:
    for size in (Grid(128, 128), Grid(1024, 1024), Grid(512, 768)):
        matrix = motion_matrix(probe_motion(size))
        cell = max(size.height, size.width) / min(32, max(size.height, size.width) // 8)
        steps = [
            math.dist(p, apply(matrix, p))
            for p in ((x * size.width, y * size.height) for x in (0.1, 0.5, 0.9) for y in (0.1, 0.5, 0.9))
            if all(0 <= c < s for c, s in zip(apply(matrix, p), (size.width, size.height), strict=True))
        ]
        assert len(steps) >= 4 and min(steps) > 1.5 * cell


def test_settings_that_cannot_be_compared_are_refused() -> None:
    a, b = paths()
    with pytest.raises(DragError, match="no feature tap"):
        probe(Three(), a, b, probe_motion(IMAGE), IMAGE, (), (0,))
    other = Trajectory(flow(5), (b.z[0],) * 6)
    with pytest.raises(DragError, match="different levels"):
        probe(Three(), a, other, probe_motion(IMAGE), IMAGE, (FeatureTap("place"),), (0,))


@pytest.mark.parametrize(("channels", "side"), [(40, 12), (400, 9), (2, 10), (1, 7)])
def test_components_are_those_of_an_exact_decomposition(channels: int, side: int) -> None:
    x = torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(channels)).double()
    x *= (3 * 0.7 ** torch.arange(channels))[None, :, None, None]
    scores, share = principal(x)
    flat = x[0].flatten(1).T - x[0].flatten(1).T.mean(0)
    u, s, _ = torch.linalg.svd(flat, full_matrices=False)
    n = min(3, channels)
    for k in range(n):
        got, want = scores[k].flatten(), u[:, k] * s[k]
        assert min((got - want).norm(), (got + want).norm()) <= 1e-4 * want.norm()
        assert got.pow(3).sum() >= 0
    assert share[:n].tolist() == pytest.approx((s[:n] ** 2 / (s**2).sum()).tolist(), rel=1e-4)
    assert scores[n:].abs().sum() == 0 and share[n:].sum() == 0


@given(st.integers(0, 1000), st.floats(0.01, 100.0))
def test_a_picture_depends_on_the_map_alone(seed: int, scale: float) -> None:
    """Not on the units, the zero, the order or the rotation of its channels."""
    g = torch.Generator().manual_seed(seed)
    sizes = torch.tensor([4.0, 3, 2, 1, 0.5, 0.2])[None, :, None, None]
    x = torch.randn(1, 6, 5, 7, generator=g).double() * sizes
    turn = torch.linalg.qr(torch.randn(6, 6, generator=g).double()).Q
    other = scale * torch.einsum("ij,bjhw->bihw", turn, x) + 3.0
    size = Grid(10, 14)
    a, b = feature_picture(x, size)[0], feature_picture(other, size)[0]
    assert torch.allclose(a, b, atol=1e-4) and torch.equal(a, feature_picture(x, size)[0])


def test_a_small_thing_is_bright() -> None:
    x = torch.zeros(1, 5, 8, 8)
    x[:, :, 2:4, 5:7] = torch.tensor([1.0, -2, 0, 0.5, 0])[None, :, None, None]
    picture, share = feature_picture(x, Grid(16, 16))
    assert share[0] == pytest.approx(1.0) and share[1:].abs().max() < 1e-9
    spread = math.sqrt(4 / 64 * (1 - 4 / 64))
    assert picture[0, 5, 11] == pytest.approx(min(0.5 + (1 - 4 / 64) / (2 * REACH * spread), 1.0), abs=1e-5)
    assert picture[0, 0, 0] == pytest.approx(0.5 - 4 / 64 / (2 * REACH * spread), abs=1e-5)
    assert torch.allclose(picture[1:], torch.full((2, 16, 16), 0.5)) and picture.shape == (3, 16, 16)
    assert torch.allclose(feature_picture(0 * x, Grid(4, 4))[0], torch.full((3, 4, 4), 0.5))


def test_chart() -> None:
    names = [f"double.{i}" for i in range(57)]
    pck, ratio = [0.1 + 0.01 * i for i in range(57)], [1.2 - 0.02 * i for i in range(57)]
    series = [("t 0.9", (pck, ratio)), ("t 0.5", (ratio, pck))]
    chart = tap_chart(names, series, "double.3")
    assert chart.shape == (3, 480, 960) and 0 <= chart.min() and chart.max() <= 1
    other = tap_chart(names, series, "double.4")
    assert not torch.equal(chart, other) and torch.equal(chart, tap_chart(names, series, "double.3"))
    assert tap_chart(["mid"], [("t 1", ([0.5], [0.5]))], "mid").shape == (3, 480, 960)

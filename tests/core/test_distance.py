"""Mean distances: the low-memory cosines against the upsampled maps, hand-made features, DIFT on a toy."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from drag_core.features.dift import dift_features, looking, seen_by
from drag_core.metrics.distance import cosine_map, dift, discs_of, matches, md, md2
from drag_core.metrics.protocols import EMPTY, EMPTY_768, OWN
from drag_core.trajectory.schedules import every_level
from drag_core.types import DragError, FeatureTap, Grid


def features(seed: int, c: int = 6, h: int = 5, w: int = 7) -> Tensor:
    return torch.randn(1, c, h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 999), st.integers(20, 41), st.integers(20, 50), st.sampled_from(["bilinear", "nearest"])
)
def test_cosines_are_those_of_the_upsampled_maps(seed: int, h: int, w: int, mode: str) -> None:
    f0, f1 = features(seed), features(seed + 1000)
    up = [F.interpolate(f, (h, w), mode=mode) for f in (f0, f1)]
    x, y = seed % w, seed % h
    want = F.cosine_similarity(up[0][:, :, y, x][..., None, None], up[1], dim=1)[0]
    got = cosine_map(f0, f1, (x, y), Grid(h, w), mode)  # type: ignore[arg-type]
    assert torch.allclose(got, want, atol=1e-12)


def one_hot(cells: dict[tuple[int, int], int], h: int = 4, w: int = 4, c: int = 5) -> Tensor:
    """Features that are channel `cells[x, y]` in those cells and channel 0 elsewhere."""
    out = torch.zeros(1, c, h, w)
    for y in range(h):
        for x in range(w):
            out[0, cells.get((x, y), 0), y, x] = 1
    return out


def test_distances_by_hand() -> None:
    """Cells of 8 px; the thing of cell (1, 1) is found in cell (3, 2), whose middle is at (27.5, 19.5)."""
    f0, f1 = one_hot({(1, 1): 1}), one_hot({(3, 2): 1})
    start, target = (12.0, 12.0), (28.0, 26.0)
    found = matches(f0, f1, [start], Grid(32, 32))[0].tolist()
    assert abs(found[0] - 29) <= 3 and abs(found[1] - 19.5) <= 1.5
    far = md(f0, f1, [start], [target], Grid(32, 32))
    assert far.shape == (1,) and float(far) == pytest.approx(math.dist(target, found))
    # nearest: the whole cell ties and its first pixel in reading order, (24, 16), counts
    near = md2(f0, f1, [start], [target], Grid(32, 64 // 2))
    assert float(near) == pytest.approx(100 * math.hypot(4 / 32, 10 / 32))


def test_sides_are_measured_by_their_own_length() -> None:
    f0, f1 = one_hot({(1, 1): 1}, 4, 8), one_hot({(3, 2): 1}, 4, 8)
    got = md2(f0, f1, torch.tensor([[12, 12]]), torch.tensor([[28, 26]]), (32, 64))
    assert float(got) == pytest.approx(100 * math.hypot(4 / 64, 10 / 32))


def test_the_mask_limits_the_search() -> None:
    f0, f1 = one_hot({(1, 1): 1}), one_hot({(3, 2): 1, (0, 3): 1})
    left = torch.zeros(32, 32, dtype=torch.bool)
    left[:, :16] = True
    x, y = matches(f0, f1, [(12.0, 12.0)], Grid(32, 32), left)[0].tolist()
    assert x < 8 and y > 23
    assert matches(f0, f1, [(12.0, 12.0)], Grid(32, 32), torch.zeros(32, 32)).isnan().all()


@pytest.mark.parametrize("start", [(-1.0, 5.0), (32.0, 5.0), (5.0, 32.0), (5.0, -0.6)])
def test_a_start_outside_is_no_number(start: tuple[float, float]) -> None:
    f = one_hot({(1, 1): 1})
    got = md(f, f, [start, (5.0, 5.0)], [(5.0, 5.0), (5.0, 5.0)], Grid(32, 32))
    assert math.isnan(float(got[0])) and not math.isnan(float(got[1]))
    assert float(md(f, f, [(31.4, 5.0)], [(5.0, 5.0)], Grid(32, 32))[0]) >= 0  # its pixel is 31


def test_discs() -> None:
    """Radius |a - b| / sqrt 2, the rim outside; 5 px at least."""
    got = discs_of([(10.0, 10.0), (5.0, 20.0)], [(20.0, 20.0), (6.0, 20.0)], Grid(32, 32))
    assert got.shape == (2, 32, 32)
    assert got[0, 10, 19] and got[0, 19, 11] and not got[0, 29, 10]
    assert not got[0, 0, 10] and got[0, 1, 10] and got[0, 29, 20] and not got[0, 30, 20]
    assert got[1, 20, 1] and not got[1, 20, 0] and got[1, 24, 6] and not got[1, 25, 6]


def test_features_of_two_models_are_refused() -> None:
    with pytest.raises(DragError, match="can't be compared"):
        matches(features(1), features(1, c=7), [(1.0, 1.0)], Grid(20, 20))


class Toy:
    """A backbone whose features are its latent and its level; it notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Tensor, float, tuple[FeatureTap, ...]]] = []

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: object = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        self.asked.append((z, t, taps))
        return [z**2 + t], None

    def predict(self, z: Tensor, t: float, kv: object = None) -> Tensor:
        raise AssertionError("DIFT predicts nothing")


def test_dift_is_the_mean_over_noises_at_its_level() -> None:
    z0, schedule, toy = torch.randn(1, 4, 6, 5), every_level(), Toy()
    got = dift(toy, z0, schedule, ensemble=3, seed=7)
    source = torch.Generator().manual_seed(7)
    i = schedule.t.index(261.0)
    assert schedule.alpha[i] ** 2 == pytest.approx(0.655669, abs=1e-6)
    want = [
        (schedule.alpha[i] * z0 + schedule.sigma[i] * torch.randn(z0.shape, generator=source)) ** 2 + 261
        for _ in range(3)
    ]
    assert torch.allclose(got, torch.stack(want).mean(0), atol=1e-4) and got.dtype == torch.float32
    assert [(t, taps) for _, t, taps in toy.asked] == [(261.0, (FeatureTap("up.1"),))] * 3
    assert torch.equal(got, dift(toy, z0, schedule, ensemble=3, seed=7))
    assert not torch.equal(got, dift(toy, z0, schedule, ensemble=3, seed=8))
    with pytest.raises(DragError, match="level 261.5"):
        dift(toy, z0, schedule, t=261.5)


def test_rules_see_their_picture_and_prompt() -> None:
    image = torch.rand(1, 3, 70, 90)
    assert seen_by(EMPTY, image).shape == (1, 3, 64, 88)
    assert torch.equal(seen_by(EMPTY, image), image[..., :64, :88])
    assert torch.equal(seen_by(EMPTY_768, image), F.interpolate(image, (768, 768)))
    with pytest.raises(DragError, match="90x63 and DIFT needs 64 px"):
        seen_by(EMPTY, image[..., :63, :])
    prompts: list[str] = []

    def bound(prompt: str) -> Toy:
        prompts.append(prompt)
        return Toy()

    def encode(picture: Tensor) -> Tensor:
        return F.avg_pool2d(picture, 8)

    look = looking(encode, bound, every_level(), seed=3)
    out = dift_features(image, look, (OWN, EMPTY, EMPTY_768), "a cat")
    assert prompts == ["a cat", "", ""] and [out[r].shape[-1] for r in (OWN, EMPTY, EMPTY_768)] == [
        11,
        11,
        96,
    ]
    prompts.clear()
    out = dift_features(image, look, (OWN, EMPTY), "")
    assert prompts == [""] and out[OWN] is out[EMPTY]

"""The released codes' faults, each alone; whole loops of theirs are in tests/golden."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from drag_core.features.supervise import NoSupervision, RegionSupervision
from drag_core.recipes.released import Cleaner, CoarseRegions, CountedBackground, Patience, Unpacked
from drag_core.recipes.released.dragnext import begins, coarse_matrix
from drag_core.trajectory.constrain import SoftBackground
from drag_core.trajectory.kvcache import KVPlain
from drag_core.trajectory.kvstore import KVStore
from drag_core.types import AffineMotion, Grid, KVCache, Region

IMAGE, GRID = Grid(64, 64), Grid(32, 32)


def region(shift: tuple[float, float], angle: float = 0.0) -> Region:
    mask = torch.zeros(64, 64)
    mask[10:30, 12:34] = 1
    return Region(mask, AffineMotion(shift, angle, anchor=(22.0, 20.0)))


@pytest.mark.parametrize(("progress", "times"), [(0.05, 0), (0.2, 1), (0.6, 2), (1.0, 2)])
def test_the_penalty_counts_once_for_every_region_that_moves(progress: float, times: int) -> None:
    """Ten cells to the side begin at a tenth, two at a half, less than one never."""
    since = tuple(begins(region((x, 0.0)), IMAGE, GRID) for x in (20.0, 4.0, 1.0))
    plain = SoftBackground(torch.zeros(1, 1, 2, 2), 0.2)
    z, ref = torch.full((1, 4, 2, 2), 0.3), torch.zeros(1, 4, 2, 2)
    got = CountedBackground(plain, since).beside(z).penalty(z, ref, progress)
    assert torch.allclose(got, times * plain.penalty(z, ref)) and plain.penalty(z, ref) > 0


def test_whole_cells_towards_zero_and_two_degrees() -> None:
    motion = AffineMotion((-9.0, 5.0))  # cells: -4.5, 2.5
    matrix, begun = coarse_matrix(motion, 1.0, True, IMAGE, GRID)
    assert matrix[:2, 2].tolist() == [-4.0, 2.0] and begun
    assert not coarse_matrix(motion, 0.2, True, IMAGE, GRID)[1]
    for moving, degrees in ((True, 10.0), (False, 9.2)):
        matrix, _ = coarse_matrix(AffineMotion(angle=torch.pi * 9.2 / 180), 1.0, moving, IMAGE, GRID)
        assert float(torch.rad2deg(torch.acos(matrix[0, 0]))) == pytest.approx(degrees, abs=1e-4)


@dataclass(frozen=True)
class Told(NoSupervision):
    """Tracking finds what the features say."""

    def init(self, reference: Any) -> Any:
        return torch.zeros(1, 2)

    def track(self, features: Any, reference: Any, state: Any) -> Any:
        return state + features[0], False


def test_patience_ends_after_still_trackings_in_a_row() -> None:
    """Any move starts the count anew; the first tracking of a later level counts neither way."""
    s, first, second = Patience(Told(), most=3), object(), object()
    moved, still = [torch.ones(1, 2)], [torch.zeros(1, 2)]
    state, said = s.init([]), list[bool]()
    for features, level in (
        *((still, first), (still, first), (moved, first), (still, first)),
        *((moved, second), (still, second), (still, second)),
    ):
        state, done = s.track(features, level, state)
        said.append(done)
    assert said == [False] * 6 + [True] and torch.equal(state.places, torch.full((1, 2), 2.0))


def kept(cache: KVCache) -> KVCache:
    for t in (0.8, 0.5, 0.2):
        cache.put(t, "a", torch.full((1, 2, 4), t), torch.full((1, 2, 4), -t), text=1)
    return cache


@pytest.mark.parametrize("cache", [kept(KVPlain()), kept(KVStore("pageable")).copy()])
def test_a_cleaner_view_reads_the_next_level_below(cache: KVCache) -> None:
    view = Cleaner(cache)
    for t, level in ((0.9, 0.8), (0.8, 0.5), (0.79, 0.5), (0.5, 0.2), (0.1, 0.2)):
        assert view.level(t, "a") == level
        k, v = view.get(t, "a", torch.zeros(1))
        assert k is not None and torch.equal(k, -v) and float(v[0, 0, 0]) == pytest.approx(-level)
    assert view.text("a") == 1 and view.with_keys
    with pytest.raises(KeyError, match="no K/V stored for block 'b'"):
        view.level(0.5, "b")


def test_a_small_network_compares_its_channels_whole_and_moves_as_coarsely() -> None:
    plain = RegionSupervision((region((9.0, 0.0)),), IMAGE, GRID)
    small = replace(plain, grid=Grid(16, 16), mean="region", equal_taps=True)
    assert Unpacked(plain).on_small(Grid(16, 16)) == plain.on_small(Grid(16, 16)) == small
    assert CoarseRegions(plain).on_small(Grid(16, 16)) == CoarseRegions(small)
    assert Unpacked(plain).moves_regions and not Patience(NoSupervision()).moves_regions


def test_equal_features_at_whole_cells_pull_nothing() -> None:
    then: Tensor = torch.randn(1, 8, 32, 32, generator=torch.Generator().manual_seed(0))
    now = then.roll((2, -4), (2, 3)).requires_grad_()
    s = CoarseRegions(RegionSupervision((region((-9.0, 5.0)),), IMAGE, GRID))
    loss = s.loss([now], s.plan([then], (1.0,)), None, 1.0)
    assert loss == 0 and torch.autograd.grad(loss, now)[0].abs().max() == 0
    assert s.loss([then], s.plan([then], (1.0,)), None, 1.0) > 0

"""Pasting and refilling latents before the first updates."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from drag_core.trajectory.start import InOrder, Paste, Refill
from drag_core.types import AffineMotion, Grid, Region, Trajectory
from tests.core.analytic import levels

IMAGE = Grid(128, 128)
CELLS = (slice(4, 7), slice(3, 6))  # the region's 3x3 latent cells
GOAL = (slice(6, 9), slice(8, 11))  # five to the right, two down
MASK = torch.zeros(128, 128)
MASK[32:56, 24:48] = 1
REGION = Region(MASK, AffineMotion(shift=(40.0, 16.0)))


def trajectory(seed: int) -> Trajectory:
    g = torch.Generator().manual_seed(seed)
    return Trajectory(levels(3, 0.9), tuple(torch.randn(1, 4, 16, 16, generator=g) for _ in range(4)))


def changed(a: Tensor, b: Tensor) -> Tensor:
    return (a != b).any(1)[0]


def marked(*places: tuple[slice, slice]) -> Tensor:
    out = torch.zeros(16, 16, dtype=torch.bool)
    for place in places:
        out[place] = True
    return out


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("fill", ["noise", "keep"])
def test_paste_moves_the_latent_by_whole_cells(fill: str, split: bool) -> None:
    source = trajectory(0)
    z = source.z[0].clone()
    out = Paste((REGION,), IMAGE, fill=fill, split=split)(z, source, 0)
    assert torch.allclose(out[(..., *GOAL)], source.z[0][(..., *CELLS)], atol=1e-5)
    assert torch.equal(changed(out, z), marked(GOAL, CELLS) if fill == "noise" else marked(GOAL))
    assert torch.equal(z, source.z[0])  # what came in is left alone


def test_paste_lasts_for_its_levels_and_takes_each_levels_own_latent() -> None:
    source, z = trajectory(0), torch.zeros(1, 4, 16, 16)
    paste = Paste((REGION,), IMAGE, levels=2)
    later = paste(z, source, 1)
    assert torch.allclose(later[(..., *GOAL)], source.z[1][(..., *CELLS)], atol=1e-5)
    assert torch.equal(changed(later, z), marked(GOAL))  # the vacated cells are filled once, at level 0
    assert paste(z, source, 2) is z


def test_paste_noise_is_seeded_and_has_the_levels_deviation() -> None:
    source = trajectory(0)
    big = replace(REGION, mask=torch.ones(128, 128), motion=AffineMotion(shift=(112.0, 0.0)))
    z = 3 * source.z[0]
    a, again, b = (Paste((big,), IMAGE, seed=seed)(z, source, 0) for seed in (1, 1, 2))
    assert torch.equal(a, again) and not torch.equal(a, b)
    fresh = a[..., :14]
    assert float(fresh.std()) == pytest.approx(3.0, rel=0.1) and float(fresh.mean()) == pytest.approx(
        0, abs=0.2
    )


def test_overlapping_source_and_goal_are_not_refilled() -> None:
    source = trajectory(0)
    near = replace(REGION, motion=AffineMotion(shift=(8.0, 0.0)))
    out = Paste((near,), IMAGE)(source.z[0], source, 0)
    assert torch.equal(out[..., 4:7, 4:7], source.z[0][..., 4:7, 3:6])
    assert torch.equal(changed(out, source.z[0]), marked((slice(4, 7), slice(3, 7))))


def test_a_cell_that_source_and_target_cover_by_half_keeps_the_pasted_latent() -> None:
    """The region's fourth column of cells is half its own. A cell down, two of those lie in both places."""
    source, mask = trajectory(0), torch.zeros(128, 128)
    mask[32:56, 24:52] = 1
    half = Region(mask, AffineMotion(shift=(0.0, 8.0)))
    out = Paste((half,), IMAGE)(source.z[0], source, 0)
    assert torch.equal(out[..., 5:8, 3:7], source.z[0][..., 4:7, 3:7])
    assert torch.equal(changed(out, source.z[0]), marked((slice(4, 8), slice(3, 7))))
    third = replace(half, mask=mask.roll(-1, 1) * mask)  # of which three columns are covered: by 3/8
    out = Paste((third,), IMAGE)(source.z[0], source, 0)
    assert torch.equal(out[..., 5:8, 3:6], source.z[0][..., 4:7, 3:6])
    assert (out[..., 4:8, 6] != source.z[0][..., 4:8, 6]).any(1).sum() == 3  # vacated, and not pasted


def test_split_paste_carries_the_clean_part_to_a_fraction_of_a_cell() -> None:
    """No noise at all: half a cell is a blend. Plain paste moves whole cells."""
    source = trajectory(0)
    clean = source.z[-1]
    still = replace(source, z=tuple(a * clean for a in source.schedule.alpha))
    half = replace(REGION, motion=AffineMotion(shift=(36.0, 16.0)))
    out = Paste((half,), IMAGE, fill="keep", split=True)(still.z[0], still, 0)
    want = source.schedule.alpha[0] * (clean[..., CELLS[0], 3:5] + clean[..., CELLS[0], 4:6]) / 2
    assert torch.allclose(out[..., GOAL[0], 8:10], want, atol=1e-5)


def test_split_paste_can_be_given_the_clean_part() -> None:
    """The clean latent of the warped picture takes the place of the moved one; the noise is still the
    source's.
    """
    source, warped = trajectory(0), torch.full((1, 4, 16, 16), 5.0)
    out = Paste((REGION,), IMAGE, fill="keep", split=True, warped=warped)(source.z[0], source, 0)
    noise = (source.z[0] - source.schedule.alpha[0] * source.z[-1])[(..., *CELLS)]
    assert torch.allclose(out[(..., *GOAL)], source.schedule.alpha[0] * 5 + noise, atol=1e-5)


def test_refill_takes_the_background_of_the_first_level() -> None:
    source, empty = trajectory(0), trajectory(1)
    area = torch.zeros(1, 1, 16, 16)
    area[(..., *CELLS)] = 1
    refill = Refill(empty, area)
    out = refill(source.z[0], source, 0)
    assert torch.equal(changed(out, source.z[0]), marked(CELLS))
    assert torch.equal(out[(..., *CELLS)], empty.z[0][(..., *CELLS)])
    assert refill(source.z[0], source, 1) is source.z[0]
    assert torch.equal(Refill(empty)(source.z[0], source, 0), empty.z[0])


def test_both_run_in_order() -> None:
    """Where source and goal overlap, the paste comes last and wins."""
    source, empty = trajectory(0), trajectory(1)
    near = replace(REGION, motion=AffineMotion(shift=(8.0, 0.0)))
    area = torch.zeros(1, 1, 16, 16)
    area[..., 4:7, 3:6] = 1
    out = InOrder(Refill(empty, area), Paste((near,), IMAGE, fill="keep"))(source.z[0], source, 0)
    assert torch.equal(out[..., 4:7, 4:7], source.z[0][..., 4:7, 3:6])
    assert torch.equal(out[..., 4:7, 3], empty.z[0][..., 4:7, 3])

"""Where a moved thing is and how it is turned: the centroid of what differs, and searches."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from drag_core.metrics.place import locate, residue_centroid, turned
from drag_core.metrics.report import measure
from drag_core.motion.geometry import motion_matrix, warp
from drag_core.types import AffineMotion, Grid, Region, Task
from tests.core.test_metrics import box, line, noise


def test_residue_centroid() -> None:
    empty = torch.full((3, 64, 80), 0.5)
    image = empty.clone()
    image[:, 10:20, 30:36] = 0.9
    image[:, 50:60, 30:36] = 0.9  # outside the area
    area = box(slice(0, 40), slice(0, 80))
    assert residue_centroid(image, empty, area) == pytest.approx((32.5, 14.5))
    assert all(math.isnan(v) for v in residue_centroid(empty, empty, area))


@settings(max_examples=20, deadline=None)
@given(st.integers(-12, 12), st.integers(-12, 12), st.integers(0, 1000))
def test_a_shifted_thing_is_found(dx: int, dy: int, seed: int) -> None:
    template, image = noise(seed), noise(seed + 5000)
    mask = box(slice(20, 34), slice(30, 50))
    mask[20:26, 30:38] = 0
    there = mask.roll((dy, dx), (0, 1)) > 0.5
    image[:, there] = template.roll((dy, dx), (1, 2))[:, there]
    found = locate(template, mask, image, 14)
    assert found is not None and found.offset == (dx, dy) and found.psnr > 60
    assert found.distance == pytest.approx(math.hypot(dx, dy))


def test_of_equal_places_the_nearest() -> None:
    flat, mask = torch.full((3, 64, 80), 0.4), box(slice(20, 34), slice(30, 50))
    found = locate(flat, mask, flat, 20)
    assert found is not None and found.offset == (0, 0) and found.psnr == 100


def test_the_search_ends_at_its_reach_and_at_the_border() -> None:
    template, mask = noise(3), box(slice(0, 14), slice(66, 80))  # in the top right corner
    image = template.roll((6, -6), (1, 2))
    near, far = locate(template, mask, image, 5), locate(template, mask, image, 6)
    assert near is not None and near.psnr < 15 and max(map(abs, near.offset)) <= 5
    assert far is not None and far.offset == (-6, 6) and far.psnr > 60
    assert locate(template, box(slice(0, 4), slice(0, 4)), image, 5) is None  # 16 pixels


def turned_box(degrees: float) -> tuple[Tensor, Tensor, Task]:
    """A picture with a striped box, the same with the box turned, and the drag that turns it by 40."""
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    plain = torch.full((3, 96, 96), 0.5)
    mask = torch.zeros(96, 96)
    mask[30:66, 24:72] = 1
    stripes = (0.5 + 0.4 * torch.sin(x / 3 + y / 9))[None].expand(3, -1, -1)
    before = torch.where(mask > 0.5, stripes, plain)

    def about(angle: float) -> AffineMotion:
        return AffineMotion(angle=math.radians(angle), anchor=(47.5, 47.5))

    after = warp(before[None], motion_matrix(about(degrees)), padding="border")[0]
    return before, after, Task(Grid(96, 96), (Region(mask, about(40.0)),))


@pytest.mark.parametrize(("made", "error"), [(40.0, 0.0), (37.0, 3.0), (44.5, 4.5), (0.0, 40.0)])
def test_angle_error(made: float, error: float) -> None:
    before, after, task = turned_box(made)
    truth = turned_box(40.0)[1]
    report = measure(before, after, task, truth)
    for key in ("angle_1", "reference_angle_1"):
        assert line(report, key).edited == pytest.approx(error, abs=0.26)
        assert line(report, key).no_edit == pytest.approx(40, abs=0.26)


def test_the_sign_of_a_turn_and_how_well_it_fits() -> None:
    """Positive turns +x towards +y; a shift of the whole is no turn."""
    before, after, task = turned_box(6.0)
    mask = task.regions[0].mask
    angle, fit = turned(before, mask, after, (0, 0), 15)
    assert angle == pytest.approx(6, abs=0.26) and fit > 25
    back, _ = turned(after, mask, before, (0, 0), 15)
    assert back == pytest.approx(-6, abs=0.26)
    shifted = torch.roll(before, (3, 5), (1, 2))
    assert turned(before, mask, shifted, (5, 3), 15)[0] == 0

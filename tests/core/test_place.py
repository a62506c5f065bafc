"""Where a moved thing is: the centroid of what differs, and a search."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from drag_core.metrics.place import locate, residue_centroid
from tests.core.test_metrics import box, noise


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

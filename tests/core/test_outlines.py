"""Polygons around a mask's parts are exact to the pixel."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from drag_core.bench.outlines import components, inner_pixel, mask_picture, outlines, part_at
from drag_core.motion.instruction import Shape
from drag_core.motion.masks import centroid
from drag_core.motion.task import draw
from drag_core.types import Grid
from tests.core.test_formats import SIZE, shape_of, two_boxes

masks = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(
    lambda size: st.lists(st.booleans(), min_size=size[0] * size[1], max_size=size[0] * size[1]).map(
        lambda bits: np.array(bits, np.uint8).reshape(size)
    )
)


@settings(max_examples=400, deadline=None)
@given(masks)
def test_outlines_draw_exactly_the_mask(mask: NDArray[np.uint8]) -> None:
    drawn = draw(shape_of(mask), Grid(*mask.shape))
    assert (drawn.numpy() == mask).all()
    assert all(len(p) >= 3 for p in outlines(mask))


def test_outlines_of_a_large_noisy_mask_take_bounded_time() -> None:
    mask = (np.random.default_rng(0).random((512, 512)) < 0.8).astype(np.uint8)
    start = time.process_time()
    polygons = outlines(mask)
    assert time.process_time() - start < 12
    assert (draw(Shape(tuple(tuple(map(tuple, p)) for p in polygons)), Grid(512, 512)).numpy() == mask).all()


def test_a_ring_with_a_dot_in_its_hole_is_exact() -> None:
    y, x = np.mgrid[:60, :80]
    far = np.hypot(x - 40, y - 30)
    mask = ((far < 25) & (far > 12) | (far < 4)).astype(np.uint8)
    assert (draw(shape_of(mask), SIZE).numpy() == mask).all()


@settings(max_examples=200, deadline=None)
@given(masks.filter(lambda m: bool(m.any())), st.floats(-5, 20), st.floats(-5, 20))
def test_the_part_at_a_point_contains_it_or_is_a_nearest(mask: NDArray[np.uint8], x: float, y: float) -> None:
    labels = components(mask)
    part = part_at(labels, (x, y))
    assert part.any() and (part <= mask).all() and len(np.unique(labels[part > 0])) == 1
    if 0 <= round(y) < mask.shape[0] and 0 <= round(x) < mask.shape[1] and mask[round(y), round(x)]:
        assert part[round(y), round(x)]
    centre = centroid(torch.from_numpy(part))
    ix, iy = inner_pixel(part, centre)
    assert part[iy, ix]


def test_specks_are_not_taken_for_the_nearest_part() -> None:
    mask = two_boxes() // 255
    mask[25, 25] = 1
    assert part_at(components(mask), (27, 25)).sum() in (121, 231)
    assert part_at(components(mask), (25, 25)).sum() == 1


PIXELS = [("L", 255), ("L", 1), ("L", 40), ("1", 1), ("RGB", (0, 255, 0)), ("RGBA", (255, 255, 255, 255))]


@pytest.mark.parametrize("mode, on", PIXELS)
def test_region_pictures_of_any_kind_are_read(tmp_path: Path, mode: str, on: Any) -> None:
    picture = Image.new(mode, (8, 6), (255, 255, 255, 0) if mode == "RGBA" else 0)
    picture.putpixel((3, 2), on)
    picture.save(tmp_path / "m.png")
    mask = mask_picture(tmp_path / "m.png")
    assert mask.sum() == 1 and mask[2, 3] == 1

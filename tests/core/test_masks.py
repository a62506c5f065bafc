"""Centroids, weights, the adaptive mask and the way to the latent grid, on masks small enough to draw."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from drag_core.motion.geometry import translation
from drag_core.motion.masks import (
    adaptive_mask,
    centroid,
    discs,
    edge_distance,
    enclosing_box,
    grow,
    moved,
    on_grid,
    region_weights,
)
from drag_core.types import AffineMotion, DragError, Grid, Region


def box(rows: slice, columns: slice, height: int = 32, width: int = 40) -> Tensor:
    mask = torch.zeros(height, width)
    mask[rows, columns] = 1
    return mask


def test_centroid() -> None:
    assert centroid(box(slice(4, 8), slice(10, 13))) == (11.0, 5.5)
    ring = box(slice(4, 11), slice(4, 11))
    ring[5:10, 5:10] = 0
    assert centroid(ring) == (7.0, 7.0) and ring[7, 7] == 0  # may lie outside the mask
    with pytest.raises(DragError, match="empty"):
        centroid(torch.zeros(3, 3))


@pytest.mark.parametrize(
    ("cells", "want"),
    [
        ((40,), (1.0,)),
        ((10, 10), (0.5, 0.5)),
        (
            (0, 100),
            (5.0 / (5.0 + 1 + 0.5 / 1.1), (1 + 0.5 / 1.1) / (6 + 0.5 / 1.1)),
        ),  # raw 1 + 0.5/0.1 = 6 is cut at 5
        ((15, 40), (3.0 / 5.0, 2.0 / 5.0)),
    ],
)
def test_region_weights(cells: tuple[int, ...], want: tuple[float, ...]) -> None:
    masks = [(torch.arange(100) < n).float().reshape(10, 10) for n in cells]
    assert region_weights(masks) == pytest.approx(want, rel=1e-6)
    assert sum(region_weights(masks)) == pytest.approx(1)


def test_moved() -> None:
    region = Region(box(slice(4, 8), slice(10, 13)), AffineMotion(shift=(6, -2)))
    assert torch.equal(moved(region), box(slice(2, 6), slice(16, 19)))
    assert torch.equal(moved(region, 0.5), box(slice(3, 7), slice(13, 16)))
    assert torch.equal(moved(region, 0.0), region.mask)
    off = Region(region.mask, AffineMotion(shift=(100, 0)))
    assert moved(off).sum() == 0
    turned = Region(region.mask, AffineMotion(angle=math.pi / 2, anchor=(11, 6)))
    assert moved(turned).sum() == 12 and moved(turned)[5:8, 10:14].sum() == 12


def test_enclosing_box() -> None:
    plain = box(slice(4, 8), slice(10, 13))
    assert torch.equal(enclosing_box(plain), plain)
    corners = torch.zeros(20, 20)
    corners[3, 4] = corners[12, 4] = corners[3, 15] = corners[12, 15] = 1
    assert torch.equal(enclosing_box(corners), box(slice(3, 13), slice(4, 16), 20, 20))
    diamond = discs([(10.0, 10.0)], 0.5, Grid(21, 21))
    for x, y in ((10, 2), (18, 10), (10, 18), (2, 10)):
        diamond[y, x] = 1
    filled = enclosing_box(diamond)
    assert filled[10].sum() == 17 and filled[3, 3] == 0  # a box on its tip, not the upright one
    assert enclosing_box(torch.zeros(5, 5)).sum() == 0


def test_adaptive_mask_is_the_union_of_each_regions_box() -> None:
    a = Region(box(slice(4, 8), slice(4, 8)), translation((0, 0), (10, 0)))
    b = Region(box(slice(20, 26), slice(30, 36)), AffineMotion())
    want = torch.maximum(box(slice(4, 8), slice(4, 18)), b.mask)
    assert torch.equal(adaptive_mask([a, b]), want)


@pytest.mark.parametrize("angle", [0.3, 1.0, 2.5])
def test_adaptive_mask_holds_every_pixel_of_source_and_goal(angle: float) -> None:
    """fillConvexPoly rounds its corners: the box alone would lose pixels of a tilted region."""
    region = Region(box(slice(10, 15), slice(8, 22)), AffineMotion(angle=angle, anchor=(15, 15)))
    mask = adaptive_mask([region])
    assert (mask >= region.mask).all() and (mask >= moved(region)).all()
    assert set(mask.unique().tolist()) == {0.0, 1.0}


def test_grow() -> None:
    dot = box(slice(10, 11), slice(10, 11))
    assert grow(dot, 0) is dot
    assert torch.equal(grow(dot, 1), discs([(10.0, 10.0)], 1, Grid(32, 40)))
    grown = grow(dot, 3)
    assert grown[10, 7:14].sum() == 7 and grown[10, 6] == 0 and grown[7, 7] == 0  # a disc, not a square


def test_discs() -> None:
    mask = discs([(3.0, 4.0), (9.5, 4.0)], 1.5, Grid(9, 12))
    assert mask[4].tolist() == [0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1]
    assert mask[3, 2] == 1 and mask[2].sum() == 0
    assert discs([], 3, Grid(4, 4)).sum() == 0


def test_edge_distance() -> None:
    d = edge_distance(box(slice(0, 32), slice(0, 10)))
    assert d[16, :11].tolist() == pytest.approx([10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0], abs=0.05)
    assert d[0, 3] == pytest.approx(float(d[16, 3]), abs=0.05)  # the picture's border is no edge


def test_on_grid() -> None:
    mask = box(slice(0, 8), slice(0, 12), 16, 24)
    share = on_grid(mask, Grid(2, 3))
    assert share.shape == (1, 1, 2, 3)
    assert share[0, 0].tolist() == [[1, 0.5, 0], [0, 0, 0]]
    assert on_grid(mask, Grid(2, 3), 0.5)[0, 0].tolist() == [
        [1, 0, 0],
        [0, 0, 0],
    ]  # above, not at, the threshold
    assert on_grid(mask, Grid(2, 3), 0.4)[0, 0].tolist() == [[1, 1, 0], [0, 0, 0]]

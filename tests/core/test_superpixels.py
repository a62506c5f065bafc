"""Super-pixels and the automatic mask on pictures whose parts are known, the conversions between points
and regions.
"""

from __future__ import annotations

import sys

import pytest
import torch

from drag_core.motion.exchange import (
    boundary_points,
    centroid_pair,
    handles_of,
    regions_of,
    with_points,
    with_regions,
)
from drag_core.motion.superpixels import (
    around,
    auto_mask,
    lab,
    patch_at,
    shifted,
    superpixels,
    swept,
)
from drag_core.recipes.released.adaptivedrag import forward_patch
from drag_core.types import AffineMotion, DragError, Grid, Handle, Region, Task

SIZE = Grid(96, 128)
THING = torch.zeros(96, 128)
THING[30:60, 40:70] = 1
PICTURE = torch.stack([0.2 + 0.6 * THING, 0.3 + 0 * THING, 0.7 - 0.5 * THING])[None]


def test_patches_follow_the_edges() -> None:
    """No super-pixel of a two-coloured picture has pixels of both colours (but for the edge's own row)."""
    labels = superpixels(lab(PICTURE), SIZE, 60)
    assert labels.shape == (96, 128) and labels.min() == 0 and 20 < labels.max() < 120
    mixed = sum(
        min(int(THING[labels == k].sum()), int((1 - THING)[labels == k].sum())) for k in labels.unique()
    )
    assert mixed < 40
    assert torch.equal(labels, superpixels(lab(PICTURE), SIZE, 60))


def test_a_features_map_of_any_width_and_size_gives_labels_of_the_picture() -> None:
    maps = torch.randn(1, 40, 12, 16, generator=torch.Generator().manual_seed(0))
    maps[0, :20, :, 8:] += 6
    labels = superpixels(maps, Grid(600, 800), 30)
    left, right = set(labels[:, :350].unique().tolist()), set(labels[:, 450:].unique().tolist())
    assert labels.shape == (600, 800) and not left & right
    with pytest.raises(DragError, match="not finite"):
        superpixels(maps * float("nan"), SIZE)
    assert superpixels(torch.zeros(1, 3, 8, 8), Grid(8, 8), 200).unique().numel() >= 1  # a plain picture


def test_a_small_picture_has_at_most_a_patch_for_four_pixels() -> None:
    plain, size = torch.zeros(1, 3, 8, 8), Grid(8, 8)
    labels = superpixels(plain, size, 200)
    assert torch.equal(labels, superpixels(plain, size, 16)) and 8 < labels.unique().numel() <= 16


@pytest.mark.parametrize(("columns", "cells"), [(4, 8), (3, 4)])
def test_a_patch_ahead_counts_from_a_quarter_of_an_average_one(columns: int, cells: int) -> None:
    """64 cells and two patches: 8 are a quarter of one. Of fewer the half disc is taken: a cell and those
    beside, above and below it.
    """
    labels = torch.zeros(8, 8, dtype=torch.long)
    labels[4:6, 2 : 2 + columns] = 1
    found = forward_patch(labels, Grid(8, 8), (2.0, 4.0), (7.0, 4.0), radius=1, count=2)
    assert int(found.sum()) == cells and found[4, 2:4].all()
    assert torch.equal(found, labels == 1) is (columns == 4)


def test_without_scikit_image_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(DragError, match="scikit-image and it is not installed: run"):
        superpixels(lab(PICTURE), SIZE)


def test_patches_alike_join_to_the_thing() -> None:
    colour = lab(PICTURE)
    labels = superpixels(colour, SIZE, 60)
    one, whole = patch_at(labels, (55, 45)), *around([(55, 45)], labels=labels, features=colour, likeness=0.5)
    assert one.sum() < 0.5 * THING.sum()
    assert (whole * THING).sum() > 0.95 * THING.sum() and whole.sum() < 1.1 * THING.sum()
    assert torch.equal(around([(55, 45)], labels=labels, features=colour, likeness=0.0)[0], one)
    assert torch.equal(patch_at(labels, (-9, 500)), patch_at(labels, (0, 95)))


def test_swept_by_hand() -> None:
    dot = torch.zeros(5, 6)
    dot[2, 1] = 1
    line = swept(dot, (1, 2), (4, 2))
    assert line.sum() == 4 and line[2, 1:5].sum() == 4
    assert swept(dot, (1, 2), (1, 2)).equal(dot)
    assert swept(dot, (1, 2), (9, 2))[2, 1:].sum() == 5  # off the picture
    assert shifted(dot, -7, 0).sum() == 0 and shifted(dot, 1, -2)[0, 2] == 1


def test_the_mask_holds_the_thing_and_its_way() -> None:
    colour = lab(PICTURE)
    labels = superpixels(colour, SIZE, 60)
    mask = auto_mask([((55, 45), (95, 45))], labels=labels, features=colour, likeness=0.5, margin=2)
    arrived = shifted(THING, 40, 0)
    assert (mask * THING).sum() > 0.95 * THING.sum() and (mask * arrived).sum() > 0.95 * arrived.sum()
    assert mask[:, :20].sum() == 0 and mask[80:].sum() == 0
    with pytest.raises(DragError, match="there is none: set a point pair"):
        auto_mask([], labels=labels, features=colour)


@pytest.mark.parametrize(("target", "stripes"), [((29.0, 6.0), 3), ((20.0, 6.0), 3), ((19.0, 6.0), 2)])
def test_a_patch_that_the_line_touches_is_in_the_mask_whole(
    target: tuple[float, float], stripes: int
) -> None:
    """Three upright stripes of 10 px and a handle on a patch of one pixel, whose sweep is one row: every
    stripe from the line's start to its very end is in, and the next is not.
    """
    labels = torch.arange(30).div(10, rounding_mode="floor").repeat(12, 1)
    labels[6, 2] = 3
    mask = auto_mask([((2.0, 6.0), target)], labels=labels, features=torch.zeros(1, 3, 12, 30))
    assert mask[:, : 10 * stripes].all() and mask[:, 10 * stripes :].sum() == 0


def test_points_of_a_region() -> None:
    region = Region(THING, AffineMotion(shift=(10.0, -5.0)))
    pair = centroid_pair(region)
    assert pair.start == (54.5, 44.5) and pair.target == (64.5, 39.5)
    handles = handles_of(region, 8)
    assert len(handles) == 9 and all(THING[int(h.start[1]), int(h.start[0])] == 1 for h in handles)
    assert all(h.target == (h.start[0] + 10, h.start[1] - 5) for h in handles)
    spread = torch.tensor([h.start for h in handles[1:]])
    assert (spread.amax(0) - spread.amin(0) >= 18).all()  # around it, drawn in


def test_boundary_points_lie_in_by_a_part_of_the_depth() -> None:
    """A square of 21 pixels is 11 deep; the outermost at least 0.3 · 11 deep are the fourth row."""
    mask = torch.zeros(41, 41)
    mask[10:31, 10:31] = 1
    found = boundary_points(mask, 8)
    assert len(found) == 8 and all(max(abs(x - 20), abs(y - 20)) == 7 for x, y in found)


@pytest.mark.parametrize("shape", ["ring", "pixel"])
def test_points_of_odd_regions_lie_on_them(shape: str) -> None:
    mask = torch.zeros(64, 64)
    if shape == "ring":
        y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
        r = ((x - 32) ** 2 + (y - 32) ** 2).float().sqrt()
        mask = ((r > 15) & (r < 22)).float()
    else:
        mask[20, 30] = 1
    handles = handles_of(Region(mask, AffineMotion(shift=(4.0, 0.0))), 6)
    assert len(handles) == (7 if shape == "ring" else 2)
    assert all(mask[round(h.start[1]), round(h.start[0])] == 1 for h in handles)
    assert boundary_points(torch.zeros(8, 8), 4) == ()


def test_regions_of_points_and_back() -> None:
    labels = superpixels(lab(PICTURE), SIZE, 60)
    a, b = Handle((50, 40), (60, 40)), Handle((51, 40), (61, 40))
    regions = regions_of([a, b, Handle((100, 80), (100, 70))], labels)
    assert len(regions) == 2  # a and b pull the same patch the same way
    assert torch.equal(regions[0].mask, patch_at(labels, (50, 40))) and regions[0].motion.shift == (10, 0)
    assert sum(r.weight for r in regions) == pytest.approx(1)
    own = torch.zeros(96, 128)
    own[0, 0] = 1
    assert torch.equal(regions_of([Handle((0, 0), (5, 5), own)], labels)[0].mask, own)
    task = with_regions(Task(SIZE, handles=(a,)), labels)
    assert len(task.regions) == 1 and with_regions(task, labels) is task
    assert len(with_points(task, 4).handles) == 5

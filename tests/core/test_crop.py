"""Cropping scales x and y alike and keeps every motion; pasting back keeps every other pixel's bits."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from drag_core.motion.geometry import apply, motion_matrix, stops, to_grid
from drag_core.motion.masks import centroid, moved, region_weights
from drag_core.motion.task import weighted
from drag_core.pictures.crop import Crop, choose_crop, cut, framed, notes_of, task_in, to_crop
from drag_core.pictures.paste import paste_back, put_back
from drag_core.types import AffineMotion, DragError, Grid, Handle, Region, Task

QUICK = settings(max_examples=60, deadline=None, derandomize=True)


def box(size: Grid, x0: int, y0: int, x1: int, y1: int) -> Tensor:
    """The pixels x0..x1, y0..y1, ends included."""
    out = torch.zeros(size.height, size.width)
    out[y0 : y1 + 1, x0 : x1 + 1] = 1
    return out


def allowed(size: Grid, x0: int, y0: int, x1: int, y1: int) -> Task:
    """A task of which only the place where it may change matters."""
    return Task(size, editable=box(size, x0, y0, x1, y1))


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    """One turned, stretched and shifted box in a picture of any size from 40 to 200."""
    size = Grid(draw(st.integers(40, 200)), draw(st.integers(40, 200)))
    x, y = draw(st.integers(0, size.width - 9)), draw(st.integers(0, size.height - 9))
    w = draw(st.integers(2, min(60, size.width - 1 - x)))
    h = draw(st.integers(2, min(60, size.height - 1 - y)))
    mask = box(size, x, y, x + w, y + h)
    shift = (draw(st.floats(-30, 30)), draw(st.floats(-30, 30)))
    scale = (draw(st.floats(0.5, 2)), draw(st.floats(0.5, 2)))
    anchor = (draw(st.floats(-50, 250)), draw(st.floats(-50, 250)))
    path = tuple(draw(st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30)), max_size=2)))
    region = Region(mask, AffineMotion(shift, draw(st.floats(-3, 3)), scale, anchor, path))
    handle = Handle((float(x), float(y)), (float(x + w), float(y + h)), mask)
    editable = draw(st.sampled_from([None, mask, torch.maximum(mask, moved(region))]))
    return Task(size, (region,), (handle,), editable)


sides = st.sampled_from([0, 64, 200, 512])
margins = st.sampled_from([0.0, 25.0, 200.0])
multiples = st.sampled_from([1, 8, 16, 32])


@QUICK
@given(tasks(), sides, margins, multiples)
def test_the_crop_holds_the_drag_and_scales_uniformly(
    task: Task, side: int, margin: float, multiple: int
) -> None:
    crop = choose_crop(task, side, margin, multiple)
    assert crop.width * crop.size.height == crop.height * crop.size.width  # whole numbers: exactly uniform
    assert crop.size.width % multiple == crop.size.height % multiple == 0
    if side == 0:
        assert crop.size == Grid(crop.height, crop.width)
    held = torch.zeros(task.image.height, task.image.width)
    held[max(crop.y, 0) : crop.y + crop.height, max(crop.x, 0) : crop.x + crop.width] = 1
    (region,) = task.regions
    for mask in (region.mask, *(moved(region, s) for s in stops(region.motion)), task.editable):
        assert (held >= (torch.ones_like(held) if mask is None else mask)).all()
    # past the picture on an axis only where the crop covers that axis whole
    for first, length, whole in (
        (crop.x, crop.width, task.image.width),
        (crop.y, crop.height, task.image.height),
    ):
        inside = first >= 0 and first + length <= whole
        assert inside or (first <= 0 and first + length >= whole)
    small = cut(torch.rand(1, 3, task.image.height, task.image.width), crop)
    assert small.shape == (1, 3, crop.size.height, crop.size.width)


@QUICK
@given(tasks(), sides, st.floats(-20, 220), st.floats(-20, 220))
def test_a_point_goes_there_and_back(task: Task, side: int, x: float, y: float) -> None:
    crop = choose_crop(task, side)
    there = apply(to_crop(crop), (x, y))
    assert apply(torch.linalg.inv(to_crop(crop)), there) == pytest.approx((x, y), abs=1e-9)
    # the convention of every resize: cut off, then pixel centres from one grid to the other
    resize = to_grid(Grid(crop.height, crop.width), crop.size)
    assert there == pytest.approx(apply(resize, (x - crop.x, y - crop.y)), abs=1e-9)


@QUICK
@given(tasks(), sides, st.floats(0, 1), st.floats(-20, 220), st.floats(-20, 220))
def test_a_motion_is_the_same_in_the_crop(task: Task, side: int, progress: float, x: float, y: float) -> None:
    crop = choose_crop(task, side)
    inner, there = task_in(task, crop), to_crop(crop)
    carried = apply(motion_matrix(task.regions[0].motion, progress), (x, y))
    in_crop = apply(motion_matrix(inner.regions[0].motion, progress), apply(there, (x, y)))
    assert in_crop == pytest.approx(apply(there, carried), abs=1e-6)
    handle, own = inner.handles[0], task.handles[0]
    assert handle.start == pytest.approx(apply(there, own.start))
    assert handle.target == pytest.approx(apply(there, own.target))
    assert inner.image == crop.size and (inner.editable is None) == (task.editable is None)


@QUICK
@given(tasks(), st.sampled_from([200, 512]))
def test_masks_are_the_same_shapes_in_the_crop(task: Task, side: int) -> None:
    crop = choose_crop(task, side)
    inner = task_in(task, crop)
    source, mask = task.regions[0].mask, inner.regions[0].mask
    assert mask.shape == (crop.size.height, crop.size.width) and set(mask.unique().tolist()) <= {0.0, 1.0}
    # straight sides move by half a pixel of the coarser of the two at most
    cell = max(crop.scale, 1.0)
    assert math.dist(centroid(mask), apply(to_crop(crop), centroid(source))) <= cell
    x, y = (torch.nonzero(source.any(d))[:, 0] for d in (0, 1))
    tall, wide = len(y) * crop.scale, len(x) * crop.scale
    assert abs(float(mask.sum()) - tall * wide) <= 2 * cell * (tall + wide) + 4


def test_by_hand() -> None:
    # 40..59 x 40..49 with a margin of 100 percent of the mean side, 15: 25..74 x 25..64, at least 64 pixels
    crop = choose_crop(allowed(Grid(200, 200), 40, 40, 59, 49), side=128, margin=100)
    assert crop == Crop(18, 13, 64, 64, Grid(128, 128), Grid(200, 200)) and crop.scale == 2
    # the crop's first pixel, (18, 13), covers the new pixels 0 and 1: its centre lies between them
    assert apply(to_crop(crop), (18, 13)) == (0.5, 0.5)
    assert not crop.reaches_past


def test_a_crop_that_needs_no_resizing_is_cut_bit_for_bit() -> None:
    image = torch.rand(1, 3, 100, 120)
    crop = choose_crop(allowed(Grid(100, 120), 40, 30, 79, 69), side=0, margin=20)
    assert (crop.width, crop.height) == (64, 64)
    assert torch.equal(cut(image, crop), image[..., crop.y : crop.y + 64, crop.x : crop.x + 64])


def test_everything_editable_takes_the_whole_picture() -> None:
    crop = choose_crop(Task(Grid(512, 512)), side=512)
    assert crop == Crop(0, 0, 512, 512, Grid(512, 512), Grid(512, 512))
    crop = choose_crop(Task(Grid(3000, 4000)), side=512)
    assert (crop.x, crop.y, crop.width, crop.height) == (0, 0, 4000, 3000)
    assert (
        crop.size.width * 3 == crop.size.height * 4
        and abs(math.log(crop.size.width**2 * 0.75 / 512**2)) < 0.15
    )


def test_a_picture_of_odd_sides_gets_its_border_repeated() -> None:
    image = torch.rand(1, 3, 767, 513)
    crop = choose_crop(Task(Grid(767, 513)), side=0)
    assert (crop.width, crop.height) == (528, 768) and crop.reaches_past
    out = cut(image, crop)
    assert torch.equal(out[..., -crop.y : -crop.y + 767, -crop.x : -crop.x + 513], image)
    assert torch.equal(out[0, :, 5, 0], image[0, :, 5 + crop.y, 0])
    crop = choose_crop(Task(Grid(767, 513)), side=512)
    past = crop.width * crop.height / (767 * 513) - 1
    assert crop.reaches_past and past < 0.03
    assert "its border is repeated" in notes_of(crop)[1]


def test_at_the_border_the_crop_stays_inside() -> None:
    for x0, y0, x1, y1 in ((0, 0, 9, 9), (190, 0, 199, 9), (0, 90, 9, 99), (190, 90, 199, 99)):
        crop = choose_crop(allowed(Grid(100, 200), x0, y0, x1, y1), side=256)
        assert not crop.reaches_past and (crop.width, crop.height) == (64, 64)


def test_handles_count() -> None:
    size = Grid(200, 200)
    task = Task(size, handles=(Handle((20, 30), (150, 170)),), editable=box(size, 80, 80, 90, 90))
    crop = choose_crop(task, side=128, margin=0)
    assert crop.x <= 20 and crop.y <= 30 and crop.x + crop.width > 150 and crop.y + crop.height > 170


def test_weights_are_those_of_the_crop() -> None:
    size = Grid(400, 400)
    motion = AffineMotion(angle=0.3, anchor=(60, 60))
    drawn = [Region(box(size, 40, 40, 59, 59), motion), Region(box(size, 70, 40, 139, 109), motion)]
    editable = box(size, 20, 20, 160, 160)
    inner = task_in(*_with_crop(Task(size, weighted(drawn, (3.0, 1.0)), (), editable)))
    gamma = region_weights([r.mask for r in inner.regions])
    assert [r.weight for r in inner.regions] == pytest.approx([3 * gamma[0], gamma[1]])


def _with_crop(task: Task) -> tuple[Task, Crop]:
    return task, choose_crop(task, side=256)


def test_a_thin_mask_survives_shrinking() -> None:
    size = Grid(1000, 1000)
    line = box(size, 0, 500, 999, 500)
    region = Region(line, AffineMotion(angle=0.5, anchor=(500, 500)))
    crop = choose_crop(Task(size, (region,)), side=128)
    assert crop.scale < 0.2
    mask = task_in(Task(size, (region,)), crop).regions[0].mask
    assert mask.any(0).all() and mask.sum() <= 2 * crop.size.width


def test_bad_numbers_are_refused() -> None:
    task = allowed(Grid(100, 12), 2, 2, 9, 9)
    with pytest.raises(
        DragError, match="the picture is 12x100 px and the crop's sides must be multiples of 16"
    ):
        choose_crop(task)
    with pytest.raises(DragError, match="side is 4 px; it must be 0"):
        choose_crop(task, side=4, multiple=8)
    with pytest.raises(DragError, match="margin is -1 percent"):
        choose_crop(task, margin=-1, multiple=8)
    with pytest.raises(DragError, match="nothing to cut out"):
        choose_crop(Task(Grid(100, 100), editable=torch.zeros(100, 100)))
    crop = choose_crop(task, multiple=4)
    with pytest.raises(DragError, match="the picture is 50x50 and the regions are drawn on 12x100"):
        cut(torch.rand(1, 3, 50, 50), crop)


def test_the_rectangle_is_drawn() -> None:
    image = torch.full((3, 100, 100), 0.5)
    out = framed(image, Crop(20, 30, 40, 50, Grid(50, 40), Grid(100, 100)))
    assert (image == 0.5).all() and (out[:, 50, 40] == 0.5).all()
    for x, y in ((20, 30), (59, 79), (40, 30), (20, 50)):
        assert out[:, y, x].tolist() == pytest.approx([1.0, 0.6, 0.1])


def test_shrinking_a_lot_is_said() -> None:
    size = Grid(2000, 2000)
    assert len(notes_of(choose_crop(Task(size), side=512))) == 2
    assert len(notes_of(choose_crop(Task(size), side=1024))) == 1


@QUICK
@given(tasks(), sides, st.sampled_from([0.0, 1.0, 6.0, 40.0]), st.sampled_from([1, 2, 3]))
def test_outside_the_mask_every_bit_stays(task: Task, side: int, seam: float, upscaled: int) -> None:
    crop = choose_crop(task, side)
    original = torch.rand(1, 3, task.image.height, task.image.width) * 1.5 - 0.2  # also out of range
    edited = torch.rand(1, 3, crop.size.height * upscaled, crop.size.width * upscaled)
    before = original.clone()
    out = paste_back(original, edited, task.editable, crop, seam)
    assert torch.equal(original, before) and out.shape == original.shape
    editable = torch.ones_like(original[0, 0]) if task.editable is None else task.editable
    assert torch.equal(out[..., editable < 0.5], original[..., editable < 0.5])
    assert (out != original)[..., editable > 0.5].float().mean() > 0.9


def test_an_unchanged_crop_changes_nothing() -> None:
    size = Grid(100, 120)
    image = torch.rand(1, 3, 100, 120)
    task = allowed(size, 40, 30, 79, 69)
    crop = choose_crop(task, side=0)
    assert (paste_back(image, cut(image, crop), task.editable, crop) - image).abs().max() <= 1e-6
    odd = replace(task, editable=None)
    crop = choose_crop(odd, side=0)
    assert crop.reaches_past
    assert torch.equal(paste_back(image, cut(image, crop), None, crop), image)


def test_a_smooth_picture_comes_back_through_a_resized_crop() -> None:
    y, x = torch.meshgrid(torch.arange(100) / 99, torch.arange(120) / 119, indexing="ij")
    image = torch.stack([x, y, x * y])[None]
    task = allowed(Grid(100, 120), 35, 30, 84, 74)
    for side in (64, 256):
        crop = choose_crop(task, side=side, margin=50)
        assert crop.scale != 1
        out = paste_back(image, cut(image, crop), task.editable, crop, seam=0)
        assert (out - image).abs().max() < 2e-3  # half a pixel's offset would be 4e-3


def test_the_seam_fades_in_by_hand() -> None:
    image, edited = torch.zeros(1, 3, 9, 20), torch.ones(1, 3, 9, 20)
    editable = torch.zeros(9, 20)
    editable[:, 5:] = 1  # the picture's own border is no edge
    row = put_back(image, edited=edited, editable=editable, seam=4)[0, 0, 4]
    assert row.tolist() == pytest.approx([0] * 5 + [0.25, 0.5, 0.75] + [1] * 12)
    assert put_back(image, edited=edited, editable=editable, seam=0)[0, 0, 4].tolist() == [0] * 5 + [1] * 15


def test_a_broken_edit_stays_inside_the_mask() -> None:
    image, editable = torch.rand(1, 3, 60, 80), box(Grid(60, 80), 10, 10, 30, 30)
    out = put_back(image, edited=torch.full_like(image, math.nan), editable=editable)
    assert torch.equal(out[..., editable == 0], image[..., editable == 0])


def test_what_the_crop_does_not_hold_stays() -> None:
    task = allowed(Grid(100, 120), 40, 30, 79, 69)
    crop = choose_crop(task, side=64)
    image = torch.rand(1, 3, 100, 120) + 1  # out of range: nothing may be clamped
    out = paste_back(image, torch.zeros(1, 3, 64, 64), torch.ones(100, 120), crop, seam=0)
    held = box(Grid(100, 120), crop.x, crop.y, crop.x + crop.width - 1, crop.y + crop.height - 1)
    assert torch.equal(out[..., held == 0], image[..., held == 0]) and (out[..., held == 1] == 0).all()


def test_without_a_crop_the_edit_covers_the_whole() -> None:
    image = torch.rand(1, 3, 60, 80)
    editable = box(Grid(60, 80), 10, 10, 30, 30)
    out = paste_back(image, torch.ones(1, 3, 120, 160), editable, seam=0)
    assert (out[..., 10:31, 10:31] == 1).all()
    assert torch.equal(paste_back(image, torch.ones(1, 3, 60, 80), None), torch.ones(1, 3, 60, 80))
    with pytest.raises(DragError, match="80x80, which is not the shape of the original"):
        paste_back(image, torch.ones(1, 3, 80, 80), editable)


def test_sizes_that_do_not_belong_together_are_refused() -> None:
    task = allowed(Grid(100, 120), 40, 30, 79, 69)
    crop = choose_crop(task, side=128)
    image = torch.rand(1, 3, 100, 120)
    edited = torch.rand(1, 3, crop.size.height, crop.size.width)
    with pytest.raises(DragError, match="cut from a picture of 120x100 and the original is 64x64"):
        paste_back(image[..., :64, :64], edited, task.editable, crop)
    with pytest.raises(DragError, match="connect the regions of the original"):
        paste_back(image, edited, task_in(task, crop).editable, crop)
    with pytest.raises(DragError, match="which is not the shape of the crop"):
        paste_back(image, torch.rand(1, 3, crop.size.height, 3 * crop.size.width), task.editable, crop)
    # an upscaler may round a side by a pixel
    paste_back(image, torch.rand(1, 3, crop.size.height * 2 + 1, crop.size.width * 2), task.editable, crop)

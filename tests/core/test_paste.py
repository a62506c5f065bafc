"""Pasting back keeps every other pixel's bits."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from drag_core.pictures.crop import choose_crop, cut, task_in
from drag_core.pictures.paste import kept, paste_back, put_back, soft
from drag_core.types import DragError, Grid, Task
from tests.core.test_crop import QUICK, allowed, box, sides, tasks


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


def test_a_draft_is_kept_but_where_cells_are_redrawn() -> None:
    """Cells of 8 px: the model's from the middle of a cell on, the draft's bits from half a cell outside."""
    draft, drawn = torch.rand(1, 3, 40, 48) * 1.5 - 0.2, torch.rand(1, 3, 40, 48)
    cells = torch.zeros(1, 1, 5, 6)
    cells[..., 1:4, 2:4] = 1
    out, share = kept(draft, drawn, cells), soft(cells, Grid(40, 48))
    assert share[0, 0, 20].tolist()[12:20] == [(k + 0.5) / 8 for k in range(8)]  # from centre to centre
    assert torch.equal(out[..., 12:28, 20:28], drawn[..., 12:28, 20:28])
    outside = torch.ones(40, 48, dtype=torch.bool)
    outside[4:36, 12:36] = False
    assert torch.equal(out[..., outside], draft[..., outside]) and not (out == draft)[..., ~outside].all()
    wanted = draft * (1 - share) + drawn * share
    assert torch.allclose(out, wanted, atol=1e-7)
    assert torch.equal(kept(draft, drawn, cells * 0), draft)
    assert torch.equal(kept(draft, drawn, cells * 0 + 1), drawn)
    with pytest.raises(DragError, match="the draft is 48x40 and what was drawn 40x40"):
        kept(draft, drawn[..., :40], cells)

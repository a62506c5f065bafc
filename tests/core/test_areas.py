"""What of a task's latent is redrawn, and the masks for samplers that draw it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from drag_core.motion.areas import core, fill_mask, grey_mask, hole, marked, strength_map
from drag_core.types import AffineMotion, DragError, Grid, Handle, Region, Task

SQUARE = torch.zeros(128, 128)
SQUARE[32:64, 32:64] = 1  # 4x4 cells


def cells(ys: slice, xs: slice) -> Tensor:
    out = torch.zeros(1, 1, 16, 16)
    out[..., ys, xs] = 1
    return out


def task(shift: tuple[float, float] = (48.0, 0.0), editable: Tensor | None = None) -> Task:
    return Task(Grid(128, 128), (Region(SQUARE, AffineMotion(shift=shift)),), editable=editable)


RIMMED = (cells(slice(3, 9), slice(4, 8)) + cells(slice(4, 8), slice(3, 9))).clamp(max=1)
WHOLE = slice(0, 16)


def test_the_hole_is_what_a_region_leaves_five_pixels_wider() -> None:
    """5 px of 8 cover a rim of cells by more than three tenths; at corners a quarter of a disc does not."""
    assert torch.equal(hole(task()), RIMMED)


def test_no_cell_where_the_region_arrives_nor_outside_what_may_change() -> None:
    there = cells(slice(4, 8), slice(6, 10))
    assert torch.equal(hole(task((16.0, 0.0))), RIMMED * (1 - there))
    assert torch.equal(core(task((16.0, 0.0))), there)
    may = torch.zeros(128, 128)
    may[:, 40:] = 1
    assert torch.equal(hole(task(editable=may)), RIMMED * cells(WHOLE, slice(5, 16)))
    assert hole(task((0.0, 0.0))).sum() == 16  # a region that stays leaves its rim alone
    away = task((500.0, 0.0))
    assert core(away).sum() == 0 and torch.equal(hole(away), RIMMED)  # off the picture: all of it is hole


def test_what_one_region_leaves_another_may_fill() -> None:
    other = Region(SQUARE.roll(48, 1), AffineMotion(shift=(-48.0, 0.0)))
    one = task().regions[0]
    swapped = Task(Grid(128, 128), (one, other))
    assert not (hole(swapped) * core(swapped)).any()
    assert torch.equal(core(swapped), core(Task(Grid(128, 128), (other, one))))
    assert torch.equal(core(swapped), torch.maximum(core(task()), cells(slice(4, 8), slice(4, 8))))


def test_a_strength_map() -> None:
    may = torch.zeros(128, 128)
    may[16:96] = 1
    drag = task(editable=may)
    found = strength_map(drag, of_core=0.5, of_rest=0.25)
    there = cells(slice(4, 8), slice(10, 14))
    rest = cells(slice(2, 12), WHOLE) * (1 - RIMMED) * (1 - there)
    assert torch.equal(found, RIMMED + 0.5 * there + 0.25 * rest)
    assert torch.equal(strength_map(drag), RIMMED)
    with pytest.raises(DragError, match="the core's strength is 1.2; it must be within 0 and 1"):
        strength_map(drag, 1.2)
    with pytest.raises(DragError, match="marks no region"):
        strength_map(Task(Grid(128, 128)))


def test_cells_that_a_mask_marks_in_place_of_the_hole() -> None:
    may, painted = torch.zeros(128, 128), torch.zeros(128, 128)
    may[:96] = 1
    painted[80:128, 80:112] = 1  # half outside, half over the target
    drag = task((48.0, 40.0), may)
    found = marked(painted, drag)
    assert torch.equal(found, cells(slice(10, 12), slice(10, 14)))
    there = cells(slice(9, 12), slice(10, 14)) * (1 - found)
    rest = cells(slice(0, 12), WHOLE) * (1 - found) * (1 - there)
    assert torch.equal(strength_map(drag, 0.5, 0.25, found), found + 0.5 * there + 0.25 * rest)
    points = Task(Grid(128, 128), handles=(Handle((8.0, 8.0), (40.0, 8.0)),), editable=may)
    assert torch.equal(strength_map(points, 0.5, 0.0, found), found)
    assert marked(painted * 0, drag).sum() == 0


def test_a_grey_mask_is_the_map_in_pixels() -> None:
    may = torch.zeros(128, 128)
    may[16:96] = 1
    grey = grey_mask(task(editable=may))
    assert grey.shape == (128, 128) and sorted(set(grey.flatten().tolist())) == [0, 0.5, 1]
    assert torch.equal(grey == 0.5, SQUARE.roll(48, 1) > 0)  # the target alone
    assert torch.equal(grey > 0, may > 0)
    odd = Task(Grid(100, 131), task().regions[:0], (Handle((8.0, 8.0), (40.0, 8.0)),))
    assert grey_mask(odd).shape == fill_mask(odd).shape == (100, 131)
    assert not grey_mask(odd).any() and not fill_mask(odd).any()


def test_what_an_inpainting_model_fills() -> None:
    """The square, 5 px wider, and a rim of 8 px more; the moved square only in that rim."""
    fill = fill_mask(task((16.0, 0.0)))
    rows, columns = torch.nonzero(fill.any(1))[:, 0], torch.nonzero(fill.any(0))[:, 0]
    assert (int(rows[0]), int(rows[-1])) == (32 - 13, 63 + 13)
    assert (int(columns[0]), int(columns[-1])) == (32 - 13, 63 + 13)
    assert fill[48, 55] == 1 and fill[48, 57] == 0  # the moved square begins at 48
    may = torch.zeros(128, 128)
    may[:, 40:] = 1
    assert torch.equal(fill_mask(task((16.0, 0.0), may)), fill * may)

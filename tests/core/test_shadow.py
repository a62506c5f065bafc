"""A thing's shadow is found where there is one, leaves with the thing, and may be left alone."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from drag_core.bench.lit.cases import lit_cases
from drag_core.bench.scenes import DEVELOPMENT
from drag_core.metrics.region import psnr
from drag_core.motion.areas import hole
from drag_core.motion.masks import grow, leaving
from drag_core.motion.shadow import shadow_of, with_shadow
from drag_core.motion.task import joined
from drag_core.pictures.inpaint import pixel_warp
from drag_core.types import AffineMotion, DragError, Grid, Handle, Region, Task


def scene(depth: float = 0.3, textured: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """A red disc on grey, its shadow moved by (8, 6) px: picture, mask, shadow beside it."""
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    mask = ((x - 60).square() + (y - 60).square() < 24**2).float()
    shadow = ((x - 68).square() + (y - 66).square() < 24**2).float() * (1 - mask)
    image = torch.full((3, 128, 128), 0.6)
    if textured:
        image = image + 0.08 * torch.sin(x / 3) * torch.sin(y / 4)
    image = image * (1 - depth * shadow)
    return torch.where(mask > 0.5, torch.tensor([0.8, 0.1, 0.1])[:, None, None], image), mask, shadow


def overlap(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum() / torch.maximum(a, b).sum())


@pytest.mark.parametrize("textured", [False, True])
def test_a_dropped_shadow_is_found(textured: bool) -> None:
    image, mask, shadow = scene(textured=textured)
    found = shadow_of(image, mask)
    assert not (found * mask).any()
    assert float((found * shadow).sum() / shadow.sum()) >= 0.8
    assert overlap(found, shadow) >= 0.55  # with the rim that a soft edge would need


@pytest.mark.parametrize("textured", [False, True])
def test_where_there_is_none_none_is_found(textured: bool) -> None:
    image, mask, _ = scene(0.0, textured)
    assert not shadow_of(image, mask).any()


def test_a_stain_of_another_colour_is_no_shadow() -> None:
    image, mask, shadow = scene(0.0)
    blue = image - shadow * torch.tensor([0.35, 0.2, 0.0])[:, None, None]  # blue does not get darker
    assert not shadow_of(blue, mask).any()


def test_on_lit_scenes_it_finds_most_and_invents_none() -> None:
    """Development scenes: where the drawn shadow is large enough to be seen, at least half are found well."""
    good, there, invented = 0, 0, 0
    for case in lit_cases(12, DEVELOPMENT, kinds=("move",)):
        assert case.with_shadow is not None
        true = case.with_shadow * (1 - case.mask)
        found = shadow_of(case.source, case.mask)
        if true.sum() < 300:
            invented += int(found.any())
        else:
            there += 1
            good += overlap(found, true) >= 0.5
    assert there >= 4 and good >= there / 2 and invented == 0


def drag(mask: Tensor, **more: Tensor) -> Task:
    return Task(Grid(128, 128), (Region(mask, AffineMotion(shift=(50.0, 0.0))),), **more)  # type: ignore[arg-type]


def test_it_leaves_with_the_thing_and_may_change() -> None:
    image, mask, shadow = scene()
    may = grow(mask, 3)
    task, notes = with_shadow(drag(mask, editable=may), image)
    assert task.shadow is not None and task.editable is not None
    assert notes == (f"a shadow found: {int(task.shadow.sum())} px leave with what is marked",)
    assert torch.equal(leaving(task), torch.maximum(mask, task.shadow))
    assert float((task.editable * task.shadow).sum()) == float(task.shadow.sum())
    assert hole(task).sum() > hole(replace(task, shadow=None)).sum()
    moved = replace(task, regions=(Region(mask, AffineMotion(shift=(0.0, -50.0))),))
    with_it = pixel_warp(image, moved.regions, leaving(moved))
    without = pixel_warp(image, moved.regions)
    clean = torch.full((3, 128, 128), 0.6)
    here = grow(mask + shadow, 2) * (1 - grow(mask, 6))
    assert psnr(with_it, clean, here) > psnr(without, clean, here) + 10


def test_what_was_painted_by_hand_is_not_widened() -> None:
    image, mask, _ = scene()
    may = torch.zeros(128, 128)
    may[:, :75] = 1
    task, notes = with_shadow(drag(mask, editable=may), image, widen=False)
    assert task.shadow is not None and torch.equal(task.editable, may) and not task.shadow[:, 75:].any()
    assert re.fullmatch(
        r"a shadow found: \d+ px leave with what is marked, [1-9]\d* px stay, outside what may change", *notes
    )


def test_a_shadow_outside_what_was_painted_stays_and_it_says_so() -> None:
    image, mask, _ = scene()
    task = drag(mask, editable=mask)
    same, notes = with_shadow(task, image, widen=False)
    assert same is task
    assert re.fullmatch(r"a shadow of [1-9]\d* px stays: it is outside what may change; paint .*", *notes)


def test_without_a_shadow_or_a_region_it_says_so() -> None:
    image, mask, _ = scene(0.0)
    task = drag(mask)
    assert with_shadow(task, image) == (task, ("no shadow found: only what is marked leaves its place",))
    points = Task(Grid(128, 128), handles=(Handle((5.0, 5.0), (9.0, 9.0)),))
    same, notes = with_shadow(points, image)
    assert same is points and "points alone" in notes[0]


def test_two_drags_keep_both_shadows_and_sizes_are_checked() -> None:
    image, mask, _ = scene()
    one, _ = with_shadow(drag(mask), image)
    assert one.shadow is not None
    both = joined(one, drag(mask))
    assert both.shadow is not None and torch.equal(both.shadow, one.shadow)
    with pytest.raises(DragError, match="the shadow has shape"):
        drag(mask, shadow=torch.zeros(4, 4))

"""A value object that makes no sense is refused when it is made, in one sentence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

from drag_core.block import Block
from drag_core.drag import drag
from drag_core.features.supervise import NoSupervision
from drag_core.motion.geometry import translation
from drag_core.recipes.recipe import Recipe, on_schedule
from drag_core.trajectory.constrain import FreeBackground
from drag_core.trajectory.invert import invert
from drag_core.trajectory.schedules import ddim, every_level, flow
from drag_core.trajectory.solvers import euler
from drag_core.trajectory.start import Paste
from drag_core.types import DragError, Grid, Handle, Region, Schedule, Task
from tests.core.analytic import Linear, blob

FLOW = flow(4)
MASK = torch.ones(8, 8)
MOVE = translation((0, 0), (3, 0))
REGION = Region(MASK, MOVE)


def recipe(**choices: Any) -> Recipe:
    base = Recipe(FLOW, euler, (), NoSupervision(), FreeBackground(), partial(torch.optim.SGD, lr=0.0), ())
    return replace(base, **choices)


NONSENSE: dict[str, tuple[Callable[[], object], str]] = {
    "no levels": (lambda: Schedule((), (), (), "noise"), "0 values of t"),
    "one level": (lambda: Schedule((1.0,), (0.0,), (1.0,), "noise"), "two at least"),
    "lengths": (lambda: Schedule((2.0, 1.0), (0.1,), (1.0, 0.0), "noise"), "2 values of t, 1 of alpha"),
    "rising": (lambda: Schedule((0.0, 1.0), (1.0, 0.0), (0.0, 1.0), "velocity"), "goes from 0 to 1"),
    "standing": (lambda: Schedule((2.0, 2.0, 0.0), (0.0,) * 3, (1.0,) * 3, "noise"), "goes from 2 to 2"),
    "infinite": (lambda: Schedule((math.inf, 0.0), (0.0, 1.0), (1.0, 0.0), "noise"), "not a finite number"),
    "flat mask": (lambda: Region(torch.ones(8), MOVE), r"shape \(8,\)"),
    "weight": (lambda: Region(MASK, MOVE, -1.0), "weight is -1.0"),
    "weight nan": (lambda: Region(MASK, MOVE, math.nan), "weight is nan"),
    "cell": (lambda: Task(Grid(8, 8), cell=0), "cell is 0"),
    "region elsewhere": (lambda: Task(Grid(9, 8), (REGION,)), "picture is 8x9"),
    "editable elsewhere": (lambda: Task(Grid(8, 9), editable=MASK), "the editable mask"),
    "handle's region": (lambda: Task(Grid(8, 9), handles=(Handle((0, 0), (1, 1), MASK),)), "of a handle"),
    "paste": (lambda: Paste((), Grid(8, 8), levels=0), "0 levels"),
    "settle": (lambda: recipe(settle=-0.1), "settle is -0.1"),
    "settled": (lambda: recipe(settle=1.0), "settle is 1.0"),
    "gain": (lambda: recipe(hold_gain=0.0), "hold_gain is 0.0"),
    "solver": (lambda: recipe(solver=lambda *args: (args[1], None)), "whether it carries its velocity"),
    "tracking": (lambda: recipe(track_every=-1), "track_every is -1"),
    "progress": (lambda: recipe(ramp=((0.5, 1.5),)), "progress 1.5"),
    "first elsewhere": (lambda: recipe(first=recipe(schedule=flow(3))), "what comes first 3"),
    "first of a first": (lambda: recipe(first=recipe(first=recipe())), "a first of its own"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused(name: str) -> None:
    make, what = NONSENSE[name]
    with pytest.raises(DragError, match=what) as refused:
        make()
    assert "\n" not in str(refused.value)


def test_what_makes_sense_is_not() -> None:
    assert every_level().t[-2:] == (0.0, 0.0)  # the lowest level of training and the clean end
    assert ddim(1).t and flow(1).t == (1.0, 0.0)


def test_a_ramp_longer_than_the_trajectory_does_not_run() -> None:
    """The rest would be left out: also where the recipe's own schedule is long enough."""
    backbone = Linear(rate=0.4)
    path = invert(backbone, blob((5.0, 6.0)), flow(2), euler)
    backbone.calls.clear()
    long = recipe(ramp=((1.0,),) * 3)
    before = replace(recipe(ramp=()), first=long)
    for asked in (long, before):
        with pytest.raises(DragError, match="updates at 3 noise levels and the trajectory has 2: invert"):
            drag(backbone, path, asked)
    assert not backbone.calls


def test_a_recipe_put_on_another_schedule_takes_its_first_along() -> None:
    both = recipe(first=recipe(ramp=((1.0,),)))
    there = on_schedule(both, flow(3), hold_gain=2.0)
    assert there.first is not None and there.hold_gain == 2.0
    assert there.schedule == there.first.schedule == flow(3) != FLOW
    with pytest.raises(DragError, match="put both on one schedule"):
        replace(both, schedule=flow(3))


@pytest.mark.parametrize("name", ["double.17", "single.0", "up.3", "down.0", "mid", "attn.12"])
def test_a_blocks_name_is_read_and_written(name: str) -> None:
    assert str(Block.parse(name)) == name
    assert Block.parse("double.17") == Block("double", 17)


@pytest.mark.parametrize("name", ["", "double", "double.", "double.x", "double.-1", "mid.0", "up.1.2", "a.3"])
def test_what_is_no_block_is_refused(name: str) -> None:
    with pytest.raises(DragError, match="is no block"):
        Block.parse(name)


def test_a_block_without_its_number_is_refused() -> None:
    for kind, index in (("up", None), ("mid", 0), ("up", -1)):
        with pytest.raises(DragError, match="has the number"):
            Block(kind, index)  # type: ignore[arg-type]

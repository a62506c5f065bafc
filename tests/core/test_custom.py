"""The numbers that an editor shows for a recipe are the recipe's own."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import torch

from drag_core.features.semantic import SemanticSupervision
from drag_core.features.supervise import PointSupervision, RegionSupervision
from drag_core.motion.masks import discs
from drag_core.recipes import METHODS
from drag_core.recipes.choice import usual_numbers
from drag_core.recipes.record import Way
from drag_core.recipes.ways import WAYS, Ground, with_numbers
from drag_core.trajectory.constrain import HardBackground, SoftBackground
from drag_core.types import AffineMotion, DragError, Grid, Handle, Region, Task

IMAGE = Grid(512, 512)
TASK = Task(
    IMAGE,
    (Region(discs([(200.0, 200.0)], 40, IMAGE), AffineMotion(shift=(60.0, 0.0))),),
    (Handle((200.0, 200.0), (260.0, 200.0)),),
    discs([(230.0, 200.0)], 120, IMAGE),
)


@pytest.mark.parametrize("name", list(METHODS))
def test_a_recipes_numbers_give_that_recipe(name: str) -> None:
    paper = METHODS[name].build(TASK)
    ground = Ground(paper.taps, paper.kv_blocks, paper.schedule, paper.solver)
    ours = WAYS[METHODS[name].way](TASK, ground, METHODS[name].numbers)
    assert ours.ramp == paper.ramp and ours.hold_gain == paper.hold_gain
    assert ours.track_every == paper.track_every and ours.kv_while_dragging == paper.kv_while_dragging
    z = torch.zeros(1, requires_grad=True)
    rates = [o([z]) for o in (ours.optimizer, paper.optimizer)]
    assert type(rates[0]) is type(rates[1])
    assert rates[0].param_groups[0]["lr"] == pytest.approx(rates[1].param_groups[0]["lr"])
    assert type(ours.constraint) is type(paper.constraint)
    if isinstance(ours.constraint, SoftBackground) and isinstance(paper.constraint, SoftBackground):
        assert ours.constraint.weight == paper.constraint.weight
    if isinstance(ours.constraint, HardBackground) and isinstance(paper.constraint, HardBackground):
        assert torch.equal(ours.constraint.editable, paper.constraint.editable)
    a, b = ours.supervision, paper.supervision
    if isinstance(a, PointSupervision) and isinstance(b, PointSupervision):
        assert replace(a, factor=0.0) == replace(b, factor=0.0) and a.factor == b.factor
    elif isinstance(a, SemanticSupervision):
        assert a == b and ours.guide == paper.guide
    else:
        assert isinstance(a, RegionSupervision) and isinstance(b, RegionSupervision)
        assert (a.grid, a.mean) == (b.grid, b.mean)


def test_each_method_says_what_it_lacks() -> None:
    paper = METHODS["dragnext"].build(TASK)
    ground = Ground(paper.taps, (), paper.schedule, paper.solver)
    with pytest.raises(DragError, match="moves regions and the drag has none"):
        WAYS["pbsi"](Task(IMAGE, handles=TASK.handles), ground, usual_numbers("pbsi"))
    with pytest.raises(DragError, match="moves points and the drag has none"):
        WAYS["point"](Task(IMAGE, regions=TASK.regions), ground, usual_numbers("point"))


@pytest.mark.parametrize(
    ("way", "given", "said"),
    [
        (
            "region",
            {"iterations": 0},
            "method region's iterations is 0; it must be a whole number from 1 to",
        ),
        ("region", {"step": float("nan")}, "method region's step is nan; it must be a number from 0.001 to"),
        ("pbsi", {"levels": 2.5}, "method pbsi's levels is 2.5; it must be a whole number from 1 to 100"),
        ("point", {"radius": "4"}, "method point's radius is '4'; it must be a whole number from 1 to 32"),
        (
            "semantic",
            {"guidance": -0.1},
            "method semantic's guidance is -0.1; it must be a number from 0",
        ),
        (
            "point",
            {"raduis": 4},
            "method point's numbers have no 'raduis'; they are levels",
        ),
    ],
)
def test_a_number_out_of_range_is_refused_in_one_sentence(way: Way, given: dict[str, Any], said: str) -> None:
    with pytest.raises(DragError, match=re.escape(said)):
        with_numbers(usual_numbers(way), given)


def test_json_may_write_whole_numbers_as_floats() -> None:
    assert with_numbers(usual_numbers("region"), {"iterations": 30.0}) == replace(
        METHODS["dragflow"].numbers, iterations=30
    )

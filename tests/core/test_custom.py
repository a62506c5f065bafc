"""The numbers that an editor shows for a recipe are the recipe's own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from drag_core.features.semantic import SemanticSupervision
from drag_core.features.supervise import PointSupervision, RegionSupervision
from drag_core.motion.masks import discs
from drag_core.recipes import RECIPES
from drag_core.recipes.custom import METHODS, NUMBERS, Ground
from drag_core.trajectory.constrain import HardBackground, SoftBackground
from drag_core.types import AffineMotion, DragError, Grid, Handle, Region, Task

IMAGE = Grid(512, 512)
TASK = Task(
    IMAGE,
    (Region(discs([(200.0, 200.0)], 40, IMAGE), AffineMotion(shift=(60.0, 0.0))),),
    (Handle((200.0, 200.0), (260.0, 200.0)),),
    discs([(230.0, 200.0)], 120, IMAGE),
)


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_recipes_numbers_give_that_recipe(name: str) -> None:
    paper = RECIPES[name](TASK)
    method, numbers = NUMBERS[name]
    ours = METHODS[method](  # type: ignore[operator]
        TASK, Ground(paper.taps, paper.kv_blocks, paper.schedule, paper.solver), **numbers
    )
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
    paper = RECIPES["dragnext"](TASK)
    ground = Ground(paper.taps, (), paper.schedule, paper.solver)
    with pytest.raises(DragError, match="moves regions and the drag has none"):
        METHODS["pbsi"](Task(IMAGE, handles=TASK.handles), ground)  # type: ignore[operator]
    with pytest.raises(DragError, match="moves points and the drag has none"):
        METHODS["point"](Task(IMAGE, regions=TASK.regions), ground)  # type: ignore[operator]

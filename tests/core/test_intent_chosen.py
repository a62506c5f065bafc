"""A chosen candidate becomes the drag's task and prompts."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from drag_core.mllm.chosen import as_task, chosen, pick, pivot
from drag_core.mllm.intent import Candidate, Intended, Intent
from drag_core.motion.instruction import DragInstruction, RegionSpec, Shape, parse, to_json
from drag_core.motion.masks import centroid
from drag_core.motion.task import build_task, draw
from drag_core.types import DragError, Grid

SIZE = Grid(100, 120)
TOWER = Shape(polygons=(((40, 20), (50, 20), (50, 80), (40, 80)),))  # its middle is (45, 50)
RIGHT = RegionSpec(TOWER, "relocation", target=(75.0, 50.0), label="tower")
INTENT = Intent(
    "A tower in a field.",
    "it leans",
    (Candidate("The tower leans to the right.", "rotation"), Candidate("The tower is gone.", None)),
)


def mask(spec: RegionSpec) -> torch.Tensor:
    return draw(spec.shape, SIZE)


def turned(spec: RegionSpec, task: Intended) -> RegionSpec:
    found = as_task(spec, task, mask(spec))
    assert found is not None
    return found


def test_task_and_prompts_of_the_candidate() -> None:
    x, notes = chosen(DragInstruction(120, 100, (RIGHT,)), INTENT, pick(INTENT, 1), mask)
    assert x.source_prompt == "A tower in a field."
    assert x.target_prompt == "A tower in a field. The tower leans to the right."
    (region,) = x.regions
    # the lower end of the tower, straight below its middle
    assert (region.task, region.anchor, region.target) == ("rotation", (45.0, 80.0), (75.0, 50.0))
    task, _ = build_task(x, SIZE)
    assert task.regions[0].motion.angle == pytest.approx(math.pi / 4)  # from straight up to (30, -30)
    assert notes == () and parse(to_json(x)) == x


def test_a_candidate_without_a_task_keeps_every_regions_own() -> None:
    x, notes = chosen(
        DragInstruction(120, 100, (RIGHT,), source_prompt="mine"), INTENT, pick(INTENT, 2), mask
    )
    assert x.regions == (RIGHT,) and notes == ("the candidate names no task: every region keeps its own",)
    bare = replace(INTENT, background="")
    x, _ = chosen(DragInstruction(120, 100, (RIGHT,), source_prompt="mine"), bare, pick(INTENT, 2), mask)
    assert (x.source_prompt, x.target_prompt) == ("mine", "mine The tower is gone.")


@pytest.mark.parametrize("number", [0, 3, -1])
def test_a_number_that_no_candidate_has(number: int) -> None:
    with pytest.raises(DragError, match=f"candidate {number} was chosen and the answer holds 2"):
        pick(INTENT, number)


def test_tasks_there_and_back() -> None:
    bent = turned(RIGHT, "deformation")
    assert bent == replace(RIGHT, task="deformation") and turned(bent, "relocation") == RIGHT
    assert turned(turned(RIGHT, "rotation"), "relocation") == RIGHT
    quarter = RegionSpec(TOWER, "rotation", angle=90.0, anchor=(45.0, 80.0))
    moved = turned(quarter, "relocation")  # straight up turned by a quarter points to the right
    assert moved.target == pytest.approx((75.0, 80.0)) and moved.anchor is None and moved.angle is None


def test_motions_that_do_not_say_another_task() -> None:
    in_place = RegionSpec(TOWER, "rotation", angle=30.0, label="tower")
    scaled = RegionSpec(TOWER, "scale", scale=(2.0, 1.0))
    short = replace(RIGHT, target=(45.4, 50.0))
    line = RegionSpec(Shape(polygons=(((20, 50), (60, 50), (60, 50)),)), "relocation", target=(80.0, 50.0))
    cases: list[tuple[RegionSpec, Intended]] = [
        (in_place, "relocation"),
        (scaled, "rotation"),
        (short, "rotation"),
        (line, "rotation"),
    ]
    for spec, task in cases:
        assert as_task(spec, task, mask(spec)) is None
    move = replace(INTENT, candidates=(Candidate("It is elsewhere.", "relocation"),))
    x, notes = chosen(DragInstruction(120, 100, (in_place, scaled)), move, pick(move, 1), mask)
    assert x.regions == (in_place, scaled)
    assert notes == (
        "tower stays a rotation: its motion can't be read as a relocation",
        "region 2 stays a scale: its motion can't be read as a relocation",
    )


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ((75, 50), (45, 80)),  # to the right: below
        ((15, 50), (45, 80)),  # to the left: below too
        ((45, 10), (50, 50)),  # straight up, both ends as far and as high: on the right of the way
        ((45, 90), (40, 50)),  # straight down: on the right of the way, left on screen
    ],
)
def test_where_a_guessed_turn_is_held(target: tuple[float, float], wanted: tuple[float, float]) -> None:
    tower = draw(TOWER, SIZE)
    assert centroid(tower) == (45.0, 50.0)
    assert pivot(tower, target) == pytest.approx(wanted)


def test_of_two_ends_as_low_the_farther() -> None:
    """A wedge led straight up: its thin end lies farther from its middle."""
    wedge = torch.zeros(100, 120)
    for x in range(20, 61):
        wedge[40 : 42 + (60 - x) // 2, x] = 1
    cx, _ = centroid(wedge)
    assert 60 - cx > cx - 20
    found = pivot(wedge, (cx, 0.0))
    assert found is not None and found[0] == pytest.approx(60)

"""Masks that are connected beside an instruction: its regions name them, and move them as they say."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor

from drag_core.motion.draft import shown, unfinished
from drag_core.motion.instruction import DragInstruction, parse, to_json
from drag_core.motion.region import drag_task
from drag_core.types import DragError, Grid

SIZE = Grid(60, 80)
OUTLINE = [[10, 12], [20, 12], [20, 18], [10, 18]]
ELSEWHERE = [[40, 40], [50, 40], [50, 50], [40, 50]]
MOVE = {"task": "relocation", "target": [44, 24]}
TURN = {"task": "rotation", "angle": 30}
STILL = 'the connected mask "input 2" is in no region of the drag: it stays where it is'


def box(corners: list[list[int]]) -> Tensor:
    (x0, y0), _, (x1, y1), _ = corners
    out = torch.zeros(SIZE.height, SIZE.width)
    out[y0 : y1 + 1, x0 : x1 + 1] = 1
    return out


MASKS = [box(OUTLINE), box(ELSEWHERE)]


def read(*regions: dict[str, Any], finished: bool = True, **fields: Any) -> DragInstruction:
    whole = {"image": {"width": 80, "height": 60}, "regions": list(regions), **fields}
    return parse(json.dumps(whole), finished=finished)


@pytest.mark.parametrize("motion", [MOVE, TURN, {"task": "scale", "scale": [1.5, 0.5], "weight": 2}])
def test_a_connected_mask_is_what_the_same_drawn_region_is(motion: dict[str, Any]) -> None:
    beside = {"polygons": [ELSEWHERE], **TURN}
    drawn, _ = drag_task(SIZE, instruction=read({"polygons": [OUTLINE], **motion}, beside))
    found, notes = drag_task(SIZE, instruction=read({"mask": "input 1", **motion}, beside), inputs=MASKS[:1])
    assert notes == () and found.editable is not None and drawn.editable is not None
    assert torch.equal(found.editable, drawn.editable)
    for a, b in zip(found.regions, drawn.regions, strict=True):
        assert torch.equal(a.mask, b.mask) and a.motion == b.motion and a.weight == b.weight


def test_each_of_a_batch_moves_as_its_region_says() -> None:
    x = read({"mask": "input 2", **TURN}, {"mask": "input 1", **MOVE})
    found, notes = drag_task(SIZE, instruction=x, inputs=MASKS)
    second, first = found.regions
    assert torch.equal(first.mask, MASKS[0]) and first.motion.shift == (29, 9)
    assert torch.equal(second.mask, MASKS[1]) and second.motion.angle > 0 and notes == ()
    assert parse(to_json(x)) == x


def test_one_that_no_region_names_stays_and_is_told() -> None:
    one = read({"mask": "input 1", **MOVE})
    found, notes = drag_task(SIZE, instruction=one, inputs=MASKS)
    assert len(found.regions) == 1 and notes == (STILL,)
    assert drag_task(SIZE, instruction=one, inputs=[MASKS[0], torch.zeros(60, 80)])[1] == ()
    painted = read({"mask": "input 1", **MOVE}, editable={"mode": "painted", "mask": "input 2"})
    task, notes = drag_task(SIZE, instruction=painted, inputs=[MASKS[0], torch.ones(60, 80)])
    assert task.editable is not None and task.editable.all() and notes == ()


@pytest.mark.parametrize("inputs", [[], MASKS])
def test_one_that_is_not_connected_is_refused(inputs: list[Tensor]) -> None:
    x = read({"mask": "input 3", **MOVE})
    with pytest.raises(DragError, match="names a mask picture, 'input 3', which can't be read here"):
        drag_task(SIZE, instruction=x, inputs=inputs)
    with pytest.raises(DragError, match="names a mask picture, 'input 3', which can't be read here"):
        shown(x, SIZE, inputs)


def test_a_black_one_that_is_named_is_refused() -> None:
    with pytest.raises(DragError, match="region 1 is empty"):
        drag_task(SIZE, instruction=read({"mask": "input 1", **MOVE}), inputs=[torch.zeros(60, 80)])


def test_a_draft_shows_it_and_says_what_is_missing() -> None:
    draft = read({"mask": "input 1", "task": "relocation"}, finished=False)
    source, _, notes = shown(draft, SIZE, MASKS)
    assert torch.equal(source, MASKS[0]) and notes == ()
    assert "region 1 is a relocation without a target" in str(unfinished(draft, MASKS))
    nothing = DragInstruction()
    assert str(unfinished(nothing, MASKS)).startswith("nothing moves the connected mask")
    assert str(unfinished(nothing, [torch.zeros(60, 80)])).startswith("nothing is marked")
    assert unfinished(read({"mask": "input 1", **MOVE}), MASKS) is None

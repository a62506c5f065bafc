"""DragExampleScene: plain scenes as ever where a prompt says nothing, lit ones, and kinds by either name."""

from __future__ import annotations

import json

import pytest
import torch
from region_drag_editing.drag_core.bench.cases import held_out
from region_drag_editing.drag_core.bench.lit.cases import lit_cases
from region_drag_editing.drag_core.types import DragError
from region_drag_editing.nodes import DragExampleScene


@pytest.mark.parametrize(("kind", "of_old"), [("move", "move"), ("rotate", "rotate"), ("scale", "deform")])
def test_without_a_value_scenes_are_plain(kind: str, of_old: str) -> None:
    image, mask, instruction, truth = DragExampleScene.execute(kind, 1).args
    case = held_out(2, kinds=(of_old,))[-1]
    assert torch.equal(image[0].permute(2, 0, 1), case.source) and torch.equal(mask[0], case.mask)
    assert torch.equal(truth[0].permute(2, 0, 1), case.truth)
    assert len(json.loads(instruction)["regions"]) == 1


@pytest.mark.parametrize(("kind", "of_lit"), [("turn", "turn"), ("deform", "scale"), ("part", "part")])
def test_lit_scenes(kind: str, of_lit: str) -> None:
    image, mask, instruction, truth = DragExampleScene.execute(kind, 1, "lit").args
    case = lit_cases(2, kinds=(of_lit,))[-1]
    assert image.shape == truth.shape == (1, 256, 256, 3) and mask.shape == (1, 256, 256)
    assert torch.equal(image[0].permute(2, 0, 1), case.source) and torch.equal(mask[0], case.mask)
    assert torch.equal(truth[0].permute(2, 0, 1), case.truth)
    task = json.loads(instruction)["regions"][0]["task"]
    assert task == ("scale" if of_lit == "scale" else "rotation")


def test_plain_things_have_no_parts() -> None:
    with pytest.raises(DragError, match="kind part is not there in plain scenes") as said:
        DragExampleScene.execute("part", 0, "plain")
    assert "\n" not in str(said.value)

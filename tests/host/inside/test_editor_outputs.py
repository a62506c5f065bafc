"""DragEditor: the pictures to start from and the prompts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from drawing import MOVE, document, named, picture
from region_drag_editing.nodes import RegionMaskAffine

APART = [[50, 40], [60, 40], [60, 50], [50, 50]]
BENT = [{"start": [11, 11], "target": [11, 11]}, {"start": [18, 18], "target": [18, 30]}]


@pytest.mark.parametrize(
    "fields",
    [
        {"regions": [MOVE]},
        {"regions": [MOVE, {"task": "rotation", "angle": 30, "polygons": [APART]}]},
        {"regions": [MOVE], "points": BENT},
        {"points": [{"start": [30, 30], "target": [50, 30]}]},
        {"regions": [MOVE], "image": {"width": 160, "height": 120}},
    ],
    ids=["one", "two", "bent", "points alone", "of another size"],
)
def test_filled_and_warped_are_drag_regions(fields: dict[str, Any]) -> None:
    drag, source = document(**fields), picture()
    ours = named(drag, source)
    with torch.inference_mode():
        out = RegionMaskAffine.execute(image=source, instruction=drag)
    names = [o.id for o in RegionMaskAffine.define_schema().outputs]
    theirs = dict(zip(names, out.result, strict=True))
    for name in ("filled", "warped"):
        assert torch.equal(ours[name], theirs[name])
    assert not torch.equal(ours["warped"], source) and ours["said"] == out.ui["text"][0]
    assert ("is bent by its" in ours["said"]) == (fields.get("points") is BENT)


@pytest.mark.parametrize("drag", ["", document(regions=[MOVE | {"target": None}])], ids=["empty", "a draft"])
def test_what_moves_nothing_leaves_the_picture_to_start_from(drag: str) -> None:
    source = picture()
    given = named(drag, source)
    assert torch.equal(given["filled"], source) and torch.equal(given["warped"], source)


@pytest.mark.parametrize("regions", [[MOVE], []], ids=["a drag", "nothing marked"])
def test_the_panels_prompts_come_out(regions: list[dict[str, Any]]) -> None:
    said = named(document(regions=regions, prompts={"source": "a cat", "target": "a cat, left\n"}))
    assert said["prompt_before"] == "a cat" and said["prompt_after"] == "a cat, left\n"
    none = named(document(regions=regions))
    assert none["prompt_before"] == none["prompt_after"] == "" == named("")["prompt_after"]

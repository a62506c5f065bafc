"""DragEditor: the pictures to start from, the prompts, and masks that are connected to it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from drawing import MOVE, blocked, document, named, picture, sentence
from region_drag_editing.drag_core.types import DragError
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


def batch() -> torch.Tensor:
    """The first is MOVE's own square, the second another."""
    with torch.inference_mode():
        masks = torch.zeros(2, 60, 80)
        masks[0, 10:20, 10:20] = masks[1, 40:50, 50:60] = 1
    return masks


BY_MASK = {k: v for k, v in MOVE.items() if k != "polygons"} | {"mask": "input 1"}


def test_a_connected_mask_moves_like_the_same_drawn_region() -> None:
    drawn, given = named(document(regions=[MOVE])), named(document(regions=[BY_MASK]), mask=batch()[:1])
    for name in ("mask", "editable", "overlay", "filled", "warped"):
        assert torch.equal(drawn[name], given[name])
    ours, theirs = (x["regions"].regions[0] for x in (given, drawn))
    assert torch.equal(ours.mask, theirs.mask) and ours.motion == theirs.motion
    assert not ours.mask.is_inference() and given["said"] == ""


def test_every_mask_of_a_batch_moves_beside_what_is_drawn() -> None:
    turned = {"mask": "input 2", "task": "rotation", "angle": 30}
    drawn = MOVE | {"polygons": [[[30, 30], [36, 30], [36, 36], [30, 36]]]}
    given = named(document(regions=[drawn, BY_MASK, turned]), mask=batch())
    assert [int(r.mask.sum()) for r in given["regions"].regions] == [49, 100, 100]
    assert given["mask"].sum() == 249
    alone = named(document(regions=[drawn]), mask=batch())
    assert len(alone["regions"].regions) == 1 and alone["mask"].sum() == 49
    assert alone["said"].count("is in no region of the drag: it stays where it is") == 2


def test_a_connected_mask_that_nothing_moves() -> None:
    assert "nothing moves the connected mask" in blocked(named("", mask=batch())["regions"])
    draft = document(regions=[BY_MASK | {"target": None}])
    given = named(draft, mask=batch())
    assert given["mask"].sum() == 100 and "region 1 is a relocation without" in blocked(given["regions"])


def test_load_images_black_mask_counts_for_none() -> None:
    """It has 64x64 pixels where the picture has no alpha."""
    black = torch.zeros(1, 64, 64)
    assert "nothing is marked" in blocked(named("", mask=black)["regions"])
    assert named(document(regions=[MOVE]), mask=black)["said"] == ""


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        (None, "names a mask picture, 'input 1', which can't be read here: connect it as a mask"),
        (torch.ones(1, 64, 64), "the mask is 64x64 and the picture is 80x60"),
        (torch.zeros(1, 64, 64), "region 1 is empty"),
    ],
    ids=["none", "another size", "black"],
)
def test_a_mask_that_cannot_move_is_one_sentence(masks: torch.Tensor | None, words: str) -> None:
    with pytest.raises(DragError, match=words) as error:
        named(document(regions=[BY_MASK]), mask=masks)
    assert sentence(str(error.value))


@pytest.mark.parametrize("regions", [[MOVE], []], ids=["a drag", "nothing marked"])
def test_the_panels_prompts_come_out(regions: list[dict[str, Any]]) -> None:
    said = named(document(regions=regions, prompts={"source": "a cat", "target": "a cat, left\n"}))
    assert said["prompt_before"] == "a cat" and said["prompt_after"] == "a cat, left\n"
    none = named(document(regions=regions))
    assert none["prompt_before"] == none["prompt_after"] == "" == named("")["prompt_after"]

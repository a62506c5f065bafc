"""Drag Crop: what it gives to start from on the crop is what Drag Region gives there."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from region_drag_editing.drag_core.bench.example import instruction_of
from region_drag_editing.drag_core.bench.lit.cases import lit_case_number
from region_drag_editing.drag_core.motion.instruction import to_json
from region_drag_editing.nodes import DragCrop, RegionMaskAffine

CASE = lit_case_number(0, "move", 1_500_000)
PICTURE = CASE.source.movedim(0, -1)[None]


def ran(node: Any, **inputs: Any) -> dict[str, Any]:
    """A node's outputs by their names; the text under it as "said"."""
    with torch.inference_mode():
        out = node.execute(**inputs)
    names = [o.id for o in node.define_schema().outputs]
    return dict(zip(names, out.result, strict=True)) | {"said": out.ui["text"][0]}


def bent() -> dict[str, Any]:
    y, x = torch.nonzero(CASE.mask > 0.5, as_tuple=True)
    held, pulled = ([float(x[k]), float(y[k])] for k in (0, len(x) - 1))
    points = [{"start": held, "target": held}, {"start": pulled, "target": [pulled[0], pulled[1] - 12]}]
    return {"points": points}


@pytest.mark.parametrize("side", [0, 128, 320], ids=["as it is", "smaller", "larger"])
@pytest.mark.parametrize("more", [{}, bent()], ids=["moved", "bent"])
@pytest.mark.parametrize("editable", ["adaptive", "adaptive with shadow"])
def test_filled_and_warped_are_drag_regions_on_the_crop(
    side: int, more: dict[str, Any], editable: str
) -> None:
    document = json.dumps(json.loads(to_json(instruction_of(CASE))) | more)
    whole = ran(RegionMaskAffine, image=PICTURE, instruction=document, editable=editable)
    crop = ran(DragCrop, image=PICTURE, regions=whole["regions"], side=side)
    second = ran(RegionMaskAffine, image=crop["image"], regions=crop["regions"])
    for name in ("filled", "warped"):
        assert crop[name].shape == crop["image"].shape and torch.equal(crop[name], second[name])
        assert not torch.equal(crop[name], crop["image"])
    assert ("is bent by its" in crop["said"]) == bool(more) and "are edited as" in crop["said"]


def test_the_outputs_of_before_keep_their_places() -> None:
    names = [o.id for o in DragCrop.define_schema().outputs]
    assert names == ["image", "regions", "crop", "preview", "filled", "warped"]

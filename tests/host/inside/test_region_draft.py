"""Drag Region's warped is the draft: rigid as ever, bent by several points, by points alone."""

from __future__ import annotations

import json
from typing import Any

import torch
from region_drag_editing.drag_core.bench.example import instruction_of
from region_drag_editing.drag_core.bench.lit.cases import lit_case_number
from region_drag_editing.drag_core.motion.instruction import to_json
from region_drag_editing.drag_core.pictures.inpaint import painted_over, pixel_warp
from region_drag_editing.nodes import RegionMaskAffine
from torch import Tensor

CASE = lit_case_number(0, "move", 1_500_000)
PICTURE = CASE.source.movedim(0, -1)[None]


def run(document: dict[str, Any]) -> tuple[Tensor, Tensor, str, Any]:
    """Warped and filled (3, H, W), the text, the task."""
    with torch.inference_mode():
        out = RegionMaskAffine.execute(image=PICTURE, instruction=json.dumps(document))
    warped, filled = (out.args[k][0].movedim(-1, 0) for k in (5, 6))
    return warped, filled, out.ui["text"][0], out.args[0]


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(to_json(instruction_of(CASE)))
    return found


def test_a_region_is_moved_as_ever() -> None:
    warped, filled, text, task = run(document())
    assert torch.equal(warped, pixel_warp(CASE.source, task.regions).clamp(0, 1))
    assert torch.equal(filled, painted_over(CASE.source, task.regions[0].mask).clamp(0, 1))
    assert "bent" not in text


def test_several_points_bend_it_and_it_is_said() -> None:
    y, x = torch.nonzero(CASE.mask > 0.5, as_tuple=True)
    held, pulled = ([float(x[k]), float(y[k])] for k in (0, len(x) - 1))
    points = [{"start": held, "target": held}, {"start": pulled, "target": [pulled[0], pulled[1] - 12]}]
    warped, _, text, task = run(document() | {"points": points})
    assert "the region is bent by its 2 points in the draft" in text
    assert (warped - pixel_warp(CASE.source, task.regions)).abs().max() > 0.1


def test_points_alone_carry_what_may_change_and_nothing_else() -> None:
    points = {"version": 1, "points": [{"start": [100, 120], "target": [110, 126]}]}
    warped, filled, _, task = run(points)
    assert torch.equal(filled, CASE.source)
    outside = task.editable < 0.5
    assert torch.equal(warped[:, outside], CASE.source[:, outside])
    assert (warped[:, 126, 110] - CASE.source[:, 120, 100]).abs().max() <= 1e-3

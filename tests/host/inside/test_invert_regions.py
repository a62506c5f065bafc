"""Drag Invert with the drag beside it: what could not be dragged is refused before a model call."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from disc import REST, TASK, moved_disc
from region_drag_editing.drag_core.types import DragError
from region_drag_editing.nodes import DragEditor, DragInvert, DragOptimize, RegionMaskAffine
from region_drag_editing.nodes import invert as node

NUMBERS = {"method": "pbsi", "levels": 1, "updates": 1, "step": 0.01, "background": 0.2}


@pytest.fixture(scope="module", params=["embedded-flux", "embedded-sd"])
def setup(request: pytest.FixtureRequest) -> dict[str, Any]:
    return moved_disc(request.param)


def invert(setup: dict[str, Any], **more: Any) -> Any:
    given = (setup["model"], setup["positive"], setup["latent"])
    with torch.inference_mode():
        return DragInvert.execute(*given, "auto", 4, 0.5, "auto", 1.0, "none", **more).args[3]


def elsewhere(width: int, height: int) -> Any:
    """The same mask's drag, on a picture of another size."""
    mask = torch.zeros(1, height, width)
    mask[:, 40:60, 20:40] = 1
    with torch.inference_mode():
        picture = torch.rand(1, height, width, 3)
        out = RegionMaskAffine.execute(image=picture, mask=mask, task=TASK, instruction="", **REST)
    return out.args[0]


def never(*args: Any, **given: Any) -> None:
    raise AssertionError("inverted all the same")


def test_regions_that_fit_change_nothing(setup: dict[str, Any]) -> None:
    assert invert(setup, regions=setup["regions"]) is invert(setup)


@pytest.mark.parametrize("size", [(144, 128), (128, 120), (131, 128)])
def test_another_size_is_refused_as_the_drag_would_and_at_once(
    setup: dict[str, Any], size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    regions, inverted = elsewhere(*size), invert(setup)
    choices = ("custom", "ours", dict(NUMBERS), "auto", "off", 0, 0)
    with torch.inference_mode(), pytest.raises(DragError) as late:
        DragOptimize.execute(setup["model"], setup["positive"], inverted, regions, *choices)
    monkeypatch.setattr(node, "invert_latent", never)
    with pytest.raises(DragError) as early:
        invert(setup, regions=regions)
    assert str(early.value) == str(late.value)
    assert f"the regions are drawn on {size[0]}x{size[1]}" in str(early.value)


def test_an_unfinished_editor_stops_it(setup: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.inference_mode():
        regions = DragEditor.execute(setup["picture"], "").args[5]
    monkeypatch.setattr(node, "invert_latent", never)
    with pytest.raises(DragError, match="in the drag editor nothing is marked"):
        invert(setup, regions=regions)

"""Drag Finish on what it refuses, and on points alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from region_drag_editing.drag_core.types import DragError
from region_drag_editing.nodes import DragFinish, RegionMaskAffine
from region_drag_editing.nodes.host.loaders import load_embedded
from test_finish import finished, lit
from torch import Tensor


def refusals() -> list[tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]]:
    small, painted = torch.zeros(1, 64, 64, 3), torch.zeros(1, 256, 256)
    points = '{"version": 1, "points": [{"start": [64, 64], "target": [96, 64]}]}'

    def with_points(m: dict[str, Any]) -> dict[str, Any]:
        only = RegionMaskAffine.execute(image=m["image"], instruction=points).args[0]
        return {"regions": only, "draft": m["truth"]}

    return [
        ("points alone leave no hole; mark a region, or connect a mask to redraw", with_points),
        ("drawn on 256x256 and the picture is 64x64", lambda _: {"image": small}),
        ("the draft is 64x64 and the picture 256x256", lambda _: {"draft": small}),
        ("the draft is the picture itself: change something in it", lambda m: {"draft": m["image"]}),
        ("the mask is 32x32 and the picture is 256x256", lambda _: {"redraw": torch.ones(1, 32, 32)}),
        ("the redraw mask marks nothing within what may change", lambda _: {"redraw": painted}),
        ("the vae has 4 latent channels and this model works on 16", lambda _: {"vae": FourChannels()}),
        ("the vae makes 16x16 cells of this picture and the model has 32x32", lambda _: {"vae": Coarse()}),
        (r"Drag Finish's strength is 1.5; it must be", lambda _: {"strength": 1.5}),
        ("kv is 'picture'; it must be none or draft", lambda _: {"kv": "picture"}),
    ]


class FourChannels:
    latent_channels = 4


class Coarse:
    latent_channels = 16

    def encode(self, pixels: Tensor) -> Tensor:
        return torch.zeros(1, 16, *(s // 16 for s in pixels.shape[1:3]))


@pytest.mark.parametrize(("words", "change"), refusals(), ids=lambda x: x[:30] if isinstance(x, str) else "")
def test_what_is_wrong_is_said_in_one_sentence(
    words: str, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    model, positive, vae = load_embedded("embedded-flux")
    made = lit()
    given = {"vae": vae, "image": made["image"], "regions": made["regions"]} | change(made)
    with torch.inference_mode(), pytest.raises(DragError, match=words) as caught:
        DragFinish.execute(model, positive, **given)
    assert "\n" not in str(caught.value) and str(caught.value).count(". ") == 0


def test_points_alone_bend_the_picture() -> None:
    """They leave no hole: what they carry is the draft's, without a call, and the report says so."""
    model, positive, vae = load_embedded("embedded-sd")
    made = lit()
    points = '{"version": 1, "points": [{"start": [64, 64], "target": [96, 64]}]}'
    regions = RegionMaskAffine.execute(image=made["image"], instruction=points)
    image, _, redrawn, report = finished(model, positive, vae, made | {"regions": regions.args[0]})
    facts = json.loads(report)
    assert facts["model_calls"] == 0 and float(redrawn.sum()) == 0 and facts["notes"]
    assert torch.equal(image, regions.args[5])  # Drag Region's warped

"""The start made where none is given: bent by points where the drag follows points, and only there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from disc import moved_disc
from region_drag_editing.drag_core.motion.masks import leaving
from region_drag_editing.drag_core.pictures.inpaint import pixel_warp
from region_drag_editing.drag_core.types import Handle
from region_drag_editing.nodes import DragInvert
from region_drag_editing.nodes.host import own_start
from region_drag_editing.nodes.host.wish import DragChoices
from torch import Tensor


def test_a_start_is_the_draft_that_the_drag_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    made = moved_disc("embedded-sd")
    with torch.inference_mode():
        path = DragInvert.execute(
            made["model"], made["positive"], made["latent"], "auto", 20, 0.7, "auto", 1.0, "auto"
        ).args[3]
    points = (Handle((38.0, 50.0), (38.0, 50.0)), Handle((38.0, 62.0), (60.0, 66.0)))
    task = replace(made["regions"], handles=points)
    encoded: list[Tensor] = []
    shown: list[Tensor] = []
    real, show = own_start.encoded, own_start._picture

    def encode(vae: object, picture: Tensor) -> Tensor:
        encoded.append(picture)
        return real(vae, picture)

    def look(*given: object) -> Tensor:
        shown.append(show(*given))
        return shown[-1]

    monkeypatch.setattr(own_start, "encoded", encode)
    monkeypatch.setattr(own_start, "_picture", look)
    for recipe, bent in (("gooddrag", True), ("dragnext", False)):
        start = own_start.start_of(made["model"], path, task, DragChoices(recipe))
        assert (start.warped is not None) == bent == (start.draft is None)
        rigid = pixel_warp(shown[-1], task.regions, leaving(task))
        assert torch.equal(encoded[-1], rigid) == (not bent)
        assert any("is bent by its 2 points" in note for note in start.notes) == bent

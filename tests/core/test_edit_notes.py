"""What an edit tells of the picture that the drag was drawn on: by the picture's size, never the model's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from drag_core.edit import edit_picture
from drag_core.motion.instruction import DragInstruction, PointSpec
from drag_core.types import Task

IMAGE = torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("drawn", "note"),
    [
        ((128, 96), None),
        ((64, 48), "the drag was drawn on 64x48 and the picture is 128x96: it was scaled to fit"),
        ((None, None), None),
    ],
)
def test_the_note_is_of_the_picture(
    drawn: tuple[int | None, int | None], note: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Task] = []

    def still(model: Any, image: Tensor, task: Task, **_: Any) -> tuple[Any, Tensor]:
        seen.append(task)
        return None, image

    monkeypatch.setattr("drag_core.edit.run_task", still)
    model: Any = SimpleNamespace(side=64, multiple=16, family="sd")
    x = DragInstruction(*drawn, points=(PointSpec((20.0, 20.0), (30.0, 24.0)),))
    edit = edit_picture(model, IMAGE, x)
    assert [n for n in edit.notes if "drawn on" in n] == ([] if note is None else [note])
    assert (seen[0].image.width, seen[0].image.height) == (80, 48)  # the model's own size

"""What one draws in Drag Editor, as its document, and what the node gives for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from region_drag_editing.drag_core.types import DragError
from region_drag_editing.nodes.editor import DragEditor
from region_drag_editing.nodes.unfinished import Unfinished, drawn

BOX = [[10, 10], [19, 10], [19, 19], [10, 19]]
MOVE = {"task": "relocation", "polygons": [BOX], "target": [44.5, 24.5]}


def picture(width: int = 80, height: int = 60) -> torch.Tensor:
    with torch.inference_mode():  # as the host's executor hands it over
        return torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(3))


def document(**fields: Any) -> str:
    return json.dumps({"version": 1, "image": {"width": 80, "height": 60}} | fields)


def named(drag: str, image: torch.Tensor | None = None, **inputs: Any) -> dict[str, Any]:
    """All outputs by their names; the text under the node as "said"."""
    with torch.inference_mode():
        out = DragEditor.execute(picture() if image is None else image, drag, **inputs)
    names = [o.id for o in DragEditor.define_schema().outputs]
    return dict(zip(names, out.result, strict=True)) | {"said": out.ui["text"][0]}


def blocked(value: Any) -> str:
    """What a node says that takes these regions."""
    assert isinstance(value, Unfinished)
    with pytest.raises(DragError) as error:
        drawn(value)
    return str(error.value)


def sentence(message: str) -> bool:
    return 10 < len(message) < 400 and "\n" not in message and "Traceback" not in message

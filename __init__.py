"""Drag editing for ComfyUI: the entry point that the host loads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .nodes import DragEditing

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> DragEditing:
    from .nodes import DragEditing

    return DragEditing()

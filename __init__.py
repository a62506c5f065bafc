"""Drag editing for ComfyUI: the entry point that the host loads."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    from .nodes import DragEditing

    return DragEditing()

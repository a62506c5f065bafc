"""Drag editing for ComfyUI: the entry point that the host loads."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> object:  # a ComfyExtension; nothing is imported before the host asks
    from .nodes import DragEditing

    return DragEditing()

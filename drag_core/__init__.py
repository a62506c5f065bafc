"""Drag editing in pure torch: mark a region or a point of a picture, drag it, have it re-drawn.

    from drag_core import edit_picture, load_model, read_instruction, read_picture, write_picture

    picture, drag = read_picture("in.png"), read_instruction("drag.json")
    edit = edit_picture(load_model("embedded-sd"), picture.image, drag, recipe="dragnext")
    write_picture("out.png", edit.image)

Each name is fetched from its module when it is asked for: importing the package loads nothing, torch neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .backends.load import Model as Model
    from .backends.load import load_model as load_model
    from .drag import drag as drag
    from .edit import Edit as Edit
    from .edit import edit_picture as edit_picture
    from .lora import Training as Training
    from .motion.instruction import DragInstruction as DragInstruction
    from .motion.instruction import read_instruction as read_instruction
    from .pictures.files import read_picture as read_picture
    from .pictures.files import write_picture as write_picture
    from .recipes import METHODS as METHODS
    from .recipes.recipe import Recipe as Recipe
    from .result import Result as Result
    from .trajectory.invert import denoise as denoise
    from .trajectory.invert import invert as invert
    from .types import DragError as DragError
    from .types import Task as Task

__version__ = "0.1.0"

_PLACES = {
    "Model": "backends.load",
    "load_model": "backends.load",
    "drag": "drag",
    "Edit": "edit",
    "edit_picture": "edit",
    "Training": "lora",
    "DragInstruction": "motion.instruction",
    "read_instruction": "motion.instruction",
    "read_picture": "pictures.files",
    "write_picture": "pictures.files",
    "METHODS": "recipes",
    "Recipe": "recipes.recipe",
    "Result": "result",
    "denoise": "trajectory.invert",
    "invert": "trajectory.invert",
    "DragError": "types",
    "Task": "types",
}
__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)

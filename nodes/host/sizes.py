"""The size that a model works at, and the part of a picture that it is shown."""

from __future__ import annotations

from typing import Any

from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.model_sampling import V_PREDICTION

from ...drag_core.pictures.crop import Crop, choose_crop
from ...drag_core.recipes.presets import preset_for
from ...drag_core.types import DragError, Task
from .family import context_width, geometry_or_none
from .schedule import sampling_of
from .shape import cell_of
from .whole import net_of

OF_2 = 1024  # width of the prompt's tokens of Stable Diffusion 2.x
SMALL = {768: 512, OF_2: 512}  # of 1.x and 2.x
SIDE_OF_V = 768  # of 2.x with v-prediction
LARGE = 1024  # SDXL, FLUX, SD3 and what came after them
MULTIPLE = 16  # px that a crop's sides are multiples of, if the model does not ask for more


def side_of(patcher: Any) -> int:
    """Returns the side of the square that the model was trained on, in pixels."""
    net = net_of(patcher)
    preset = preset_for(geometry_or_none(net))
    if preset is not None:
        return preset.side
    if type(net) is not UNetModel:
        return LARGE
    width = context_width(net) or 0
    if width == OF_2 and isinstance(sampling_of(patcher), V_PREDICTION):
        return SIDE_OF_V
    return SMALL.get(width, LARGE)


def crop_for(patcher: Any, task: Task, side: int) -> Crop | None:
    """Chooses the part of the picture that the model is shown; None where it is the whole as it is.

    side: as choose_crop()'s; 0 keeps the picture's pixels, and crops only where its sides do not fit.
    """
    cell = cell_of(patcher.model)
    if side == 0 and not (task.image.height % cell or task.image.width % cell):
        return None
    multiple = max(MULTIPLE, 2 * cell)
    if side != 0 and side < multiple:
        raise DragError(f"side is {side} px; for this model it must be 0 or at least {multiple} px")
    if min(task.image.height, task.image.width) < multiple:
        raise DragError(
            f"the picture is {task.image.width}x{task.image.height} px and this model needs {multiple} px a "
            "side: enlarge it"
        )
    return choose_crop(task, side, multiple=multiple)

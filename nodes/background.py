"""DragBackgroundHardConstraint: outside the mask the picture stays (DragFlow eq. 4)."""

from __future__ import annotations

from comfy_api.latest import io
from torch import Tensor

from ..drag_core.motion.masks import on_grid
from ..drag_core.recipes.assemble import KeepBackground
from ..drag_core.trajectory.background import BackgroundSource
from ..drag_core.types import DragError, Grid
from . import sockets
from .convert import joined
from .host.family import family_in
from .host.inversion import Inversion
from .host.patches import keep_background
from .host.shape import cell_of


class DragBackgroundHardConstraint(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragBackgroundHardConstraint",
            display_name="Drag Background Hard Constraint",
            category=sockets.PARTS,
            description="Keeps the picture outside the editable mask at every step. The constraint goes to "
            "DragOptimize; the model does the same in any stock sampler.",
            inputs=[
                io.Model.Input("model", tooltip="The model that was inverted."),
                sockets.Trajectory.Input(
                    "trajectory", tooltip="From DragInvert: the picture at every noise level."
                ),
                io.Mask.Input("editable", tooltip="White: may change. Black: stays. At the picture's size."),
                io.Combo.Input(
                    "source",
                    options=["trajectory", "reconstruction"],
                    default="trajectory",
                    tooltip="trajectory: the inverted picture itself, exact and free. reconstruction: "
                    "denoised beside the edit as in the paper, one more model call a step.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    display_name="model", tooltip="For stock samplers: blends the background every step."
                ),
                sockets.Constraint.Output(display_name="constraint", tooltip="For DragOptimize."),
            ],
        )

    @classmethod
    def execute(
        cls, model: io.Model.Type, trajectory: Inversion, editable: Tensor, source: BackgroundSource
    ) -> io.NodeOutput:
        h, w = trajectory.trajectory.z[0].shape[-2:]
        cell = cell_of(model.model)
        mask = joined(editable, Grid(cell * h, cell * w))
        if mask.sum() == 0:
            raise DragError(
                "the editable mask is empty, so that nothing may change: paint it white where the drag is"
            )
        cells = on_grid(mask, Grid(h, w), family_in(model).ground().share)  # as DragOptimize will
        return io.NodeOutput(keep_background(model, trajectory, cells, source), KeepBackground(mask, source))

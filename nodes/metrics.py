"""DragMetrics: how well an edit did what the drag asked for."""

from __future__ import annotations

import json

from comfy_api.latest import io, ui
from torch import Tensor

from ..drag_core.metrics.report import as_dict, measure, table
from ..drag_core.pictures.overlay import outlines
from ..drag_core.types import Task
from .convert import host_image, picture
from .sockets import CATEGORY, Regions
from .unfinished import Unfinished, drawn


class DragMetrics(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragMetrics",
            display_name="Drag Metrics",
            category=CATEGORY,
            description=(
                "Measures a drag edit: was the content carried to its target (DAI, moved content, "
                "centroid), is the background kept, how much changed. Beside every number stands that of no "
                "edit at all."
            ),
            inputs=[
                io.Image.Input("original", tooltip="The picture before the drag."),
                io.Image.Input("edited", tooltip="The picture after the drag, of the same size in pixels."),
                Regions.Input("regions", tooltip="The drag: what was to move where, made on the original."),
                io.Image.Input(
                    "reference",
                    optional=True,
                    tooltip=(
                        "The right result, if you have one (a video frame, a rendered scene): adds how "
                        "close the edit comes to it. Same size in pixels."
                    ),
                ),
            ],
            outputs=[
                io.String.Output("table", tooltip="One metric a line, with the direction that is better."),
                io.Image.Output("overlay", tooltip="The edit; sources outlined blue, targets green, arrows."),
                io.String.Output("json", tooltip="The same numbers as JSON; null where there is none."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, original: Tensor, edited: Tensor, regions: Task | Unfinished, reference: Tensor | None = None
    ) -> io.NodeOutput:
        task = drawn(regions)
        before, after = picture(original)[0], picture(edited)[0]
        report = measure(before, after, task, None if reference is None else picture(reference)[0])
        text = table(report)
        data = json.dumps(as_dict(report), indent=1, allow_nan=False)
        return io.NodeOutput(text, host_image(outlines(after, task)), data, ui=ui.PreviewText(text))

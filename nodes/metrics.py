"""DragMetrics: how well an edit did what the drag asked for."""

from __future__ import annotations

import json

import torch
from comfy_api.latest import io, ui
from torch import Tensor

from ..drag_core.metrics.cost import told
from ..drag_core.metrics.lpips import LpipsNet
from ..drag_core.metrics.matched import Features
from ..drag_core.metrics.report import Looks, as_dict, measure, missing, places, rows, table, title
from ..drag_core.pictures.overlay import match_arrows, outlines, strip
from ..drag_core.pictures.sheet import sheet
from ..drag_core.types import Task
from . import sockets
from .convert import host_image, picture
from .unfinished import Unfinished, drawn


class DragMetrics(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragMetrics",
            display_name="Drag Metrics",
            category=sockets.INSPECT,
            description=(
                "Measures a drag edit: was the content carried to its target (DAI, moved content, "
                "centroid, IF, MD), is the background kept, how much changed. Beside every number stands "
                "that of no edit at all; a number whose network is not connected says what it needs."
            ),
            inputs=[
                io.Image.Input("original", tooltip="The picture before the drag."),
                io.Image.Input("edited", tooltip="The picture after the drag, of the same size in pixels."),
                sockets.Regions.Input(
                    "regions", tooltip="The drag: what was to move where, made on the original."
                ),
                io.Image.Input(
                    "reference",
                    optional=True,
                    tooltip=(
                        "The right result, if you have one (a video frame, a rendered scene): adds how "
                        "close the edit comes to it. Same size in pixels."
                    ),
                ),
                sockets.Lpips.Input(
                    "lpips",
                    optional=True,
                    tooltip="From DragLoadLPIPS: adds the papers' image fidelities (IF_bg, IF_s2t ...).",
                ),
                sockets.Features.Input(
                    "original_features",
                    optional=True,
                    tooltip="From DragDIFT on the original: with edited_features adds MD, MD1, MD2.",
                ),
                sockets.Features.Input(
                    "edited_features",
                    optional=True,
                    tooltip="From DragDIFT on the edit, with the same settings.",
                ),
                io.String.Input(
                    "report",
                    optional=True,
                    force_input=True,
                    tooltip="DragOptimize's report: adds the seconds and the peak memory of the drag.",
                ),
            ],
            outputs=[
                io.String.Output("table", tooltip="One metric a line, with the direction that is better."),
                io.Image.Output("overlay", tooltip="The edit; sources outlined blue, targets green, arrows."),
                io.String.Output("json", tooltip="The same numbers as JSON; null where there is none."),
                io.Image.Output(display_name="sheet", tooltip="The table as a picture."),
                io.Image.Output(
                    display_name="matches",
                    tooltip="Where the content was found: arrows from start to target, red from there to "
                    "the match. One picture for each mean distance, or of template matching.",
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        original: Tensor,
        edited: Tensor,
        regions: Task | Unfinished,
        reference: Tensor | None = None,
        lpips: LpipsNet | None = None,
        original_features: Features | None = None,
        edited_features: Features | None = None,
        report: str | None = None,
    ) -> io.NodeOutput:
        task = drawn(regions)
        before, after = picture(original)[0], picture(edited)[0]
        right = None if reference is None else picture(reference)[0]
        looks = Looks(lpips, original_features, edited_features)
        with torch.inference_mode(False):
            found = measure(before, after, task, right, looks, told(report) if report else None)
            text = table(found)
            data = json.dumps(as_dict(found), indent=1, allow_nan=False)
            drawn_table = sheet(title(found), rows(found), missing(found))
            shown = [
                strip([match_arrows(after, [(f.start, f.target, f.found) for f in each])], [label])
                for label, each in places(before, after, task, looks)
            ]
        images = (host_image(x) for x in (outlines(after, task), drawn_table, torch.stack(shown)))
        overlay, sheet_image, matches = images
        return io.NodeOutput(text, overlay, data, sheet_image, matches, ui=ui.PreviewText(text))

"""DragEditor: the drag drawn on the picture, in the browser (web/drag_editor.js), as masks and regions."""

from __future__ import annotations

from dataclasses import replace

import torch
from comfy_api.latest import io, ui
from torch import Tensor

from ..drag_core.motion.draft import shown, unfinished
from ..drag_core.motion.instruction import DragInstruction, parse
from ..drag_core.motion.region import drag_task
from ..drag_core.pictures.overlay import overlay
from ..drag_core.types import DragError, Grid, Task
from . import sockets
from .convert import host_image, host_mask, masks, picture, said
from .starts import Starts, starts_of
from .unfinished import Unfinished


def _read(drag: str) -> DragInstruction:
    """Reads the editor's document; "" is an empty one.

    Drafts are read: get image shall work while one draws.
    """
    return parse(drag, finished=False) if drag.strip() else DragInstruction()


def _connected(mask: Tensor | None, size: Grid) -> list[Tensor]:
    """Lists the masks of a MASK.

    A black one may have any size: Load Image's is 64x64 where none is painted.
    """
    if mask is None:
        return []
    if not (mask > 0.5).any():
        return [torch.zeros(size.height, size.width)] * (len(mask) if mask.ndim == 3 else 1)
    return masks(mask, size)


class DragEditor(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragEditor",
            display_name="Drag Editor",
            category=sockets.CATEGORY,
            description="Mark a part of the picture, drag it, turn it, and see where it goes before any "
            "model runs.",
            search_aliases=[
                *("drag", "drag editing", "region", "draw", "points", "mask editor", "move object"),
                *("liquify", "warp", "puppet", "relocate", "reposition"),
            ],
            inputs=[
                io.Image.Input("image", tooltip="The picture to drag in. One picture, RGB."),
                io.String.Input(  # no tooltip: Nodes 2.0 would lay it over the editor
                    "drag", default="", socketless=True, extra_dict={"widgetType": "DRAG_EDITOR"}
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Parts that move, made elsewhere, on this picture: a region of the drag whose "
                    "mask is 'input 1' is the first of the batch, and moves as that region says.",
                ),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The picture as it came."),
                io.Mask.Output("mask", tooltip="Where the regions are."),
                io.Mask.Output("editable", tooltip="What may change; all of it for none."),
                io.String.Output("instruction", tooltip="The drag as JSON, for DragRegionMaskAffine."),
                io.Image.Output("overlay", tooltip="The regions in blue, where they go in green, arrows."),
                sockets.Regions.Output("regions", tooltip="What moves where, for the drag."),
                io.Image.Output("filled", tooltip="The picture with the regions painted over."),
                io.Image.Output(
                    "warped",
                    tooltip="The draft: the regions cut out, moved and pasted, what they leave painted over. "
                    "Several points on a region bend it; points alone carry what may change.",
                ),
                io.String.Output(
                    "prompt_before",
                    tooltip="What the panel says that the picture shows, for the text encoder of Drag "
                    "Invert's positive.",
                ),
                io.String.Output(
                    "prompt_after",
                    tooltip="What it says that the edit will show, for the text encoder of Drag Optimize's "
                    "positive.",
                ),
            ],
            is_output_node=True,  # so that the editor's "get image" can run what comes before it, and no more
        )

    @classmethod
    def validate_inputs(cls, drag: str | None = None) -> bool | str:
        if isinstance(drag, str):  # None: linked
            try:
                _read(drag)
            except DragError as e:
                return str(e)
        return True

    @classmethod
    def execute(cls, image: Tensor, drag: str = "", mask: Tensor | None = None) -> io.NodeOutput:
        # ordinary tensors go into the regions: those of inference mode can't take part in a gradient
        with torch.inference_mode(False):
            pixels = picture(image).clamp(0, 1)[0]
            size = Grid(pixels.shape[-2], pixels.shape[-1])
            x, inputs = _read(drag), _connected(mask, size)
            source, may, notes = shown(x, size, inputs)
            regions: Task | Unfinished
            if missing := unfinished(x, inputs):
                drawn, regions = pixels, Unfinished(f"in the drag editor {missing}")
                made = Starts(pixels, pixels)
            else:
                task, notes = drag_task(size, instruction=x, inputs=inputs)
                may = torch.ones_like(source) if task.editable is None else task.editable
                made = starts_of(pixels, task)
                drawn, regions = overlay(pixels, task), replace(task, picture=image.movedim(-1, 1))
                notes = (*notes, *made.notes)
        background = ui.PreviewImage(host_image(pixels), cls=cls).as_dict()["images"]
        size_shown = [size.width, size.height]
        return io.NodeOutput(
            image,
            host_mask(source),
            host_mask(may),
            drag,
            host_image(drawn),
            regions,
            host_image(made.filled),
            host_image(made.warped),
            x.source_prompt,
            x.target_prompt,
            ui={"drag_background": background, "drag_size": size_shown, "text": (said(notes),)},
        )

"""Drag Crop and Drag Paste Back: edit a part of a picture at the model's size, all other pixels untouched."""

from __future__ import annotations

from dataclasses import replace

import torch
from comfy_api.latest import io, ui

from ..drag_core.pictures.crop import Crop, choose_crop, cut, framed, notes_of, task_in
from ..drag_core.pictures.paste import SEAM, paste_back
from ..drag_core.types import DragError, Grid, Task
from . import sockets
from .convert import host_image, picture, said
from .starts import starts_of
from .unfinished import Unfinished, drawn


class DragCrop(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragCrop",
            display_name="Drag Crop",
            category=sockets.PARTS,
            description="Cuts out what the drag needs and resizes it to the model's size. Drag Paste Back "
            "puts the result back.",
            inputs=[
                io.Image.Input("image", tooltip="The whole picture, that the regions were drawn on."),
                sockets.Regions.Input("regions", tooltip="What moves where on the whole picture."),
                io.Int.Input(
                    "side",
                    default=512,
                    min=0,
                    max=8192,
                    step=8,
                    tooltip="The model's working size in pixels: the crop has about as many pixels as a "
                    "square of this side (512 for SD1.5, 1024 for SDXL and FLUX, 256 for the embedded "
                    "models). 0 keeps the crop's pixels.",
                ),
                io.Float.Input(
                    "margin",
                    default=25.0,
                    min=0.0,
                    max=1000.0,
                    step=1.0,
                    round=0.1,
                    tooltip="Surroundings to keep around regions, targets and editable mask, in percent of "
                    "their mean side.",
                ),
                io.Int.Input(
                    "multiple",
                    default=16,
                    min=1,
                    max=256,
                    step=1,
                    tooltip="The crop's sides are multiples of this many pixels: 8 for SD, 16 for FLUX.",
                ),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The crop at the model's size."),
                sockets.Regions.Output("regions", tooltip="The same drag in the crop's pixels."),
                sockets.Crop.Output("crop", tooltip="Where the crop lies, for Drag Paste Back."),
                io.Image.Output("preview", tooltip="The whole picture with the crop's rectangle."),
                io.Image.Output("filled", tooltip="The crop with its regions painted over."),
                io.Image.Output(
                    "warped", tooltip="The draft of the crop, as Drag Region makes one of a whole picture."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        regions: Task | Unfinished,
        side: int = 512,
        margin: float = 25.0,
        multiple: int = 16,
    ) -> io.NodeOutput:
        task = drawn(regions)
        # ordinary tensors go into the regions: those of inference mode can't take part in a gradient
        with torch.inference_mode(False):
            pixels = picture(image)
            crop = choose_crop(task, side, margin, multiple)
            small = cut(pixels, crop)
            drag = replace(task_in(task, crop), picture=small)
            preview = host_image(framed(pixels[0], crop))
            made = starts_of(small[0].clamp(0, 1), drag)
        return io.NodeOutput(
            host_image(small),
            drag,
            crop,
            preview,
            host_image(made.filled),
            host_image(made.warped),
            ui={
                **ui.PreviewImage(preview, cls=cls).as_dict(),
                "text": (said((*notes_of(crop), *made.notes)),),
                "drag_crop": [crop.x, crop.y, crop.width, crop.height],  # the editor shows previews there
            },
        )


class DragPasteBack(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragPasteBack",
            display_name="Drag Paste Back",
            category=sockets.PARTS,
            description="Puts the edited crop back into the picture: only the editable mask changes, every "
            "other pixel keeps its exact value.",
            inputs=[
                io.Image.Input("original", tooltip="The whole picture before the drag."),
                io.Image.Input(
                    "edited",
                    tooltip="The dragged crop, as large as it was or upscaled; it is resized to fit.",
                ),
                sockets.Regions.Input(
                    "regions", tooltip="What moved where on the whole picture (not Drag Crop's own output)."
                ),
                sockets.Crop.Input(
                    "crop",
                    optional=True,
                    tooltip="Where the crop lies, from Drag Crop. Without it the edited picture is taken "
                    "for the whole picture.",
                ),
                io.Float.Input(
                    "seam",
                    default=SEAM,
                    min=0.0,
                    max=1024.0,
                    step=1.0,
                    round=0.1,
                    tooltip="Over how many pixels inside the editable mask the edit fades in; 0: hard edge.",
                ),
            ],
            outputs=[io.Image.Output("image", tooltip="The whole picture with the drag in it.")],
        )

    @classmethod
    def execute(
        cls,
        original: torch.Tensor,
        edited: torch.Tensor,
        regions: Task | Unfinished,
        crop: Crop | None = None,
        seam: float = SEAM,
    ) -> io.NodeOutput:
        task = drawn(regions)
        here = Grid(original.shape[-3], original.shape[-2])
        if task.image != here:
            raise DragError(
                f"the regions are drawn on {task.image.width}x{task.image.height} and the original is "
                f"{here.width}x{here.height}: connect the regions of the original, not those of Drag Crop"
            )
        pixels, new = picture(original), picture(edited)
        pasted = paste_back(pixels, new, task.editable, crop, seam).movedim(1, -1)
        out = torch.cat([pasted.to(original), original[..., 3:]], -1)
        return io.NodeOutput(out.contiguous())

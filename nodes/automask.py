"""DragAutoMask: what may change, from the points alone (AdaptiveDrag)."""

from __future__ import annotations

from dataclasses import replace

import torch
from comfy_api.latest import io, ui

from ..drag_core.features.sam2 import Sam2
from ..drag_core.motion.exchange import regions_of
from ..drag_core.motion.instruction import parse
from ..drag_core.motion.region import drag_task
from ..drag_core.motion.superpixels import divided, lab, patch_at
from ..drag_core.pictures.overlay import overlay
from ..drag_core.types import DragError, Grid, Task
from . import sockets
from .convert import host_image, host_mask, picture, said
from .host.features import unet_features, vision_features
from .host.sam2 import sam2_features
from .unfinished import Unfinished, drawn


class DragAutoMask(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragAutoMask",
            display_name="Drag Auto Mask",
            category=sockets.PARTS,
            description="Finds what may change from the points of a drag: the super-pixels under the "
            "handles, "
            "extended along the lines to the targets (AdaptiveDrag). The super-pixels follow a model's "
            "features, or "
            "colour where none is connected; the node says which.",
            search_aliases=["auto mask", "super-pixel", "slic", "adaptivedrag", "sam"],
            inputs=[
                io.Image.Input("image", tooltip="The picture to drag in. One picture, RGB."),
                sockets.Regions.Input(
                    "regions",
                    optional=True,
                    tooltip="A drag, for its points (a region counts with its middle): kept, with the mask "
                    "found here.",
                ),
                io.String.Input(
                    "instruction",
                    multiline=True,
                    default="",
                    dynamic_prompts=False,
                    tooltip="A drag instruction as JSON with points, beside those of regions.",
                ),
                io.Int.Input(
                    "patches",
                    default=200,
                    min=4,
                    max=2000,
                    tooltip="About how many super-pixels the picture is cut into; more are smaller.",
                ),
                io.Float.Input(
                    "likeness",
                    default=0.9,
                    min=0.0,
                    max=3.0,
                    step=0.05,
                    tooltip="How different neighbouring super-pixels may be to belong to the thing under a "
                    "handle; 0: "
                    "only the one under it.",
                ),
                io.Int.Input(
                    "margin",
                    default=12,
                    min=0,
                    max=512,
                    tooltip="Pixels that the mask is grown by at the end.",
                ),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="A CLIP vision, SigLIP or DINO model, whose features the super-pixels then "
                    "follow.",
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="A Stable Diffusion model, whose features the super-pixels then follow; with "
                    "vae and positive.",
                ),
                io.Vae.Input("vae", optional=True, tooltip="The model's VAE."),
                io.Conditioning.Input(
                    "positive", optional=True, tooltip="What the picture shows; an empty prompt works too."
                ),
                sockets.Sam2.Input(
                    "sam2",
                    optional=True,
                    tooltip="From DragLoadSAM2: the super-pixels then follow its features, as AdaptiveDrag's "
                    "do.",
                ),
            ],
            outputs=[
                io.Mask.Output("editable", tooltip="What may change: for Drag Region's editable_mask."),
                sockets.Regions.Output(
                    "regions",
                    tooltip="The drag with this mask; points have their super-pixel, which adaptivedrag "
                    "compares.",
                ),
                sockets.Regions.Output(
                    "as_regions", tooltip="The points as super-pixel regions, for recipes that move regions."
                ),
                io.Image.Output("preview", tooltip="The drag and the mask on the picture."),
                io.String.Output("source", tooltip="Which features the super-pixels follow."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        instruction: str = "",
        patches: int = 200,
        likeness: float = 0.9,
        margin: int = 12,
        regions: Task | Unfinished | None = None,
        clip_vision: io.ClipVision.Type | None = None,
        model: io.Model.Type | None = None,
        vae: io.Vae.Type | None = None,
        positive: io.Conditioning.Type | None = None,
        sam2: Sam2 | None = None,
    ) -> io.NodeOutput:
        with torch.inference_mode(False):
            pixels = picture(image).clamp(0, 1)
            size = Grid(pixels.shape[-2], pixels.shape[-1])
            task = None if regions is None else drawn(regions)
            notes: tuple[str, ...] = ()
            if instruction.strip():
                task, notes = drag_task(size, instruction=parse(instruction), before=task)
            if task is None or not task.handles:
                raise DragError(
                    "an automatic mask follows from points and there is none: connect regions, or give an "
                    "instruction with points"
                )
            if task.image != size:
                raise DragError(
                    f"the drag was drawn on {task.image.width}x{task.image.height} and this picture is "
                    f"{size.width}x{size.height}: give both nodes the same picture"
                )
            if sam2 is not None:
                features, source = sam2_features(sam2, image)
            elif clip_vision is not None:
                features, source = vision_features(clip_vision, image)
            elif model is not None:
                features, source = unet_features(model, positive, vae, image)
            else:
                features, source = lab(pixels), "Lab colour (no model connected)"
            found = divided(task, features, count=patches, likeness=likeness, margin=margin)
            labels, editable = found.labels, found.editable
            assert labels is not None and editable is not None
            handles = tuple(replace(h, region=patch_at(labels, h.start)) for h in task.handles)
            drag = replace(found, handles=handles)
            moving = replace(drag, regions=task.regions or regions_of(handles, labels))
            preview = host_image(overlay(pixels[0], drag))
        text = said((f"super-pixels follow {source}: {int(labels.max()) + 1} of them", *notes))
        return io.NodeOutput(
            host_mask(editable),
            drag,
            moving,
            preview,
            source,
            ui={**ui.PreviewImage(preview, cls=cls).as_dict(), "text": (text,)},
        )

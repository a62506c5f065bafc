"""DragCorrespondenceGuide: any sampler draws around the targets what the picture has around the handles."""

from __future__ import annotations

from comfy_api.latest import io

from ..drag_core.recipes.adaptivedrag import NUMBERS
from ..drag_core.types import Task
from . import sockets
from .host.guide import guide_correspondence
from .host.patches import sigma_range
from .inputs import sampling_range
from .unfinished import Unfinished, drawn


class DragCorrespondenceGuide(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragCorrespondenceGuide",
            display_name="Drag Correspondence Guide",
            category=sockets.PARTS,
            description="Patches a model so that every step of any sampler draws around each target what "
            "the picture has around its handle (AdaptiveDrag's CLoss). DragOptimize's recipe adaptivedrag "
            "does this by itself.",
            search_aliases=["closs", "adaptivedrag", "guidance", "correspondence"],
            inputs=[
                io.Model.Input("model", tooltip="The model that samples."),
                io.Latent.Input("latent", tooltip="The original picture, encoded with VAE Encode."),
                sockets.Regions.Input(
                    "regions", tooltip="The drag: its points (a region counts with its middle)."
                ),
                io.Float.Input(
                    "strength",
                    default=NUMBERS.guidance,
                    min=0.0,
                    max=10.0,
                    step=0.01,
                    tooltip="How far a step is shifted, as recipe adaptivedrag counts it (guidance): in "
                    "units of the step's noise, root mean square over the squares' cells; 0: nothing "
                    "happens.",
                ),
                io.Int.Input(
                    "radius",
                    default=0,
                    min=0,
                    max=512,
                    step=8,
                    tooltip="Half side, in pixels, of the squares around handle and target that are "
                    "compared. 0: AdaptiveDrag's, which grows with the picture (40 at 512x512).",
                ),
                *sampling_range(),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The patched model, for any sampler.")],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        latent: io.Latent.Type,
        regions: Task | Unfinished,
        strength: float,
        radius: int,
        start_percent: float,
        end_percent: float,
    ) -> io.NodeOutput:
        sigmas = sigma_range(model, start_percent, end_percent)
        return io.NodeOutput(
            guide_correspondence(model, latent["samples"], drawn(regions), strength, radius, sigmas)
        )

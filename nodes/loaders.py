"""DragEmbeddedModel: the pack's own small models, for trying things out without a download."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host.loaders import FILES, load_embedded


class DragEmbeddedModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragEmbeddedModel",
            display_name="Drag Embedded Model",
            category=sockets.EXAMPLES,
            description="Loads one of the small models that come with this pack (13 MB, trained on drawn "
            "shapes at 256x256): to try a drag and to test workflows, not for photographs.",
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=list(FILES),
                    default="embedded-flux",
                    tooltip="embedded-flux: FLUX's architecture (recipe dragflow). embedded-sd: Stable "
                    "Diffusion's UNet (recipes dragnext, gooddrag, dragdiffusion, adaptivedrag).",
                )
            ],
            outputs=[
                io.Model.Output(display_name="model"),
                io.Conditioning.Output(
                    display_name="positive", tooltip="The empty prompt; these models read no text."
                ),
                io.Vae.Output(display_name="vae"),
            ],
        )

    @classmethod
    def execute(cls, model_name: str) -> io.NodeOutput:
        return io.NodeOutput(*load_embedded(model_name))

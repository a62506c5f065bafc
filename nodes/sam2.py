"""DragLoadSAM2: SAM 2's image encoder, along whose features DragAutoMask cuts."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host.sam2 import load_sam2, sam2_names


class DragLoadSAM2(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragLoadSAM2",
            display_name="Drag Load SAM 2",
            category=sockets.PARTS,
            description="Loads the image encoder of SAM 2 or 2.1 (tiny, small, base plus, large) for "
            "DragAutoMask, as AdaptiveDrag has it. Files lie in models/sam2 or models/sams.",
            search_aliases=["sam2", "segment anything", "hiera"],
            inputs=[
                io.Combo.Input(
                    "sam2_name",
                    options=sam2_names(),
                    tooltip="The .safetensors or .pt file, with the names that it was released with.",
                ),
            ],
            outputs=[sockets.Sam2.Output(display_name="sam2", tooltip="For DragAutoMask.")],
        )

    @classmethod
    def execute(cls, sam2_name: str) -> io.NodeOutput:
        return io.NodeOutput(load_sam2(sam2_name))

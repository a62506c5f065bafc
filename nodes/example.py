"""DragExampleScene: a drawn picture, a drag on it, and what it should become."""

from __future__ import annotations

from comfy_api.latest import io

from ..drag_core.bench.cases import KINDS, held_out
from ..drag_core.bench.example import instruction_of
from ..drag_core.motion.instruction import to_json
from . import sockets
from .convert import host_image, host_mask


class DragExampleScene(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragExampleScene",
            display_name="Drag Example Scene",
            category=sockets.CATEGORY,
            description="A drawn 256x256 picture with a drag whose exact result is known: for the example "
            "workflows and for trying out settings. The embedded models were not trained on "
            "these pictures.",
            inputs=[
                io.Combo.Input(
                    "kind",
                    options=list(KINDS),
                    default="move",
                    tooltip="What the drag does: move, rotate or deform.",
                ),
                io.Int.Input("number", default=0, min=0, max=63, tooltip="Which of the scenes of this kind."),
            ],
            outputs=[
                io.Image.Output(display_name="image"),
                io.Mask.Output(display_name="mask", tooltip="The thing that moves."),
                io.String.Output(display_name="instruction", tooltip="The drag, for DragRegionMaskAffine."),
                io.Image.Output(
                    display_name="truth", tooltip="The exact result, for DragMetrics' reference."
                ),
            ],
        )

    @classmethod
    def execute(cls, kind: str, number: int) -> io.NodeOutput:
        case = held_out(number + 1, kinds=(kind,))[-1]
        return io.NodeOutput(
            host_image(case.source),
            host_mask(case.mask),
            to_json(instruction_of(case)),
            host_image(case.truth),
        )

"""DragExampleScene: a drawn picture, a drag on it, and what it should become."""

from __future__ import annotations

from comfy_api.latest import io

from ..drag_core.bench.cases import Case, held_out
from ..drag_core.bench.example import instruction_of
from ..drag_core.bench.lit.cases import lit_case_number
from ..drag_core.motion.instruction import to_json
from ..drag_core.types import DragError
from . import sockets
from .convert import host_image, host_mask

# What a kind is called among the scenes; rotate and deform are what turn and scale were called before.
PLAIN = {"move": "move", "turn": "rotate", "scale": "deform", "rotate": "rotate", "deform": "deform"}
LIT = {"move": "move", "turn": "turn", "scale": "scale", "part": "part", "rotate": "turn", "deform": "scale"}


class DragExampleScene(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragExampleScene",
            display_name="Drag Example Scene",
            category=sockets.EXAMPLES,
            description="A drawn 256x256 picture with a drag whose exact result is known: for the example "
            "workflows and for trying out settings. The embedded models were not trained on "
            "these pictures.",
            inputs=[
                io.Combo.Input(
                    "kind",
                    options=["move", "turn", "scale", "part", "rotate", "deform"],
                    default="move",
                    tooltip="What the drag does. part: a part swings about its joint (lit scenes only); "
                    "rotate and deform are turn and scale by their older names.",
                ),
                io.Int.Input("number", default=0, min=0, max=63, tooltip="Which of the scenes of this kind."),
                io.Combo.Input(
                    "scenes",
                    options=["plain", "lit"],
                    default="lit",
                    optional=True,
                    tooltip="plain: shapes on a background. lit: things in places, with light and shadow "
                    "that stay where they are. Without a value (older workflows): plain.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image"),
                io.Mask.Output(display_name="mask", tooltip="The thing, or the part, that moves."),
                io.String.Output(display_name="instruction", tooltip="The drag, for DragRegionMaskAffine."),
                io.Image.Output(
                    display_name="truth", tooltip="The exact result, for DragMetrics' reference."
                ),
            ],
        )

    @classmethod
    def execute(cls, kind: str, number: int, scenes: str = "plain") -> io.NodeOutput:
        case = _case(kind, number, scenes)
        return io.NodeOutput(
            host_image(case.source),
            host_mask(case.mask),
            to_json(instruction_of(case)),
            host_image(case.truth),
        )


def _case(kind: str, number: int, scenes: str) -> Case:
    if scenes == "lit":
        return lit_case_number(number, LIT[kind])
    if kind not in PLAIN:
        raise DragError(
            f"kind {kind} is not there in plain scenes, whose things have no parts that swing: set scenes to "
            "lit, or choose move, turn or scale"
        )
    return held_out(number + 1, kinds=(PLAIN[kind],))[-1]

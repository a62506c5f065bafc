"""DragMemoryPlan: what fits on this card at which size."""

from __future__ import annotations

from comfy_api.latest import io, ui

from ..drag_core.recipes.dragflow import INVERSION
from ..drag_core.trajectory.kvplan import STORAGES, KVMemory
from . import sockets
from .host.plan import report


class DragMemoryPlan(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragMemoryPlan",
            display_name="Drag Memory Plan",
            category=sockets.INSPECT,
            description="Says what a drag with this model takes and what fits: weights, activations with and "
            "without checkpoints, keys and values, size by size. Runs nothing.",
            search_aliases=["vram", "memory", "out of memory"],
            is_output_node=True,
            inputs=[
                io.Model.Input("model", tooltip="The model that you will drag with, with its LoRAs."),
                io.Float.Input(
                    "card_gb",
                    default=0.0,
                    min=0.0,
                    max=1024.0,
                    step=0.5,
                    tooltip="Memory of the card to plan for, in GB; 0: what is free on this one now.",
                ),
                io.Int.Input(
                    "width", default=0, min=0, max=8192, step=16, tooltip="The picture's; 0: many sizes."
                ),
                io.Int.Input(
                    "height", default=0, min=0, max=8192, step=16, tooltip="The picture's; 0: many sizes."
                ),
                io.Int.Input("steps", default=INVERSION.steps, min=1, max=1000, tooltip="As in DragInvert."),
                io.Float.Input(
                    "strength",
                    default=INVERSION.strength,
                    min=0.01,
                    max=1.0,
                    step=0.01,
                    tooltip="As in DragInvert.",
                ),
                io.String.Input(
                    "kv_layers", default="auto", tooltip="As in DragInvert: auto, none, or a list of layers."
                ),
                io.Float.Input(
                    "kv_budget_gb",
                    default=0.0,
                    min=0.0,
                    max=1024.0,
                    step=0.5,
                    tooltip="As in DragInvert: most RAM for keys and values; 0: six tenths of what is free.",
                ),
                io.Combo.Input(
                    "kv_memory",
                    options=["auto", *STORAGES],
                    default="auto",
                    tooltip="As in DragInvert: how keys and values are kept.",
                ),
            ],
            outputs=[io.String.Output(display_name="report", tooltip="The table as text.")],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        card_gb: float,
        width: int,
        height: int,
        steps: int,
        strength: float,
        kv_layers: str,
        kv_budget_gb: float,
        kv_memory: KVMemory,
    ) -> io.NodeOutput:
        said = report(model, card_gb, width, height, steps, strength, kv_layers, kv_budget_gb, kv_memory)
        return io.NodeOutput(said, ui=ui.PreviewText(said))

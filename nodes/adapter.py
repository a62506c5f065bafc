"""DragAdapterInjection: any patched MODEL as the adapter of a drag."""

from __future__ import annotations

from comfy_api.latest import io, ui

from . import sockets
from .host.adapter import compare, inject
from .host.patches import sigma_range


class DragAdapterInjection(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragAdapterInjection",
            display_name="Drag Adapter Injection",
            category=sockets.CATEGORY,
            description="Uses an adapter (LoRA, IP-Adapter, PuLID ... already applied to the model by its "
            "own node) while inverting, while dragging, or both, at any strength.",
            inputs=[
                io.Model.Input("model", tooltip="The plain model."),
                io.Model.Input("adapted", tooltip="The same model after the adapter's own node."),
                io.Float.Input(
                    "scale",
                    default=1.0,
                    min=-2.0,
                    max=4.0,
                    step=0.05,
                    tooltip="Strength: 1 as the adapter's node set it, 0 none. A LoRA is scaled in its "
                    "weights; other adapters by mixing the outputs with and without, at two model "
                    "calls a step.",
                ),
                io.Combo.Input(
                    "stage",
                    options=["both", "inversion", "editing"],
                    default="both",
                    tooltip="Where the adapter acts; the other output is then the plain model.",
                ),
                io.Float.Input(
                    "start_percent",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="From this share of sampling on.",
                ),
                io.Float.Input(
                    "end_percent",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Up to this share of sampling.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="inversion", tooltip="For DragInvert."),
                io.Model.Output(display_name="editing", tooltip="For DragOptimize and samplers."),
                io.String.Output(display_name="report", tooltip="What kind of patch was found."),
            ],
        )

    @classmethod
    def execute(cls, model, adapted, scale, stage, start_percent, end_percent) -> io.NodeOutput:
        found = compare(model, adapted)
        sigmas = sigma_range(model, start_percent, end_percent)
        on = inject(model, adapted, scale, sigmas, (start_percent, end_percent) == (0.0, 1.0))
        said = f"found: {found}; stage {stage}, scale {scale:g}"
        if not (found.weights or found.options or found.fixed):
            said += ": both inputs are the same model, so that nothing is injected"
        inversion, editing = (model if stage == other else on for other in ("editing", "inversion"))
        return io.NodeOutput(inversion, editing, said, ui=ui.PreviewText(said))

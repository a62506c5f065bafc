"""DragAdapterInjection: any patched MODEL as the adapter of a drag."""

from __future__ import annotations

from comfy_api.latest import io, ui

from . import sockets
from .host.adapters.adapter import compare, inject
from .host.patches import sigma_range
from .inputs import Acts, by_stage, sampling_range, stage_input


class DragAdapterInjection(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragAdapterInjection",
            display_name="Drag Adapter Injection",
            category=sockets.ADAPTERS,
            description="Uses an adapter (LoRA, IP-Adapter ... already applied to the model by its own "
            "node) while inverting, while dragging, or both, at any strength.",
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
                stage_input("Where the adapter acts; the other output is then the plain model."),
                *sampling_range(),
            ],
            outputs=[
                io.Model.Output(display_name="inversion", tooltip="For DragInvert."),
                io.Model.Output(display_name="editing", tooltip="For DragOptimize and samplers."),
                io.String.Output(display_name="report", tooltip="What kind of patch was found."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        adapted: io.Model.Type,
        scale: float,
        stage: Acts,
        start_percent: float,
        end_percent: float,
    ) -> io.NodeOutput:
        found = compare(model, adapted)
        sigmas = sigma_range(model, start_percent, end_percent)
        on = inject(model, adapted, scale, sigmas, (start_percent, end_percent) == (0.0, 1.0))
        said = f"found: {found}; stage {stage}, scale {scale:g}"
        if not (found.weights or found.options or found.fixed):
            said += ": both inputs are the same model, so that nothing is injected"
        return io.NodeOutput(*by_stage(stage, model, on), said, ui=ui.PreviewText(said))

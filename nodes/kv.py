"""DragKVInject: stock samplers look at the inverted picture's keys and values."""

from __future__ import annotations

from comfy_api.latest import io

from ..drag_core.recipes.released import KVPairing
from . import sockets
from .host.inversion import Inversion, choose_kv, kv_layers
from .host.patches import inject_kv, sigma_range
from .inputs import sampling_range


class DragKVInject(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragKVInject",
            display_name="Drag KV Inject",
            category=sockets.CATEGORY,
            description="Patches a model so that self-attention uses the inverted picture's keys and "
            "values, matched by noise level: identity and texture stay. DragOptimize does this "
            "by itself where its recipe wants it.",
            inputs=[
                io.Model.Input("model", tooltip="The model that was inverted."),
                sockets.Trajectory.Input(
                    "trajectory", tooltip="From DragInvert, with kv_layers other than none."
                ),
                io.String.Input(
                    "layers",
                    default="auto",
                    tooltip="auto: the papers' layers for this model (Stable Diffusion: self-attention from "
                    "layer 10; FLUX: DragFlow's 13; other transformers: those as deep). Or a list as "
                    "'single.6, single.9'; they must be in the trajectory.",
                ),
                *sampling_range(),
                io.Combo.Input(
                    "pairing",
                    options=["level", "released"],
                    default="level",
                    optional=True,
                    tooltip="level: those of the nearest noise level. released: of the next cleaner one, as "
                    "DragFlow's released code.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model")],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        trajectory: Inversion,
        layers: str,
        start_percent: float,
        end_percent: float,
        pairing: KVPairing = "level",
    ) -> io.NodeOutput:
        chosen = choose_kv(layers, *kv_layers(model))
        sigmas = sigma_range(model, start_percent, end_percent)
        return io.NodeOutput(inject_kv(model, trajectory, chosen, sigmas, pairing))

"""DragDIFT: features of a picture, in which Drag Metrics looks for what was dragged."""

from __future__ import annotations

import torch
from comfy_api.latest import io, ui

from ..drag_core.metrics.protocols import rules_of
from . import sockets
from .convert import picture
from .host.dift import host_features


class DragDIFT(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragDIFT",
            display_name="Drag DIFT",
            category=sockets.INSPECT,
            description="Features of a picture by Stable Diffusion 2.1 (DIFT: level 261, second up block, "
            "mean over 8 noises), for the mean distances of Drag Metrics. One node for the original, one for "
            "the edit, with the same settings.",
            search_aliases=["mean distance", "md", "md1", "md2", "correspondence"],
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="Stable Diffusion 2.1, the 768-v checkpoint of the papers. 1.5 works too; its "
                    "distances are named otherwise.",
                ),
                io.Clip.Input("clip", tooltip="The model's text encoder."),
                io.Vae.Input("vae", tooltip="The model's VAE."),
                io.Image.Input("image", tooltip="The original, or the edit. One picture."),
                io.String.Input(
                    "prompt",
                    multiline=True,
                    default="",
                    dynamic_prompts=False,
                    tooltip="What the original shows, as the data set says it, for dragdiffusion, draglora "
                    "and regiondrag; the other protocols use the empty prompt.",
                ),
                io.Combo.Input(
                    "protocol",
                    options=["dragflow", "dragdiffusion", "draglora", "regiondrag", "inpaint4drag", "all"],
                    default="dragflow",
                    tooltip="Whose mean distance. dragflow: MD1 and MD2; dragdiffusion: MD; draglora: "
                    "m-MD; all: every one, with the work of four.",
                ),
                io.Int.Input(
                    "seed",
                    default=42,
                    min=0,
                    max=2**31 - 1,
                    tooltip="Of the noises, which come from the CPU.",
                ),
            ],
            outputs=[
                sockets.Features.Output(
                    display_name="features", tooltip="For DragMetrics: original_features or edited_features."
                ),
                io.String.Output(display_name="report", tooltip="Which model, which maps, their sizes."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        clip: io.Clip.Type,
        vae: io.Vae.Type,
        image: torch.Tensor,
        prompt: str,
        protocol: str,
        seed: int,
    ) -> io.NodeOutput:
        rules = rules_of(protocol)
        made = host_features(model, clip, vae, picture(image).clamp(0, 1), rules, prompt.strip(), seed)
        sizes = [
            f"{r.side or 'own size'}, {r.prompt} prompt: {m.shape[-1]}x{m.shape[-2]} cells of "
            f"{m.shape[1]} channels"
            for r, m in made.maps.items()
        ]
        named = made.label if made.is_sd21 else f"{made.label}, not the model that defines MD"
        said = "\n".join([f"{named}; weights' sha256 {made.sha256}; seed {seed}", *sizes])
        return io.NodeOutput(made, said, ui=ui.PreviewText(said))

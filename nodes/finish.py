"""DragFinish: a drag without gradients."""

from __future__ import annotations

import json
from contextlib import nullcontext

from comfy_api.latest import io, ui
from torch import Tensor

from ..drag_core.types import Grid, Task
from . import sockets
from .convert import host_image, host_mask, joined, picture, said
from .host.finish import finish_picture
from .host.finish_choices import FinishChoices, KVFrom
from .host.progress import Share, placing, sharing
from .host.sizes import crop_for
from .inputs import ranged
from .unfinished import Unfinished, drawn

START = FinishChoices()


class DragFinish(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragFinish",
            display_name="Drag Finish",
            category=sockets.CATEGORY,
            description="A drag without gradients: the regions are moved in pixels, and the model draws the "
            "hole that they leave, in a few steps. No inversion; any image model of ComfyUI's.",
            search_aliases=["drag", "inpaint", "differential diffusion", "fast drag"],
            inputs=[
                io.Model.Input("model", tooltip="Any image model, also with LoRAs; CFG is 1."),
                io.Conditioning.Input(
                    "positive", tooltip="What the edited picture shows; an empty prompt works too."
                ),
                io.Vae.Input("vae", tooltip="The VAE that belongs to the model."),
                io.Image.Input("image", tooltip="The picture that the regions were drawn on."),
                sockets.Regions.Input("regions", tooltip="What moves where, and what may change."),
                ranged(START, "strength"),
                ranged(START, "steps"),
                ranged(START, "core"),
                ranged(START, "rest"),
                io.Combo.Input(
                    "kv",
                    options=["none", "draft"],
                    default="none",
                    tooltip="draft: attention takes the draft's keys and values, for one more model call a "
                    "step. Helps transformers (FLUX and its kin) with much strength; nothing on a UNet.",
                ),
                io.Int.Input(
                    "seed",
                    default=START.seed,
                    min=0,
                    max=2**64 - 1,
                    control_after_generate=False,
                    tooltip="For the noise: another seed, another hole.",
                ),
                io.Image.Input(
                    "draft",
                    optional=True,
                    tooltip="A draft of the result at the picture's size, from any tool. Without it: the "
                    "regions moved in pixels, what they leave painted over.",
                ),
                io.Mask.Input(
                    "redraw",
                    optional=True,
                    tooltip="What the model draws anew, in place of the hole that the regions leave.",
                ),
                io.Int.Input(
                    "side",
                    default=0,
                    min=0,
                    max=8192,
                    step=8,
                    optional=True,
                    tooltip="The model's working size in pixels: it sees a crop around the drag of about as "
                    "many pixels as a square of this side (256 embedded, 512 SD1.5, 1024 SDXL, FLUX). 0: the "
                    "picture as it is, cropped only where its sides do not fit the model.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image",
                    tooltip="The result: the model's where it drew, the draft's elsewhere, the picture's "
                    "own pixels outside what may change.",
                ),
                io.Latent.Output(
                    display_name="latent", tooltip="What the model saw, as it drew it, for a sampler."
                ),
                io.Mask.Output(display_name="redrawn", tooltip="What the model drew; its edge is soft."),
                io.String.Output(
                    display_name="report", tooltip="JSON: what was redrawn, model calls, seconds."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        vae: io.Vae.Type,
        image: Tensor,
        regions: Task | Unfinished,
        strength: float = START.strength,
        steps: int = START.steps,
        core: float = START.core,
        rest: float = START.rest,
        kv: KVFrom = START.kv,
        seed: int = START.seed,
        draft: Tensor | None = None,
        redraw: Tensor | None = None,
        side: int = 0,
    ) -> io.NodeOutput:
        wish = FinishChoices(strength, steps, core, rest, kv, seed)
        task, pixels = drawn(regions), picture(image).clamp(0, 1)
        own = None if draft is None else picture(draft).clamp(0, 1)
        anew = None if redraw is None else joined(redraw, Grid(pixels.shape[-2], pixels.shape[-1]))
        crop = crop_for(model, task, side)
        with nullcontext() if crop is None else sharing(Share(0, steps, steps, placing(pixels[0], crop))):
            done = finish_picture(model, positive, vae, pixels, task, wish, own, anew, crop)
        here, of = done.report["cells"]
        line = f"{here} of {of} cells drawn anew in {done.report['model_calls']} model calls"
        return io.NodeOutput(
            host_image(done.picture),
            {"samples": done.samples},
            host_mask(done.redrawn),
            json.dumps(done.report, indent=1),
            ui=ui.PreviewText(said((line, *done.report["notes"]))),
        )

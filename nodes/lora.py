"""DragIdentityLoRA: the model learns the one picture before it is dragged."""

from __future__ import annotations

import json

from comfy_api.latest import io, ui

from ..drag_core.lora import Training
from ..drag_core.pictures.plot import loss_curve
from . import sockets
from .convert import host_image
from .host.lora import check_name, train, with_lora, write
from .inputs import ranged

USUAL = Training()


class DragIdentityLoRA(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragIdentityLoRA",
            display_name="Drag Identity LoRA",
            category=sockets.ADAPTERS,
            description="Trains a small LoRA on the one picture, so that what is dragged keeps its looks. "
            "The model goes to DragInvert and DragOptimize; the file works in any LoRA loader.",
            search_aliases=["lora", "train lora", "identity", "fine-tune"],
            inputs=[
                io.Model.Input(
                    "model", tooltip="FLUX, Stable Diffusion, Chroma, Qwen-Image; also with LoRAs."
                ),
                io.Conditioning.Input(
                    "positive", tooltip="What the picture shows; the papers use an empty prompt."
                ),
                io.Latent.Input("latent", tooltip="The picture, encoded with VAE Encode. One picture."),
                ranged(
                    USUAL,
                    "steps",
                    f"Training steps. GoodDrag {USUAL.steps}, DragDiffusion 80; more hold on to the picture "
                    "harder, and to where its things are.",
                ),
                ranged(USUAL, "rank", f"Size of the LoRA. The papers use {USUAL.rank}."),
                ranged(
                    USUAL,
                    "rate",
                    f"How much each step changes; lower it if the loss jumps. The papers use {USUAL.rate:g}.",
                    "learning_rate",
                    round=False,
                ),
                ranged(
                    USUAL,
                    "batch",
                    "Noised copies of the picture in a step; where memory is short they run in smaller "
                    "groups, with the same result.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-2.0,
                    max=4.0,
                    step=0.05,
                    tooltip="Of the LoRA on the model that comes out; the file always holds all of it.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=False,
                    tooltip="The same seed gives the same LoRA on a CPU, about the same on a card.",
                ),
                io.String.Input(
                    "save_as",
                    default="drag_identity",
                    tooltip="Name of the file in ComfyUI's loras folder; a number of the picture and the "
                    "settings is added. Empty: no file.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="For DragInvert, DragOptimize and samplers."),
                io.String.Output(
                    display_name="lora_name", tooltip="The file as LoRA loaders list it; empty if none."
                ),
                io.String.Output(display_name="report", tooltip="JSON: losses, seconds."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        latent: io.Latent.Type,
        steps: int,
        rank: int,
        learning_rate: float,
        batch: int,
        strength: float,
        seed: int,
        save_as: str,
    ) -> io.NodeOutput:
        check_name(save_as)
        wanted = Training(steps=steps, rank=rank, rate=learning_rate, batch=batch, seed=seed)
        trained = train(model, positive, latent["samples"], wanted)
        losses = trained.lora.losses
        about = {"steps": str(steps), "learning_rate": f"{learning_rate:g}", "seed": str(seed)}
        name = write(trained, save_as, about) if save_as else ""
        tenth = max(1, steps // 10)
        report = {
            "file": name,
            "layers": len(trained.lora.weights),
            "loss_first_tenth": round(sum(losses[:tenth]) / tenth, 6),
            "loss_last_tenth": round(sum(losses[-tenth:]) / tenth, 6),
            "seconds": round(trained.seconds, 3),
            "losses": [round(x, 6) for x in losses],
        }
        shown = ui.PreviewImage(host_image(loss_curve(losses)), cls=cls).as_dict()
        return io.NodeOutput(
            with_lora(model, trained, strength), name, json.dumps(report, indent=1), ui=shown
        )

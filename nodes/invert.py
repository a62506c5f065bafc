"""DragInvert: the picture's own path through the noise."""

from __future__ import annotations

from typing import Literal

from comfy_api.latest import io, ui

from ..drag_core.ranges import check_mode
from ..drag_core.recipes import METHODS
from ..drag_core.recipes.dragflow import INVERSION
from ..drag_core.trajectory.kvplan import STORAGES, KVMemory
from ..drag_core.trajectory.schedules import kept_steps
from ..drag_core.types import Task
from . import sockets
from .convert import said
from .host.early import refused_for_size
from .host.inversion import Asked, invert_latent
from .host.schedule import FULL_NOISE, Shift, host_sigmas, restart_latent, restart_noise
from .host.shape import latent_out
from .inputs import STEPS
from .unfinished import Unfinished, drawn

KVTokens = Literal["image", "image and prompt"]


class DragInvert(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        flux, sd = INVERSION, [m.inversion.strength for m in METHODS.values() if m.family == "sd"]
        skipped = flux.steps - kept_steps(flux.steps, flux.strength)
        return io.Schema(
            node_id="DragInvert",
            display_name="Drag Invert",
            category=sockets.PARTS,
            description="Inverts a picture along the model's noise levels. The trajectory feeds "
            "DragOptimize; noise, latent and sigmas restart any stock sampler "
            "(SamplerCustomAdvanced) at the inverted state.",
            search_aliases=["inversion", "fireflow", "ddim inversion", "unsample"],
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="FLUX.1, FLUX.2, Chroma, Qwen-Image or Stable Diffusion 1.x, 2.x, XL, 3.x; "
                    "also with LoRAs.",
                ),
                io.Conditioning.Input(
                    "positive", tooltip="What the picture shows (source prompt); an empty prompt works too."
                ),
                io.Latent.Input("latent", tooltip="The picture, encoded with VAE Encode. One picture."),
                io.Combo.Input(
                    "solver",
                    options=["auto", "fireflow", "ddim", "euler", "alf", "noised"],
                    default="auto",
                    tooltip="auto: ddim for Stable Diffusion 1.x, 2.x, XL, fireflow for FLUX and the other "
                    "flow models. alf returns exactly to the picture, euler is first order (both flow "
                    "models). noised: no inversion but the picture with one noise at every level, for "
                    "samplers that hold what is to stay by a mask; with K/V one call a level.",
                ),
                io.Int.Input(
                    "steps",
                    default=flux.steps,
                    min=1,
                    max=1000,
                    tooltip=f"Noise levels from clean to full noise: {STEPS}.",
                ),
                io.Float.Input(
                    "strength",
                    default=flux.strength,
                    min=0.01,
                    max=1.0,
                    step=0.01,
                    tooltip="How far into the noise, as a share of the steps: more lets the drag change "
                    f"more. DragFlow {flux.strength:g} ({flux.steps} steps, {skipped} skipped), Stable "
                    f"Diffusion {min(sd):g} to {max(sd):g}; embedded-flux 0.36, embedded-sd 0.4.",
                ),
                io.Combo.Input(
                    "shift",
                    options=["auto", "model"],
                    default="auto",
                    tooltip="Flow models only. auto: the noise levels follow the resolution as the model's "
                    "makers have it (FLUX.1-dev, FLUX.2, Qwen-Image); model: as set on the model (or by "
                    "a ModelSampling node).",
                ),
                io.Float.Input(
                    "guidance",
                    default=1.0,
                    min=0.0,
                    max=30.0,
                    step=0.1,
                    tooltip="FLUX's guidance while inverting; written into the prompt, whatever it says. 1 "
                    "keeps the picture best. Models without guidance don't use it.",
                ),
                io.String.Input(
                    "kv_layers",
                    default="auto",
                    tooltip="Whose attention keys and values are kept for the drag. auto: the layers of the "
                    "papers for this model; none; or a list as 'single.6, single.9' or 'attn.10, "
                    "attn.11'. Costs memory.",
                ),
                io.Float.Input(
                    "kv_budget_gb",
                    default=0.0,
                    min=0.0,
                    max=1024.0,
                    step=0.5,
                    optional=True,
                    tooltip="Most memory that keys and values may take, in GB of RAM; 0: six tenths of what "
                    "is free. What they take is shown before the run.",
                ),
                io.Combo.Input(
                    "kv_memory",
                    options=["auto", *STORAGES],
                    default="auto",
                    optional=True,
                    tooltip="How they are kept. auto: the first that fits the budget. pinned, pageable: "
                    "whole; fp8: half; v fp8: values only, a quarter; recompute: nothing, twice the calls "
                    "while denoising.",
                ),
                io.Combo.Input(
                    "kv_tokens",
                    options=["image", "image and prompt"],
                    default="image",
                    optional=True,
                    tooltip="FLUX's single blocks: also the prompt's keys and values, as DragFlow's released "
                    "code. Then both prompts need the same number of tokens.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**64 - 1,
                    control_after_generate=False,
                    optional=True,
                    tooltip="Of the noise where solver is noised; the others draw none.",
                ),
                sockets.Regions.Input(
                    "regions",
                    optional=True,
                    tooltip="The drag, to refuse at once what Drag Optimize would refuse later: an "
                    "unfinished drawing, or one on a picture of another size. Nothing else of it is used.",
                ),
            ],
            outputs=[
                io.Noise.Output(
                    display_name="noise", tooltip="For SamplerCustomAdvanced: starts at the inverted state."
                ),
                io.Latent.Output(display_name="latent", tooltip="The latent that came in."),
                io.Sigmas.Output(
                    display_name="sigmas", tooltip="The noise levels from the inverted state to clean."
                ),
                sockets.Trajectory.Output(display_name="trajectory"),
                io.Latent.Output(
                    display_name="noisy_latent",
                    tooltip="The inverted state: for a stock sampler with DisableNoise and these sigmas.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        latent: io.Latent.Type,
        solver: Asked,
        steps: int,
        strength: float,
        shift: Shift,
        guidance: float,
        kv_layers: str,
        kv_budget_gb: float = 0.0,
        kv_memory: KVMemory = "auto",
        kv_tokens: KVTokens = "image",
        seed: int = 0,
        regions: Task | Unfinished | None = None,
    ) -> io.NodeOutput:
        check_mode("kv_tokens", kv_tokens, KVTokens)
        if regions is not None:
            refused_for_size(model, drawn(regions), latent["samples"])
        inversion = invert_latent(
            model,
            positive,
            latent["samples"],
            solver=solver,
            steps=steps,
            strength=strength,
            shift=shift,
            guidance=guidance,
            kv=kv_layers,
            kv_budget=kv_budget_gb,
            kv_memory=kv_memory,
            kv_text=kv_tokens != "image",
            seed=seed,
        )
        path = inversion.trajectory
        noise = restart_noise(model, path.z[0], path.schedule, 0)
        notes = ["no keys and values kept" if inversion.plan is None else str(inversion.plan)]
        noisy = restart_latent(model, path.z[0], path.schedule, 0)
        if noisy is None:
            noisy = latent_out(model.model, path.z[-1])
            notes.append(FULL_NOISE)
        return io.NodeOutput(
            noise,
            latent,
            host_sigmas(path.schedule),
            inversion,
            {"samples": noisy},
            ui=ui.PreviewText(said(tuple(notes))),
        )

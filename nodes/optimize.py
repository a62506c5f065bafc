"""DragOptimize: the drag itself."""

from __future__ import annotations

import json
from typing import Any

from comfy_api.latest import io, ui

from ..drag_core.pictures.plot import loss_curve
from ..drag_core.recipes import METHODS
from ..drag_core.recipes.assemble import Effort, KeepBackground, KVSource, KVUse, Pairing
from ..drag_core.recipes.choice import AUTO, COPY_PASTE, CUSTOM, RECIPES, ignored, shown_numbers
from ..drag_core.recipes.dragflow import ADAPTER
from ..drag_core.types import Task, Variant
from . import sockets
from .convert import host_image
from .host.early import refused_early
from .host.inversion import Inversion
from .host.optimise import drag_latent
from .host.own_start import start_of
from .host.schedule import FULL_NOISE, host_sigmas, restart_latent, restart_noise
from .host.shape import latent_out
from .host.variants import variant_notes
from .host.wish import DragChoices
from .methods import described, methods
from .unfinished import Unfinished, drawn


class DragOptimize(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        shown = shown_numbers()
        return io.Schema(
            node_id="DragOptimize",
            display_name="Drag Optimize",
            category=sockets.PARTS,
            description="Drags the regions or points of an inverted picture to their targets and denoises "
            "the result.",
            search_aliases=["drag", *METHODS, "drag editing"],
            inputs=[
                io.Model.Input("model", tooltip="The model that was inverted; an adapter on it may differ."),
                io.Conditioning.Input("positive", tooltip="What the edited picture shows (target prompt)."),
                sockets.Trajectory.Input("trajectory", tooltip="From DragInvert.", lazy=True),
                sockets.Regions.Input("regions", tooltip="From DragRegionMaskAffine: what moves where."),
                io.Combo.Input(
                    "recipe",
                    options=[AUTO, *RECIPES, CUSTOM],
                    default=AUTO,
                    tooltip="auto: what fits the model and the drag. A paper's method with its numbers: "
                    f"{described()}, {COPY_PASTE} (no optimisation). {CUSTOM}: method and its numbers below.",
                    # read by web/drag_recipes.js; with auto the first way's usual numbers stand there
                    extra_dict={"drag_numbers": {**shown, AUTO: next(iter(shown.values()))}},
                ),
                io.Combo.Input(
                    "variant",
                    options=["ours", "paper", "released"],
                    default="ours",
                    tooltip="Where a paper and its released code differ: the paper, the code, or what works "
                    "best.",
                ),
                io.DynamicCombo.Input(
                    "method",
                    options=methods(),
                    tooltip="Used when recipe is custom: region (DragFlow's way), pbsi (DragNeXt's), point "
                    "(GoodDrag's), semantic (AdaptiveDrag's).",
                ),
                io.String.Input(
                    "taps",
                    default="auto",
                    tooltip="Where features are compared. auto: the recipe's; or a list as 'double.17, "
                    "double.18:norm1' or 'up.1, up.2'.",
                ),
                io.Combo.Input(
                    "kv",
                    options=["recipe", "off", "drag and denoise", "denoise"],
                    default="recipe",
                    tooltip="When the inverted picture's keys and values are used, or the draft's (kv_of); "
                    "they come from DragInvert's kv_layers.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=False,
                    tooltip="For what a recipe fills with fresh noise. The same seed gives the same bits on "
                    "a CPU with as many threads; about the same picture on a card, nearly the same bits "
                    "where ComfyUI runs with --deterministic.",
                ),
                io.Int.Input(
                    "preview_every",
                    default=5,
                    min=0,
                    max=1000,
                    tooltip="Shows the picture after every so many updates; 0: never. Costs no model call.",
                ),
                sockets.Constraint.Input(
                    "constraint",
                    optional=True,
                    tooltip="From DragBackgroundHardConstraint; without it the recipe keeps what is outside "
                    "the regions' editable mask in its own way.",
                ),
                sockets.Trajectory.Input(
                    "refill",
                    optional=True,
                    lazy=True,
                    tooltip="DragInvert of DragRegionMaskAffine's filled picture: empties the place that is "
                    "left.",
                ),
                io.Latent.Input(
                    "warped",
                    optional=True,
                    lazy=True,
                    tooltip="DragRegionMaskAffine's warped picture, encoded: the drag starts with the "
                    "regions there.",
                ),
                io.Combo.Input(
                    "effort",
                    options=["recipe", "until settled", "fast"],
                    default="recipe",
                    optional=True,
                    tooltip="recipe: as the recipe says. until settled: updates at the target end when five "
                    "of them lower the loss by less than 1 %. fast: regions are pasted at their targets and "
                    "12 updates follow; with 8 to 12 steps in DragInvert about a third of the work.",
                ),
                io.Combo.Input(
                    "kv_pairing",
                    options=["recipe", "level", "released"],
                    default="recipe",
                    optional=True,
                    tooltip="Which of the stored keys and values go to which noise level. level: the "
                    "nearest; released: the next cleaner one, as DragFlow's released code.",
                ),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="With no draft, refill or warped connected: makes a start here, for one more "
                    "inversion. The embedded models do so without it.",
                ),
                sockets.Trajectory.Input(
                    "draft",
                    optional=True,
                    lazy=True,
                    tooltip="DragInvert of DragRegionMaskAffine's warped picture: the drag starts from it. "
                    "In place of refill and warped.",
                ),
                io.Combo.Input(
                    "kv_of",
                    options=["auto", "picture", "draft"],
                    default="auto",
                    optional=True,
                    tooltip="Whose keys and values are used. auto: as the recipe says (dragflow, ours: the "
                    "draft's where it starts from one). picture: they hold things where they were; draft: "
                    "where they go.",
                ),
            ],
            outputs=[
                io.Latent.Output(display_name="latent", tooltip="The finished edit, for VAE Decode."),
                io.Latent.Output(
                    display_name="noisy_latent",
                    tooltip="After the last update, still noisy: for a stock sampler with DisableNoise and "
                    "these sigmas.",
                ),
                io.Sigmas.Output(
                    display_name="sigmas", tooltip="The noise levels that are left after the last update."
                ),
                io.Noise.Output(
                    display_name="noise",
                    tooltip="The same start as a noise, which also works with a noise mask.",
                ),
                io.String.Output(
                    display_name="report", tooltip="JSON: losses, handle places, seconds, memory."
                ),
            ],
        )

    @classmethod
    def check_lazy_status(
        cls, model: io.Model.Type, regions: Task | Unfinished, recipe: str, variant: Variant, **given: Any
    ) -> list[str]:
        """Asks for the inversions last.

        What they don't matter for is refused before the minutes.
        """
        refused_early(model, drawn(regions), recipe, variant)
        lazy = ("trajectory", "refill", "warped", "draft")
        return [name for name in lazy if name in given and given[name] is None]

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        trajectory: Inversion,
        regions: Task | Unfinished,
        recipe: str,
        variant: Variant,
        method: dict[str, Any],
        taps: str,
        kv: KVUse,
        seed: int,
        preview_every: int,
        constraint: KeepBackground | None = None,
        refill: Inversion | None = None,
        warped: io.Latent.Type | None = None,
        effort: Effort = "recipe",
        kv_pairing: Pairing = "recipe",
        vae: io.Vae.Type | None = None,
        draft: Inversion | None = None,
        kv_of: KVSource = "auto",
    ) -> io.NodeOutput:
        numbers = {k: v for k, v in method.items() if k != "method"}
        wish = DragChoices(
            recipe, variant, method["method"], numbers, taps, kv, seed, effort, kv_pairing, kv_of,
            preview_every,
        )  # fmt: skip
        task, own = drawn(regions), None if warped is None else warped["samples"]
        start = start_of(model, trajectory, task, wish, constraint, refill, own, draft, vae)
        edited = drag_latent(
            model, positive, trajectory, task, wish, constraint,
            start.refill, start.warped, start.draft, told=start.steps,
        )  # fmt: skip
        base, schedule, here = model.model, trajectory.trajectory.schedule, edited.result.handoff
        finished = {"samples": latent_out(base, edited.result.z.float().cpu())}
        noisy = restart_latent(model, here.z, schedule, here.level)
        notes = [*start.notes, *variant_notes(model, trajectory, task, wish)]
        if noisy is None:
            noisy = latent_out(base, trajectory.trajectory.z[-1])
            notes.append(FULL_NOISE)
        if variant == "paper" and edited.report["adapter"] == "none":
            notes.append(ADAPTER.missing(edited.report["recipe"], "Drag Apply IP-Adapter"))
        if unused := ignored(edited.report["recipe"], method["method"], numbers):
            notes.append(unused)
        report = json.dumps({**edited.report, **start.report(), "notes": notes}, indent=1)
        curve = loss_curve(edited.report["losses"], edited.report["updates_by_level"])
        shown = ui.PreviewImage(host_image(curve), cls=cls).as_dict()
        return io.NodeOutput(
            finished,
            {"samples": noisy},
            host_sigmas(schedule, here.level),
            restart_noise(model, here.z, schedule, here.level),
            report,
            ui=shown | {"drag_losses": edited.report["losses"], "drag_report": [report], "drag_notes": notes},
        )

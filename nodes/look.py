"""DragFeatureView and DragTapProbe: what a model's features look like, and which of them carry a drag."""

from __future__ import annotations

import torch
from comfy_api.latest import io, ui

from ..drag_core.features.probe import probe_motion, ranked, score_table, tap_text, warped_picture
from ..drag_core.pictures.plot import tap_chart
from ..drag_core.recipes.dragflow import INVERSION
from ..drag_core.types import Grid
from . import sockets
from .convert import host_image, picture
from .host.family import family_in
from .host.inversion import Inversion
from .host.look import described, probe_taps, view_features
from .inputs import STEPS


class DragFeatureView(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragFeatureView",
            display_name="Drag Feature View",
            category=sockets.INSPECT,
            description="Shows what a model's blocks see in the inverted picture at a noise level: the "
            "three strongest directions of their features as red, green and blue. A tap that carries a "
            "drag shows the things that shall move, apart from their background.",
            search_aliases=["pca", "feature map", "dragflow", "taps"],
            inputs=[
                io.Model.Input("model", tooltip="The model that was inverted."),
                io.Conditioning.Input("positive", tooltip="The prompt that DragOptimize gets."),
                sockets.Trajectory.Input("trajectory", tooltip="From DragInvert."),
                io.String.Input(
                    "taps",
                    default="auto",
                    tooltip="Which blocks. auto: the papers' for this model; all (after each block), "
                    "all:norm1 (before its attention); or a list as 'double.17, double.18:norm1' or "
                    "'up.1, mid'. The text output names all there are.",
                ),
                io.Int.Input(
                    "level",
                    default=0,
                    min=0,
                    max=1000,
                    tooltip="Which noise level of the trajectory: 0 is the noisiest, where a drag starts.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="images", tooltip="One picture for each tap, as large as the inverted one."
                ),
                io.String.Output(
                    display_name="text",
                    tooltip="Which picture is which tap, how much of the features its colours hold, all "
                    "taps.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        trajectory: Inversion,
        taps: str,
        level: int,
    ) -> io.NodeOutput:
        views, t = view_features(model, positive, trajectory, taps, level)
        images = host_image(torch.stack([v.picture for v in views]))
        text = described(views, t, family_in(model).blocks)
        return io.NodeOutput(images, text, ui=ui.PreviewImage(images, cls=cls))


class DragTapProbe(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragTapProbe",
            display_name="Drag Tap Probe",
            category=sockets.INSPECT,
            description="Finds the blocks of a model whose features carry a drag, without labels: warps "
            "the picture by a known motion, inverts both, and measures whose features came along.",
            search_aliases=["probe", "pck", "correspondence", "taps", "best block"],
            inputs=[
                io.Model.Input("model", tooltip="Any model that drags work on; also with LoRAs."),
                io.Conditioning.Input(
                    "positive", tooltip="What the picture shows; an empty prompt works too."
                ),
                io.Vae.Input("vae", tooltip="The model's VAE: the picture and the warped one are encoded."),
                io.Image.Input(
                    "image",
                    tooltip="A picture like those you will drag in, with many different things in it. "
                    "512x512 is enough.",
                ),
                io.String.Input(
                    "taps",
                    default="all",
                    tooltip="Which blocks to compare. all (after each block), all:norm1 (before its "
                    "attention), auto (the papers'), or a list as 'double.17, double.18:norm1'.",
                ),
                io.Int.Input(
                    "steps",
                    default=INVERSION.steps,
                    min=1,
                    max=1000,
                    tooltip=f"As in DragInvert: {STEPS}.",
                ),
                io.Float.Input(
                    "strength",
                    default=INVERSION.strength,
                    min=0.01,
                    max=1.0,
                    step=0.01,
                    tooltip="As in DragInvert: the share of the steps that is inverted, where the drag "
                    "starts.",
                ),
                io.Int.Input(
                    "levels",
                    default=3,
                    min=1,
                    max=20,
                    tooltip="At how many noise levels, evenly from the noisiest inverted one on.",
                ),
                io.Int.Input(
                    "count",
                    default=1,
                    min=1,
                    max=20,
                    tooltip="How many of the best taps to put out, to be compared together in a drag.",
                ),
            ],
            outputs=[
                io.String.Output(
                    display_name="taps", tooltip="The best, as DragOptimize's taps input reads them."
                ),
                io.String.Output(
                    display_name="table",
                    tooltip="For each tap and level: PCK (the share of places found again, 1 is best) and "
                    "the loss ratio (0 is best, 1: the loss knows nothing); best first.",
                ),
                io.Image.Output(display_name="plot", tooltip="The same over the model's depth."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        vae: io.Vae.Type,
        image: torch.Tensor,
        taps: str,
        steps: int,
        strength: float,
        levels: int,
        count: int,
    ) -> io.NodeOutput:
        source = picture(image)
        size = Grid(*source.shape[-2:])
        two = (source, warped_picture(source, probe_motion(size)))
        latents = tuple(vae.encode(host_image(x)) for x in two)
        scores = probe_taps(model, positive, latents, size, taps, steps, strength, levels)
        best = ", ".join(tap_text(tap) for tap, _ in ranked(scores)[:count])
        names = list(dict.fromkeys(tap_text(s.tap) for s in scores))
        series = []
        for level in dict.fromkeys(s.level for s in scores):
            here = [s for s in scores if s.level == level]
            lines = ([s.pck for s in here], [s.ratio for s in here])
            series.append((f"t {here[0].t:.3g}", lines))
        chart = host_image(tap_chart(names, series, best.split(",")[0]))
        return io.NodeOutput(best, score_table(scores), chart, ui=ui.PreviewImage(chart, cls=cls))

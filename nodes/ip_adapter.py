"""Native adapters for FLUX: load a file, encode a subject, put both on a model."""

from __future__ import annotations

from comfy_api.latest import io, ui
from torch import Tensor

from ..drag_core.adapters.attention import Fade, Strength
from ..drag_core.adapters.instant_character import Subject
from ..drag_core.types import DragError, Grid
from . import sockets
from .convert import masks
from .host.adapters.ip_adapter import Adapter, adapter_names, add_adapter, encoder_names, load_adapter
from .host.adapters.subject import encode
from .host.patches import sigma_range
from .inputs import Acts, by_stage, sampling_range, stage_input


class DragLoadIPAdapter(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragLoadIPAdapter",
            display_name="Drag Load IP-Adapter",
            category=sockets.ADAPTERS,
            description="Loads an image adapter for FLUX: IP-Adapter of XLabs (v1, v2) or InstantX, or "
            "InstantCharacter. Files lie in models/ipadapter-flux, models/ipadapter or "
            "models/xlabs/ipadapters.",
            search_aliases=["ip adapter flux", "xlabs", "instantx", "instantcharacter"],
            inputs=[
                io.Combo.Input(
                    "adapter_name",
                    options=adapter_names(),
                    tooltip="The adapter's .safetensors or .bin file.",
                ),
                io.Combo.Input(
                    "siglip_name",
                    options=encoder_names(),
                    default="none",
                    tooltip="InstantX only: the SigLIP file, whose pooling ComfyUI's encoder leaves out.",
                ),
            ],
            outputs=[
                sockets.Adapter.Output(display_name="adapter", tooltip="For DragApplyIPAdapter."),
            ],
        )

    @classmethod
    def execute(cls, adapter_name: str, siglip_name: str) -> io.NodeOutput:
        return io.NodeOutput(load_adapter(adapter_name, siglip_name))


class DragEncodeSubject(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragEncodeSubject",
            display_name="Drag Encode Subject",
            category=sockets.ADAPTERS,
            description="Encodes a picture for InstantCharacter with SigLIP and DINOv2: the whole and its "
            "quarters, from several layers.",
            inputs=[
                io.Image.Input("image", tooltip="The subject, best on a plain background. One picture."),
                io.ClipVision.Input("siglip", tooltip="SigLIP so400m at 384 pixels."),
                io.ClipVision.Input("dino", tooltip="DINOv2 giant."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White: the subject. It is cut out, squared, and put on white.",
                ),
            ],
            outputs=[
                sockets.Subject.Output(display_name="subject", tooltip="For DragApplyIPAdapter."),
            ],
        )

    @classmethod
    def execute(
        cls, image: Tensor, siglip: io.ClipVision.Type, dino: io.ClipVision.Type, mask: Tensor | None = None
    ) -> io.NodeOutput:
        if image.shape[0] != 1:
            raise DragError(
                f"the image input holds {image.shape[0]} pictures and a subject is one: pick one with "
                "ImageFromBatch"
            )
        subject = None if mask is None else masks(mask, Grid(*image.shape[1:3]))[0]
        return io.NodeOutput(encode(siglip, dino, image, subject))


class DragApplyIPAdapter(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragApplyIPAdapter",
            display_name="Drag Apply IP-Adapter",
            category=sockets.ADAPTERS,
            description="FLUX looks at a picture while inverting, while dragging, or both, so that the "
            "subject stays itself. Chains with LoRAs and other patches; gradients pass it.",
            inputs=[
                io.Model.Input("model", tooltip="FLUX.1, straight from its loader or already patched."),
                sockets.Adapter.Input("adapter", tooltip="From DragLoadIPAdapter."),
                io.Float.Input(
                    "scale",
                    default=0.7,
                    min=-2.0,
                    max=4.0,
                    step=0.05,
                    tooltip="Strength; 0 none. IP-Adapter 0.5 to 1, InstantCharacter 0.9 (DragFlow 1.5).",
                ),
                stage_input("Where the adapter acts; the other output is then the model as it came."),
                *sampling_range(),
                io.Combo.Input(
                    "fade",
                    options=["constant", "linear", "cosine"],
                    default="constant",
                    tooltip="How the strength runs over that range of noise: constant, or falling to 0 at "
                    "its clean end.",
                ),
                io.ClipVisionOutput.Input(
                    "clip_vision_output",
                    optional=True,
                    tooltip="For an IP-Adapter: the encoded picture. XLabs: CLIP-L; InstantX: SigLIP, with "
                    "crop none. A batch gives the tokens of all its pictures.",
                ),
                sockets.Subject.Input(
                    "subject", optional=True, tooltip="For InstantCharacter: from DragEncodeSubject."
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White: where the adapter acts, on the edited picture. Of a drag: where the "
                    "subject is and where it goes.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="inversion", tooltip="For DragInvert."),
                io.Model.Output(display_name="editing", tooltip="For DragOptimize and samplers."),
                io.String.Output(display_name="report", tooltip="Which adapter acts, where, how strongly."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        adapter: Adapter,
        scale: float,
        stage: Acts,
        start_percent: float,
        end_percent: float,
        fade: Fade,
        clip_vision_output: io.ClipVisionOutput.Type | None = None,
        subject: Subject | None = None,
        mask: Tensor | None = None,
    ) -> io.NodeOutput:
        low, high = sigma_range(model, start_percent, end_percent)
        strength = Strength(scale, (low, min(high, 1.0)), fade)
        where = None if mask is None else _area(mask)
        on = add_adapter(model, adapter, strength, clip_vision_output, subject, where)
        said = f"{adapter.file.label}, {adapter.file.layers} layers; scale {scale:g} {fade}"
        said += f", {start_percent:g} to {end_percent:g} of sampling; stage {stage}"
        return io.NodeOutput(*by_stage(stage, model, on), said, ui=ui.PreviewText(said))


def _area(mask: Tensor) -> Tensor:
    """Takes one (H, W) of a MASK, soft edges kept."""
    found = (mask if mask.ndim == 3 else mask[None]).float().cpu().amax(0)
    if not found.any():
        raise DragError("the adapter's mask is empty: paint white where it may act, or leave the mask out")
    return found.clone()

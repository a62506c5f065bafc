"""The example workflows that need the user's own checkpoint and picture."""

from __future__ import annotations

import json
from dataclasses import replace

from drag_core.recipes.dragflow import ADAPTER

from .embedded_graphs import CURVED, PREVIEWED, TABLED, chosen
from .workflows import Node

# The middle of whatever picture is loaded, moved to the right: to be replaced by the user's own drag
CENTRE = {
    "version": 1,
    "image": {"width": 512, "height": 512},
    "regions": [
        {
            "label": "what moves",
            "task": "relocation",
            "polygons": [[[200, 200], [312, 200], [312, 312], [200, 312]]],
            "target": [320, 256],
        }
    ],
}


def flux_files(net: str, dtype: str = "default", t5: str = "fp16") -> list[Node]:
    """The loaders of FLUX.1's network, text encoders and autoencoder: nodes 1 to 3."""
    texts = {"clip_name1": "clip_l.safetensors", "clip_name2": f"t5xxl_{t5}.safetensors", "type": "flux"}
    return [
        Node(1, "UNETLoader", {"unet_name": net, "weight_dtype": dtype}),
        Node(2, "DualCLIPLoader", texts),
        Node(3, "VAELoader", {"vae_name": "ae.safetensors"}),
    ]


def marked(side: int) -> list[Node]:
    """The user's picture, what moves where on it, and the crop of `side`: nodes 10 to 12."""
    shown = {"instruction": json.dumps(CENTRE, indent=1)}
    where = {"image": (10, 0)}
    return [
        Node(10, "LoadImage", {"image": "example.png"}),
        Node(11, "DragRegionMaskAffine", shown, where, size=PREVIEWED, title="What moves where"),
        Node(12, "DragCrop", {"side": side}, where | {"regions": (11, "regions")}),
    ]


def real(kind: str) -> list[Node]:
    """The same with a checkpoint that the user has: crop to model size, drag, put back."""
    if kind.startswith("flux"):
        eight = kind == "flux_fp8"
        dtype, t5 = ("fp8_e4m3fn", "fp8_e4m3fn") if eight else ("default", "fp16")
        load = [
            *flux_files("flux1-dev.safetensors", dtype, t5),
            Node(4, "DragMemoryPlan", {}, {"model": (1, 0)}, size=TABLED),
        ]
        model, clip, vae = (1, 0), (2, 0), (3, 0)
        inversion = {"steps": 25, "strength": 0.76, "kv_budget_gb": 4.0 if eight else 0.0}
        recipe, side = "dragflow", 768 if eight else 1024
    else:
        load = [Node(1, "CheckpointLoaderSimple", {"ckpt_name": "v1-5-pruned-emaonly.safetensors"})]
        model, clip, vae = (1, 0), (1, 1), (1, 2)
        inversion = {"steps": 50, "strength": 0.75}
        recipe, side = "dragnext", 512
    return [
        *load,
        *marked(side),
        Node(13, "CLIPTextEncode", {"text": ""}, {"clip": clip}, title="What the picture shows"),
        Node(14, "CLIPTextEncode", {"text": ""}, {"clip": clip}, title="What it will show"),
        Node(15, "VAEEncode", {}, {"pixels": (12, "image"), "vae": vae}),
        Node(16, "DragInvert", inversion, {"model": model, "positive": (13, 0), "latent": (15, 0)}),
        Node(
            17,
            "DragOptimize",
            chosen(recipe),
            {
                "model": model,
                "positive": (14, 0),
                "trajectory": (16, "trajectory"),
                "regions": (12, "regions"),
            },
            size=CURVED,
        ),
        Node(18, "VAEDecode", {}, {"samples": (17, "latent"), "vae": vae}),
        Node(
            19,
            "DragPasteBack",
            {},
            {"original": (10, 0), "edited": (18, 0), "regions": (11, "regions"), "crop": (12, "crop")},
        ),
        Node(20, "SaveImage", {"filename_prefix": f"drag_{kind}"}, {"images": (19, "image")}),
    ]


def adapted(kind: str) -> list[Node]:
    """The drag on FLUX.1-dev, which looks at the picture all the time.

    kind: through an "ip-adapter", or as a subject through "instantcharacter" at DragFlow's strength.
    """
    nodes = real("flux")
    given = {"model": (1, 0), "adapter": (5, "adapter")}
    ends = {"DragInvert": "inversion", "DragOptimize": "editing"}
    linked = [
        replace(n, inputs={**n.inputs, "model": (8, ends[n.type])}) if n.type in ends else n for n in nodes
    ]
    if kind == "ip-adapter":
        picture = {"clip_vision": (6, 0), "image": (12, "image")}
        return [
            *linked,
            Node(5, "DragLoadIPAdapter", {"adapter_name": "flux-ip-adapter-v2.safetensors"}),
            Node(6, "CLIPVisionLoader", {"clip_name": "clip_vision_l.safetensors"}),
            Node(7, "CLIPVisionEncode", {"crop": "center"}, picture),
            Node(8, "DragApplyIPAdapter", {}, {**given, "clip_vision_output": (7, 0)}),
        ]
    seen: dict[str, tuple[int, int | str]] = {"siglip": (6, 0), "dino": (7, 0), "image": (12, "image")}
    return [
        *linked,
        Node(5, "DragLoadIPAdapter", {"adapter_name": "instantcharacter_ip-adapter.bin"}),
        Node(6, "CLIPVisionLoader", {"clip_name": "sigclip_vision_patch14_384.safetensors"}),
        Node(7, "CLIPVisionLoader", {"clip_name": "dinov2_giant.safetensors"}),
        Node(9, "DragEncodeSubject", {}, seen),
        Node(8, "DragApplyIPAdapter", {"scale": ADAPTER.character}, {**given, "subject": (9, "subject")}),
    ]


def asked() -> list[Node]:
    """The drag on FLUX.1-dev, drawn in the editor; a multimodal model says what it may mean."""
    drawn = Node(11, "DragEditor", {"drag": json.dumps(CENTRE)}, {"image": (10, 0)}, size=(620, 640))
    said = {13: "source_prompt", 14: "target_prompt"}
    nodes = [drawn if n.id == 11 else n for n in real("flux")]
    linked = []
    for n in nodes:
        inputs = {k: (22, "regions") if v == (11, "regions") else v for k, v in n.inputs.items()}
        if n.id in said:
            inputs["text"] = (22, said[n.id])
        widgets = {k: v for k, v in n.widgets.items() if k not in inputs}
        linked.append(replace(n, inputs=inputs, widgets=widgets))
    question = {"image": (10, 0), "instruction": (11, "instruction"), "mllm": (21, 0)}
    return [*linked, Node(21, "DragLocalMLLM"), Node(22, "DragIntent", {}, question, size=PREVIEWED)]


def inpainted(kind: str) -> list[Node]:
    """A drag with stock nodes: the region moved in pixels, what it leaves filled by an inpainting model."""
    if kind == "flux":
        load = [
            *flux_files("flux1-fill-dev.safetensors"),
            Node(4, "FluxGuidance", {"guidance": 30.0}, {"conditioning": (14, 0)}),
        ]
        model, clip, vae, positive, side = (1, 0), (2, 0), (3, 0), (4, 0), 1024
        sampling = {"steps": 20, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal"}
    else:
        load = [Node(1, "CheckpointLoaderSimple", {"ckpt_name": "sd_xl_base_1.0_inpainting_0.1.safetensors"})]
        model, clip, vae, positive, side = (1, 0), (1, 1), (1, 2), (14, 0), 1024
        sampling = {"steps": 20, "cfg": 4.0, "sampler_name": "dpmpp_2m", "scheduler": "karras"}
    cut = {"image": (12, "image"), "regions": (12, "regions")}
    filling = {
        "positive": positive,
        "negative": (15, 0),
        "vae": vae,
        "pixels": (13, "warped"),
        "mask": (13, "fill_mask"),
    }
    drawn = {"model": (17, 0), "positive": (16, 0), "negative": (16, 1), "latent_image": (16, 2)}
    pieced = {"destination": (13, "warped"), "source": (19, 0), "mask": (13, "fill_mask")}
    back = {"original": (10, 0), "edited": (20, 0), "regions": (11, "regions"), "crop": (12, "crop")}
    return [
        *load,
        *marked(side),
        Node(13, "DragRegionMaskAffine", {}, cut, size=PREVIEWED, title="The draft, at the model's size"),
        Node(14, "CLIPTextEncode", {"text": ""}, {"clip": clip}, title="What is behind the thing"),
        Node(15, "CLIPTextEncode", {"text": ""}, {"clip": clip}, title="What must not be there"),
        Node(16, "InpaintModelConditioning", {"noise_mask": True}, filling),
        Node(17, "DifferentialDiffusion", {}, {"model": model}),
        Node(18, "KSampler", {"seed": 0, "denoise": 1.0, **sampling}, drawn),
        Node(19, "VAEDecode", {}, {"samples": (18, 0), "vae": vae}),
        Node(20, "ImageCompositeMasked", {"x": 0, "y": 0, "resize_source": False}, pieced),
        Node(21, "DragPasteBack", {}, back),
        Node(22, "SaveImage", {"filename_prefix": f"drag_inpaint_{kind}"}, {"images": (21, "image")}),
    ]

"""The example workflows that need the user's own checkpoint and picture."""

from __future__ import annotations

import json
from dataclasses import replace

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


def real(kind: str) -> list[Node]:
    """The same with a checkpoint that the user has: crop to model size, drag, put back."""
    if kind.startswith("flux"):
        eight = kind == "flux_fp8"
        dtype, t5 = ("fp8_e4m3fn", "fp8_e4m3fn") if eight else ("default", "fp16")
        load = [
            Node(1, "UNETLoader", {"unet_name": "flux1-dev.safetensors", "weight_dtype": dtype}),
            Node(
                2,
                "DualCLIPLoader",
                {
                    "clip_name1": "clip_l.safetensors",
                    "clip_name2": f"t5xxl_{t5}.safetensors",
                    "type": "flux",
                },
            ),
            Node(3, "VAELoader", {"vae_name": "ae.safetensors"}),
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
        Node(10, "LoadImage", {"image": "example.png"}),
        Node(
            11,
            "DragRegionMaskAffine",
            {"instruction": json.dumps(CENTRE, indent=1)},
            {"image": (10, 0)},
            size=PREVIEWED,
            title="What moves where",
        ),
        Node(12, "DragCrop", {"side": side}, {"image": (10, 0), "regions": (11, "regions")}),
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


def adapted() -> list[Node]:
    """The drag on FLUX.1-dev, which looks at the picture through an IP-Adapter all the time."""
    nodes = real("flux")
    picture = {"clip_vision": (6, 0), "image": (12, "image")}
    given = {"model": (1, 0), "adapter": (5, "adapter"), "clip_vision_output": (7, 0)}
    ends = {"DragInvert": "inversion", "DragOptimize": "editing"}
    linked = [
        replace(n, inputs={**n.inputs, "model": (8, ends[n.type])}) if n.type in ends else n for n in nodes
    ]
    return [
        *linked,
        Node(5, "DragLoadIPAdapter", {"adapter_name": "flux-ip-adapter-v2.safetensors"}),
        Node(6, "CLIPVisionLoader", {"clip_name": "clip_vision_l.safetensors"}),
        Node(7, "CLIPVisionEncode", {"crop": "center"}, picture),
        Node(8, "DragApplyIPAdapter", {}, given),
    ]

"""Writes the example workflows: python -m tools.examples OBJECT_INFO.json [FOLDER]

OBJECT_INFO.json is what a running ComfyUI with this pack answers under /object_info.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from drag_core.custom import NUMBERS

from .workflows import Group, Node, Note, workflow

FOLDER = Path(__file__).resolve().parents[1] / "example_workflows"
# px: room for the picture or the text that the node shows
PREVIEWED, CURVED, TABLED = (400.0, 660.0), (320.0, 820.0), (640.0, 560.0)
# The embedded models: how far to invert (their cards say why)
STEPS = {"embedded-flux": (25, 0.36), "embedded-sd": (50, 0.4)}
ABOUT = {
    "dragflow": "DragFlow's recipe on FLUX's architecture: regions, compared block by block; hard "
    "background.",
    "dragnext": "DragNeXt's recipe on Stable Diffusion's UNet: regions, moved on through many noise levels.",
    "gooddrag": "GoodDrag's recipe: points, tracked while they are pulled; dragging and denoising alternate.",
    "dragdiffusion": "DragDiffusion's recipe: points, pulled a little and looked for again.",
    "adaptivedrag": "AdaptiveDrag's recipe: points that carry their super-pixel, as many updates as the drag "
    "is long, targets matched with handles while denoising; what may change is found by DragAutoMask. "
    "Nothing is pasted: on the small model the thing comes out rough. Needs scikit-image (requirements.txt).",
    "copy-paste": "No optimisation: the inverted latents are moved and denoised (RegionDrag's way). The "
    "baseline.",
}
KIND = {
    "dragflow": "move",
    "dragnext": "move",
    "gooddrag": "move",
    "dragdiffusion": "move",
    "adaptivedrag": "move",
    "copy-paste": "move",
    "identity": "move",
}


def chosen(recipe: str) -> dict[str, Any]:
    """DragOptimize's widgets with the recipe's own numbers in its method, as the editor fills them in."""
    if recipe not in NUMBERS:
        return {"recipe": recipe}
    method, numbers = NUMBERS[recipe]
    return {"recipe": recipe, "method": method, **{f"method.{k}": v for k, v in numbers.items()}}


def embedded(name: str, recipe: str, model: str, number: int = 0) -> list[Node]:
    """A drag of an example scene with an embedded model, measured against the exact result."""
    steps, strength = STEPS[model]
    inversion = {"steps": steps, "strength": strength, "kv_layers": "none"}
    return [
        Node(1, "DragExampleScene", {"kind": KIND[name], "number": number}),
        Node(2, "DragEmbeddedModel", {"model_name": model}),
        Node(
            3,
            "DragRegionMaskAffine",
            {},
            {"image": (1, "image"), "instruction": (1, "instruction")},
            size=PREVIEWED,
        ),
        Node(4, "VAEEncode", {}, {"pixels": (1, "image"), "vae": (2, "vae")}, title="Encode the picture"),
        Node(
            5,
            "VAEEncode",
            {},
            {"pixels": (3, "filled"), "vae": (2, "vae")},
            title="Encode it without the region",
        ),
        Node(6, "VAEEncode", {}, {"pixels": (3, "warped"), "vae": (2, "vae")}, title="Encode it warped"),
        Node(
            7,
            "DragInvert",
            inversion,
            {"model": (2, "model"), "positive": (2, "positive"), "latent": (4, 0)},
        ),
        Node(
            8,
            "DragInvert",
            inversion,
            {"model": (2, "model"), "positive": (2, "positive"), "latent": (5, 0)},
            title="Drag Invert (refill)",
        ),
        Node(
            9,
            "DragOptimize",
            chosen(recipe),
            {
                "model": (2, "model"),
                "positive": (2, "positive"),
                "trajectory": (7, "trajectory"),
                "regions": (3, "regions"),
                "refill": (8, "trajectory"),
                "warped": (6, 0),
            },
            size=CURVED,
        ),
        Node(10, "VAEDecode", {}, {"samples": (9, "latent"), "vae": (2, "vae")}),
        Node(
            11, "DragPasteBack", {}, {"original": (1, "image"), "edited": (10, 0), "regions": (3, "regions")}
        ),
        Node(12, "SaveImage", {"filename_prefix": f"drag_{name}"}, {"images": (11, "image")}),
        Node(
            13,
            "DragMetrics",
            {},
            {
                "original": (1, "image"),
                "edited": (11, "image"),
                "regions": (3, "regions"),
                "reference": (1, "truth"),
            },
            size=TABLED,
        ),
    ]


def identified() -> list[Node]:
    """The model learns the picture first; few and small steps here, for the time."""
    nodes = embedded("identity", "dragnext", "embedded-sd", number=2)
    picture = {"model": (2, "model"), "positive": (2, "positive"), "latent": (4, 0)}
    learn = Node(
        16, "DragIdentityLoRA", {"steps": 12, "batch": 2, "save_as": ""}, picture, size=(400.0, 560.0)
    )
    uses = ("DragInvert", "DragOptimize")
    return [
        replace(n, inputs={**n.inputs, "model": (16, "model")}) if n.type in uses else n for n in nodes
    ] + [learn]


def automatic() -> list[Node]:
    """AdaptiveDrag's whole method: the mask from the points, the drag from the emptied source."""
    nodes = []
    for n in embedded("adaptivedrag", "adaptivedrag", "embedded-sd"):
        if n.type == "DragOptimize":
            inputs = {k: v for k, v in n.inputs.items() if k != "warped"} | {"regions": (16, "regions")}
            n = replace(n, inputs=inputs)
        elif n.type == "DragPasteBack":
            n = replace(n, inputs=n.inputs | {"regions": (16, "regions")})
        nodes.append(n)
    pictures = {"image": (1, "image"), "regions": (3, "regions")}
    mask = Node(16, "DragAutoMask", {}, pictures, size=PREVIEWED)
    return [n for n in nodes if n.id != 6] + [mask]


# What the editor holds in its example: the face of the first scene, drawn round and dragged
DRAWN = {
    "version": 1,
    "image": {"width": 256, "height": 256},
    "regions": [
        {
            "label": "face",
            "task": "relocation",
            "polygons": [
                [[191, 74], [176, 74], [161, 81], [152, 90], [144, 106], [142, 125], [146, 140], [156, 153]]
                + [
                    [167, 159],
                    [182, 160],
                    [197, 154],
                    [209, 142],
                    [216, 127],
                    [218, 112],
                    [214, 94],
                    [203, 80],
                ]
            ],
            "target": [144.0, 86.0],
        }
    ],
    "points": [],
    "editable": {"mode": "adaptive"},
    "prompts": {"source": "", "target": ""},
}


def edited() -> list[Node]:
    """The drag drawn in the editor, which sees the run's previews and its result."""
    nodes = embedded("dragflow", "dragflow", "embedded-flux")
    region = next(n for n in nodes if n.type == "DragRegionMaskAffine")
    drawn = json.dumps(DRAWN, separators=(",", ":"))
    editor = Node(15, "DragEditor", {"drag": drawn}, {"image": (1, "image")}, size=(560.0, 760.0))
    linked = replace(region, inputs={"image": (15, "image"), "instruction": (15, "instruction")})
    return [editor if n.type == "DragMetrics" else linked if n is region else n for n in nodes]


def refine() -> list[Node]:
    """The drag's result goes on: twice the size, and a plain KSampler over it."""
    nodes = embedded("dragflow", "dragflow", "embedded-flux", number=1)
    model = {"model": (2, "model"), "positive": (2, "positive"), "negative": (2, "positive")}
    return [
        *[n for n in nodes if n.type not in ("SaveImage", "DragMetrics")],
        Node(20, "ImageScaleBy", {"upscale_method": "lanczos", "scale_by": 2.0}, {"image": (11, "image")}),
        Node(
            21, "VAEEncode", {}, {"pixels": (20, 0), "vae": (2, "vae")}, title="Encode the upscaled picture"
        ),
        Node(
            22,
            "KSampler",
            {
                "seed": 1,
                "control_after_generate": "fixed",
                "steps": 8,
                "cfg": 1.0,
                "sampler_name": "euler",
                "scheduler": "simple",
                "denoise": 0.12,
            },
            {**model, "latent_image": (21, 0)},
            title="Refine",
        ),
        Node(23, "VAEDecode", {}, {"samples": (22, 0), "vae": (2, "vae")}),
        Node(24, "SaveImage", {"filename_prefix": "drag_refined"}, {"images": (23, 0)}),
    ]


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


REAL = {"sd15": "sd15", "flux-dev": "flux", "flux-fp8": "flux_fp8"}


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


def note(text: str) -> list[Note]:
    return [Note(text, (0, -260), (560, 200), "About this workflow")]


def examples(object_info: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """File name -> workflow."""
    out = {}
    for name, recipe, model in (
        ("dragflow", "dragflow", "embedded-flux"),
        ("dragnext", "dragnext", "embedded-sd"),
        ("gooddrag", "gooddrag", "embedded-sd"),
        ("dragdiffusion", "dragdiffusion", "embedded-sd"),
        ("copy-paste", "copy_paste", "embedded-flux"),
    ):
        text = (
            f"{ABOUT[name]}\n\nRuns as it is, on the small model that comes with the pack and a drawn "
            "scene. The metrics compare with the exact result."
        )
        groups = [Group("Start: the source emptied, the region pasted", (5, 6, 8))]
        out[name] = workflow(embedded(name, recipe, model), object_info, note(text), groups)
    text = (
        f"{ABOUT['adaptivedrag']}\n\nRuns as it is, on the small model that comes with the pack and a drawn "
        "scene."
    )
    groups = [Group("Start: the source emptied", (5, 8))]
    out["adaptivedrag"] = workflow(automatic(), object_info, note(text), groups)
    text = (
        "The drag is drawn in the editor: pick a region, drag it, see where it goes; change it, run again. "
        "Runs as it is, on the small model that comes with the pack and a drawn scene."
    )
    out["drag-editor"] = workflow(edited(), object_info, note(text))
    text = (
        "The model learns the picture before the drag: a LoRA of its attention (save_as is "
        "empty; with a name the file lies in ComfyUI's loras folder). 12 steps of 2 for the time; the papers "
        "take 70 of 4. Runs as it is, on the small model that comes with the pack and a drawn scene."
    )
    out["identity"] = workflow(identified(), object_info, note(text))
    text = "A drag, then an upscale, then a plain KSampler over it: the result is an ordinary picture."
    out["drag-upscale-refine"] = workflow(refine(), object_info, note(text))
    for kind, files in (
        ("sd15", "a Stable Diffusion 1.5 checkpoint"),
        ("flux-dev", "FLUX.1-dev with its text encoders and autoencoder"),
        (
            "flux-fp8",
            "FLUX.1-dev with its text encoders and autoencoder, read in 8 bit for a smaller card (4 GB of "
            "RAM for keys and values),",
        ),
    ):
        text = (
            f"Needs {files}: choose your files in the loaders, load your picture, and say in the instruction "
            "what moves where (or paint a mask, connect it, empty the instruction, and set the task). The "
            "drag happens at the model's size; the rest of the picture stays as it is, pixel by pixel."
        )
        out[kind] = workflow(real(REAL[kind]), object_info, note(text))
    text = (
        "Needs FLUX.1-dev with its text encoders and autoencoder, an XLabs IP-Adapter in "
        "models/xlabs/ipadapters and CLIP-L in models/clip_vision: choose your files in the loaders. As "
        "flux-dev, but the model also looks at the picture itself, so that its subject stays the same."
    )
    out["flux-ip-adapter"] = workflow(adapted(), object_info, note(text))
    return out


def main(argv: list[str]) -> None:
    info = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    folder = Path(argv[1]) if len(argv) > 1 else FOLDER
    for name, content in examples(info).items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main(sys.argv[1:])

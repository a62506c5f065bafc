"""The example workflows that run as they are: drags of drawn scenes with the embedded models."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Literal

import cv2
import numpy as np

from drag_core.bench.example import instruction_of
from drag_core.bench.lit.cases import lit_case_number
from drag_core.motion.instruction import to_json
from drag_core.recipes import METHODS
from drag_core.recipes.choice import shown_numbers
from drag_core.recipes.presets import PRESETS

from .workflows import Node

Kinds = Literal["plain", "lit"]
# px: room for the picture or the text that the node shows
PREVIEWED, CURVED, TABLED = (400.0, 660.0), (320.0, 820.0), (640.0, 560.0)


def chosen(recipe: str) -> dict[str, Any]:
    """DragOptimize's widgets with the recipe's own numbers in its method, as the editor fills them in."""
    if recipe not in METHODS:
        return {"recipe": recipe}
    method, numbers = shown_numbers()[recipe]
    return {"recipe": recipe, "method": method, **{f"method.{k}": v for k, v in numbers.items()}}


def embedded(name: str, recipe: str, model: str, number: int = 0, scenes: Kinds = "plain") -> list[Node]:
    """A drag of an example scene with an embedded model, measured against the exact result."""
    steps, strength = PRESETS[model].inversion  # their cards say why
    inversion = {"steps": steps, "strength": strength, "kv_layers": "none"}
    inverted = {"model": (2, "model"), "positive": (2, "positive")}
    nodes, start = started(recipe, inversion, inverted)
    return [
        Node(1, "DragExampleScene", {"kind": "move", "number": number, "scenes": scenes}),
        Node(2, "DragEmbeddedModel", {"model_name": model}),
        Node(
            3,
            "DragRegionMaskAffine",
            {},
            {"image": (1, "image"), "instruction": (1, "instruction")},
            size=PREVIEWED,
        ),
        Node(4, "VAEEncode", {}, {"pixels": (1, "image"), "vae": (2, "vae")}, title="Encode the picture"),
        Node(7, "DragInvert", inversion, {**inverted, "latent": (4, 0)}),
        *nodes,
        Node(
            9,
            "DragOptimize",
            chosen(recipe),
            {**inverted, "trajectory": (7, "trajectory"), "regions": (3, "regions"), **start},
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


def started(
    recipe: str, inversion: dict[str, Any], inverted: dict[str, Any]
) -> tuple[list[Node], dict[str, Any]]:
    """What a drag by points starts from, and DragOptimize's inputs for it.

    That is the emptied source with the region pasted; copy_paste has its own start, and for regions
    DragOptimize makes a draft itself.
    """
    if recipe not in METHODS or METHODS[recipe].moves == "regions":
        return [], {}
    pictures = {x: {"pixels": (3, x), "vae": (2, "vae")} for x in ("filled", "warped")}
    return [
        Node(5, "VAEEncode", {}, pictures["filled"], title="Encode it without the region"),
        Node(6, "VAEEncode", {}, pictures["warped"], title="Encode it warped"),
        Node(8, "DragInvert", inversion, {**inverted, "latent": (5, 0)}, title="Drag Invert (refill)"),
    ], {"refill": (8, "trajectory"), "warped": (6, 0)}


def finished() -> list[Node]:
    """A drag without gradients, measured against the exact result: one node draws the hole."""
    nodes = embedded("finish", "dragflow", "embedded-sd", 3, "lit")
    drawn = Node(
        9,
        "DragFinish",
        {},
        {
            "model": (2, "model"),
            "positive": (2, "positive"),
            "vae": (2, "vae"),
            "image": (1, "image"),
            "regions": (3, "regions"),
        },
    )
    kept = {"DragExampleScene", "DragEmbeddedModel", "DragRegionMaskAffine", "SaveImage", "DragMetrics"}
    shown = {"SaveImage": {"images": (9, "image")}, "DragMetrics": {"edited": (9, "image")}}
    return [replace(n, inputs=n.inputs | shown.get(n.type, {})) for n in nodes if n.type in kept] + [drawn]


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


def moved() -> list[Node]:
    """The shortest way: a picture, the drag drawn on it, a model, and one node that does the rest."""
    case = lit_case_number(3, "move")
    drag = json.loads(to_json(instruction_of(case)))
    for region in drag["regions"]:
        region["polygons"] = [_simpler(p) for p in region["polygons"]]
    return [
        Node(1, "DragExampleScene", {"kind": "move", "number": 3, "scenes": "lit"}),
        Node(2, "DragEmbeddedModel", {"model_name": "embedded-sd"}),
        Node(
            3,
            "DragEditor",
            {"drag": json.dumps(drag, separators=(",", ":"))},
            {"image": (1, "image")},
            size=(560.0, 760.0),
        ),
        Node(4, "DragEdit", {}, {"regions": (3, "regions"), "model": (2, "model"), "vae": (2, "vae")}),
        Node(5, "SaveImage", {"filename_prefix": "drag_moved"}, {"images": (4, "image")}),
    ]


def _simpler(polygon: list[list[float]]) -> list[list[float]]:
    """Leaves out corners that lie within a pixel of the line between their neighbours."""
    line = np.array(polygon, np.float32)[:, None]
    return [[float(x), float(y)] for x, y in cv2.approxPolyDP(line, 1.0, closed=True)[:, 0]]


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

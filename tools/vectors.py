"""Writes what the drag editor's JavaScript must compute as this Python does, tests/golden/*_vectors.json:
python -m tools.vectors
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import cv2
import torch

from drag_core.mllm.chosen import as_task
from drag_core.mllm.intent import INTENDED
from drag_core.motion.geometry import motion_matrix, rescale, stops, turn_angle
from drag_core.motion.instruction import DragInstruction, Shape, from_dict, parse, rescaled, to_dict
from drag_core.motion.masks import centroid, touched
from drag_core.motion.task import build_task, draw, motion_at
from drag_core.types import DragError, Grid, Region

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden"
PROGRESS = (0.0, 0.1, 1 / 3, 0.5, 0.8125, 1.0)
TRIANGLE = [[1, 1], [9, 1], [9, 9]]


def regions() -> list[dict[str, Any]]:
    """Regions by hand, then seeded ones of every task."""
    r = random.Random(4)

    def at() -> list[float]:
        return [round(r.uniform(-50, 300), 2), round(r.uniform(-50, 300), 2)]

    out: list[dict[str, Any]] = [
        {"task": "relocation", "target": [40, 20]},
        {"task": "deformation", "target": [10, 20], "path": [[40, 20]]},
        {"task": "relocation", "target": [40, 20], "path": [[10, 20], [10, 20], [40, 20]]},
        {"task": "rotation", "angle": 90},
        {"task": "rotation", "angle": -725.5, "anchor": [0, 0], "path": [[3, 3]]},
        {"task": "rotation", "target": [10, 60], "anchor": [10, 40]},
        {"task": "scale", "scale": [2, 0.5]},
        {"task": "scale", "scale": [1, 1], "anchor": [7.5, -3]},
    ]
    for task in ("relocation", "deformation", "rotation", "rotation", "scale") * 4:
        region: dict[str, Any] = {"task": task, "target": at()}
        if task in ("relocation", "deformation"):
            region["path"] = [at() for _ in range(r.randrange(4))]
        else:
            region["anchor"] = at()
        if task == "rotation" and r.random() < 0.5:
            region["angle"] = round(r.uniform(-400, 400), 3)
        if task == "scale":
            region["scale"] = [round(r.uniform(0.2, 3), 4), round(r.uniform(0.2, 3), 4)]
        out.append(region)
    return out


def motions() -> list[dict[str, Any]]:
    """Per region and centroid the motion, and [a, b, c, d, e, f] (x' = a x + c y + e) at every progress."""
    out, r = [], random.Random(5)
    for i, region in enumerate(regions()):
        centre = (10.0, 20.0) if i < 8 else (r.uniform(0, 256), r.uniform(0, 256))
        (spec,) = from_dict({"regions": [region | {"polygons": [TRIANGLE]}]}).regions
        motion = motion_at(spec, centre)
        matrices = [motion_matrix(motion, s)[:2].T.flatten().tolist() for s in PROGRESS]
        told = {k: getattr(motion, k) for k in ("shift", "angle", "scale", "anchor", "path")}
        case = {"region": region, "centroid": centre, "motion": told, "stops": stops(motion)}
        out.append(case | {"progress": PROGRESS, "matrices": matrices})
    return out


def turns() -> list[dict[str, Any]]:
    r = random.Random(6)
    places = [[(r.uniform(-99, 99), r.uniform(-99, 99)) for _ in range(3)] for _ in range(12)]
    places += [[(20, 10), (15, 10), (12, 10)], [(20, 10), (9, 10), (12, 10)], [(20, 10), (12, 13), (12, 10)]]
    return [{"start": a, "target": b, "anchor": c, "angle": turn_angle(a, b, c)} for a, b, c in places]


def rescales() -> list[dict[str, Any]]:
    """Motions in the pixels of a picture, and of the same picture at another size (width, height)."""
    out: list[dict[str, Any]] = []
    sizes = [((64, 48), (128, 96)), ((64, 48), (50, 99))] * 3
    for case, (src, dst) in zip(motions()[8:14], sizes, strict=True):
        told = case["motion"]
        (spec,) = from_dict({"regions": [case["region"] | {"polygons": [TRIANGLE]}]}).regions
        grids = [Grid(h, w) for w, h in (src, dst)]
        matrix = rescale(motion_matrix(motion_at(spec, case["centroid"])), *grids)[:2].T.flatten().tolist()
        out.append({"motion": told, "from": src, "to": dst, "matrix": matrix})
    return out


def shapes() -> list[dict[str, Any]]:
    """Regions by hand, then seeded ones; corners lie inside and outside of the 96x72 picture."""
    r = random.Random(8)

    def corners(n: int, lo: float, hi: float) -> list[list[float]]:
        return [[round(r.uniform(lo, hi), 2), round(r.uniform(lo, hi), 2)] for _ in range(n)]

    square, inner = [[10, 8], [40, 8], [40, 30], [10, 30]], [[20, 15], [30, 15], [30, 22], [20, 22]]
    star = [[48, 5], [60, 60], [10, 25], [80, 25], [30, 60]]
    out: list[dict[str, Any]] = [
        {"polygons": [square], "target": [60, 40]},
        {"polygons": [[[10.5, 8.5], [39.5, 9.5], [12.5, 30.5]]], "target": [70.25, 20]},
        {"polygons": [square], "holes": [inner], "task": "rotation", "angle": 33, "anchor": [48, 36]},
        {"polygons": [star], "task": "scale", "scale": [0.5, 1.2]},
        {"polygons": [square, [[5, 60], [80, 50], [60, 71]]], "target": [60, 40]},
        {"polygons": [[[20, 8], [46, 12], [30, 34]]], "target": [70, 44], "path": [[80, 20]]},
        {"polygons": [[[-30, 10], [50, -20], [130, 90], [40, 60]]], "task": "rotation", "angle": -20},
        {"strokes": [{"points": [[20, 20], [50, 30], [55, 50]], "radius": 6}], "target": [60, 40]},
        {"strokes": [{"points": [[90, 10]], "radius": 12.5}], "holes": [inner], "target": [40, 40]},
    ]
    for _ in range(6):
        out.append({"polygons": [corners(r.randrange(3, 9), 0, 70)], "target": corners(1, 20, 60)[0]})
    for _ in range(6):
        out.append({"polygons": [corners(r.randrange(3, 9), -40, 120)], "target": corners(1, 20, 60)[0]})
    return out


def runs(mask: torch.Tensor) -> list[int]:
    """Lengths of the runs of unset and set pixels in reading order, an unset one (maybe of none) first."""
    flat, out, value = mask.flatten().tolist(), [0], 0.0
    for v in flat:
        if v != value:
            out.append(0)
            value = v
        out[-1] += 1
    return out


def masks() -> dict[str, Any]:
    """Per region its pixels, centroid, least rectangle around all places, and the picture's adaptive mask."""
    size, out = Grid(72, 96), []
    for region in shapes():
        x = from_dict({"image": {"width": size.width, "height": size.height}, "regions": [region]})
        mask = draw(x.regions[0].shape, size)
        task, _ = build_task(x, size)
        assert task.editable is not None
        moving = Region(mask, task.regions[0].motion)
        pixels = torch.nonzero(touched(moving) > 0.5).flip(1).to(torch.float32).numpy()
        _, sides, _ = cv2.minAreaRect(pixels)
        case = {"region": region, "pixels": runs(mask), "centroid": centroid(mask)}
        out.append(case | {"rectangle": sorted(sides), "adaptive": runs(task.editable)})
    return {"width": size.width, "height": size.height, "cases": out}


def documents() -> list[str]:
    """Texts that are read, then texts that are refused."""

    def region(**fields: Any) -> str:
        return json.dumps({"regions": [{"polygons": [TRIANGLE], "target": [5, 5]} | fields]})

    whole = {
        "version": 1,
        "author": "me",
        "image": {"width": 64, "height": 32, "name": "cat.png"},
        "regions": [
            {"polygons": [TRIANGLE], "holes": [TRIANGLE], "target": [20, 20], "id": "a"},
            {"task": "deformation", "mask": "part.png", "target": [2, 2], "path": [[5, 5], [8.25, 1]]},
            {"task": "rotation", "strokes": [{"points": [[1, 2]], "radius": 3}], "angle": 400, "auto": True},
            {"task": "scale", "polygons": [TRIANGLE], "scale": [1.5, 0.5], "anchor": [1, 1], "weight": 2},
        ],
        "points": [{"start": [1, 2], "target": [3, 4], "id": 7}],
        "editable": {"mode": "painted", "polygons": [TRIANGLE], "holes": [TRIANGLE], "shown": False},
        "prompts": {"source": "a", "target": "<img onerror=alert(1)>", "negative": "c"},
    }
    read = ["{}", '{"version": 1}', '{"regions": [], "x": [1, {"y": null}]}', json.dumps(whole)]
    read += [region(), region(task="transformation"), region(weight=None, angle=None), region(label="\u00e9")]
    shown = ["[1, 2]", "3", "null", "{", "", '{"version": 2}', '{"version": true}', '{"version": "1"}']
    shown += ['{"points": [{"start": [NaN, 1], "target": [1, 1]}]}', '{"x": -Infinity}', '{"x": [1e999]}']
    shown += ['{"regions": {}}', '{"regions": [3]}', '{"points": [[1, 1]]}', '{"points": [{}]}']
    shown += ['{"editable": "all"}', '{"editable": {"mode": "auto"}}', '{"editable": {"mode": "painted"}}']
    shown += ['{"image": {"width": 0}}', '{"image": {"width": 1.5}}', '{"image": {"width": 1000000}}']
    shown += ['{"prompts": {"source": 3}}', '{"x": ' + "[" * 64 + "]" * 64 + "}"]
    for fields in (
        {"task": "move"}, {"task": 3}, {"target": None}, {"target": [1]}, {"target": [1, 2, 3]},
        {"target": ["1", 2]}, {"target": [True, 2]}, {"target": [2e9, 0]}, {"target": {"x": 1, "y": 2}},
        {"task": "rotation", "target": None}, {"task": "scale"}, {"task": "scale", "scale": [1, 0]},
        {"task": "scale", "scale": 2}, {"weight": 0}, {"weight": -1}, {"weight": "2"}, {"angle": "30"},
        {"label": 3}, {"polygons": []}, {"polygons": None}, {"polygons": [[[1, 1], [2, 2]]]},
        {"polygons": [[]]}, {"polygons": [[[1, 1], [2, 2], 3]]}, {"holes": [[[1, 1], [2, 2]]]},
        {"holes": "all"}, {"polygons": [], "holes": [TRIANGLE]}, {"path": None}, {"path": [1, 2]},
        {"path": [[1, 1]] * 65}, {"strokes": [{"points": [], "radius": 3}]}, {"strokes": [3]},
        {"strokes": [{"points": [[1, 1]], "radius": 0}]}, {"strokes": [{"points": [[1, 1]], "radius": 5000}]},
        {"mask": "../m.png"}, {"mask": "/etc/passwd"}, {"mask": "a\\b.png"}, {"mask": 3}, {"mask": ".png"},
    ):  # fmt: skip
        shown.append(region(**fields))
    return [*read, *shown]


def outcome(text: str) -> dict[str, Any]:
    """`error`: of a finished document, `draft_error` also of a draft."""
    out: dict[str, Any] = {"text": text}
    for key, finished in (("error", True), ("draft_error", False)):
        try:
            document = parse(text, finished=finished)
        except DragError as e:
            out[key] = str(e)
    if "draft_error" not in out:
        out |= {"document": to_dict(document), "at_32x64": None}
        if document.width:
            out["at_32x64"] = to_dict(rescaled(document, width=32, height=64))
    return out


def intents() -> list[dict[str, Any]]:
    """Regions, a task that a model says, and the region that this means; null where it keeps its own."""
    r, size = random.Random(6), Grid(96, 128)
    shapes = [
        [[40, 20], [50, 20], [50, 80], [40, 80]],
        [[10, 60], [70, 50], [72, 60], [12, 66]],
        [[90, 10], [100, 40], [70, 45]],
        [[20, 50], [60, 50], [60, 50]],
    ]
    out = []
    for shape in shapes:
        mask = draw(Shape(polygons=(tuple((float(x), float(y)) for x, y in shape),)), size)
        at = [round(v) + 0.0 for v in centroid(mask)]
        away = [float(r.randrange(5, 120)), float(r.randrange(5, 90))]
        motions: list[dict[str, Any]] = [
            *(
                {"task": task, "target": goal}
                for task in ("relocation", "deformation")
                for goal in (away, at)
            ),
            *({"task": "relocation", "target": [at[0], y], "path": [[3.0, 3.0]]} for y in (5.0, 90.0)),
            {"task": "rotation", "angle": 35.0},
            {"task": "rotation", "angle": -120.0, "anchor": [10.0, 90.0]},
            {"task": "rotation", "target": away, "anchor": [60.0, 90.0]},
            {"task": "scale", "scale": [2.0, 1.0]},
        ]
        for motion in motions:
            document = {"regions": [{**motion, "polygons": [shape]}]}
            (spec,) = from_dict(document).regions
            meant = {task: as_task(spec, task, mask) for task in INTENDED}
            said = {
                task: found and to_dict(DragInstruction(regions=(found,)))["regions"][0]
                for task, found in meant.items()
            }
            out.append({"document": document, "size": [size.width, size.height], "meant": said})
    return out


def vectors() -> dict[str, str]:
    """File names and what is in them."""
    geometry = {"motions": motions(), "turns": turns(), "rescales": rescales()}
    texts = [outcome(text) for text in documents()]
    return {
        "geometry_vectors.json": json.dumps(geometry, indent=1) + "\n",
        "instruction_vectors.json": json.dumps(texts, indent=1) + "\n",
        "intent_vectors.json": json.dumps(intents()) + "\n",
        "mask_vectors.json": json.dumps(masks()) + "\n",
    }


if __name__ == "__main__":
    for name, text in vectors().items():
        (GOLDEN / name).write_text(text, encoding="utf-8")

"""Writes what the drag editor's JavaScript must compute as this Python does, tests/golden/*_vectors.json:
python -m tools.vectors
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from drag_core.geometry import motion_matrix, stops, turn_angle
from drag_core.instruction import from_dict, parse, rescaled, to_dict
from drag_core.task import motion_at
from drag_core.types import DragError

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
            out["at_32x64"] = to_dict(rescaled(document, 32, 64))
    return out


def vectors() -> dict[str, str]:
    """File names and what is in them."""
    geometry = {"motions": motions(), "turns": turns()}
    texts = [outcome(text) for text in documents()]
    return {
        "geometry_vectors.json": json.dumps(geometry, indent=1) + "\n",
        "instruction_vectors.json": json.dumps(texts, indent=1) + "\n",
    }


if __name__ == "__main__":
    for name, text in vectors().items():
        (GOLDEN / name).write_text(text, encoding="utf-8")

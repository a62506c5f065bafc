"""Foreign instruction files as our document's data: DragFlow/ReD, Drag100, DragNeXt, SDE-Drag, KJNodes.

Region pictures become polygons around their connected parts, exact to the pixel, holes included, so that one
JSON file says all. Points are (x, y) pixel centres of the mask picture.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..motion.geometry import turn_angle
from ..motion.instruction import MAX_POINTS, MAX_REGIONS
from ..motion.masks import centroid
from ..motion.untrusted import load_json
from ..types import DragError, Point
from .outlines import Found, components, editable_in, mask_picture, outlines, part_at, size_of

SDE_SIZE = {"width": 512, "height": 512}  # its script squeezes every picture to this


def read_dragflow(data: dict[str, Any], folder: Path) -> Found:
    """Reads instruction.json, operation.png and, where it is there, mask.png of DragFlow and ReD Bench."""
    operations, ends = _is(data, "region_operations", dict), _is(data, "point_operations", dict)
    starts, targets = _is(ends, "begin_points", list), _is(ends, "target_points", list)
    if len(operations) > MAX_REGIONS or len(starts) != len(targets):
        counts = f"{len(operations)} regions, {len(starts)} begin_points and {len(targets)} target_points"
        raise DragError(
            f"it has {counts}; at most {MAX_REGIONS} regions are read, and every begin point needs its target"
        )
    picture = folder / "operation.png"
    mask = mask_picture(picture) if operations or picture.is_file() else np.zeros((0, 0), np.uint8)
    labels, regions = components(mask) if operations else None, list[dict[str, Any]]()
    for key, operation in operations.items():
        at = f"region_operations.{key[:40]}"
        centroids = operation.get("centroids") if isinstance(operation, dict) else None
        if labels is None or not isinstance(centroids, list) or len(centroids) != 2:
            raise DragError(
                f"{at}.centroids is {str(centroids)[:60]}; it must be [[x, y], [x, y]], begin and target"
            )
        shape = outlines(part_at(labels, _xy(centroids[0], f"{at}.centroids")))
        known = {
            "task": operation.get("task", "relocation"),
            "target": centroids[1],
            "anchor": operation.get("anchors"),
        }
        regions.append({"polygons": shape, **known})
    source, edit = _is(data, "background_prompt", str), _is(data, "editing_prompt", str)
    pairs = [{"start": s, "target": t} for s, t in zip(starts, targets, strict=True)]
    frame, notes = editable_in(folder / "mask.png", "adaptive")
    document = {
        "image": size_of(mask),
        "regions": regions,
        "points": pairs,
        "prompts": {"source": source, "target": source + edit},
    }
    # the demonstrations, and what we write, come without a mask: that is no fault
    has_mask = (folder / "mask.png").is_file()
    return document | ({"editable": frame["editable"]} if has_mask else {}), notes if has_mask else ()


def read_drag100(data: dict[str, Any], folder: Path) -> Found:
    """Reads points.json and mask.png of Drag100."""
    points = _is(data, "points", list)
    if len(points) % 2 or not 0 < len(points) <= 2 * MAX_POINTS:
        raise DragError(
            f"points has {len(points)} entries; it needs 1 to {MAX_POINTS} pairs of handle and target"
        )
    pairs = [{"start": h, "target": t} for h, t in zip(points[::2], points[1::2], strict=True)]
    frame, notes = editable_in(folder / "mask.png")
    return {"points": pairs, **frame}, notes


def read_dragnext(data: dict[str, Any], folder: Path) -> Found:
    """Reads points.json, handle_region_mask.png, editable_region_mask.png and user_intention.json."""
    points = _is(data, "points", list)[: 3 * MAX_POINTS + 1]
    turns = _is(data, "rotation", list) or [False] * len(points)
    if (
        len(points) > 3 * MAX_POINTS
        or len(turns) != len(points)
        or not all(isinstance(t, bool) for t in turns)
    ):
        raise DragError(
            f"it has {len(points)} points and {len(turns)} entries in rotation; every point needs true or "
            f"false"
        )
    xy = [_xy(p, f"points[{i}]") for i, p in enumerate(points)]
    moving, turning = ([p for p, t in zip(xy, turns, strict=True) if t == kind] for kind in (False, True))
    if len(moving) % 2 or len(turning) % 3 or not xy:
        counts = f"{len(moving)} points that move and {len(turning)} that turn"
        raise DragError(f"it has {counts}; a move is handle and target, a turn is centre, handle and target")
    mask = mask_picture(folder / "handle_region_mask.png")
    labels, regions = components(mask), list[dict[str, Any]]()
    for h, t in zip(moving[::2], moving[1::2], strict=True):
        part = part_at(labels, h)
        cx, cy = centroid(torch.from_numpy(part))
        regions.append({"polygons": outlines(part), "target": [cx + t[0] - h[0], cy + t[1] - h[1]]})
    for c, h, t in zip(turning[::3], turning[1::3], turning[2::3], strict=True):
        if c in (h, t):
            raise DragError(
                f"the turn about ({c[0]:g}, {c[1]:g}) has its handle or target on the centre: move it away"
            )
        turn = {"task": "rotation", "anchor": list(c), "angle": math.degrees(turn_angle(h, t, c))}
        regions.append({"polygons": outlines(part_at(labels, h)), **turn})
    ends = [*zip(moving[::2], moving[1::2], strict=True), *zip(turning[1::3], turning[2::3], strict=True)]
    pairs = [{"start": list(h), "target": list(t)} for h, t in ends]
    frame, notes = editable_in(folder / "editable_region_mask.png")
    document = {**frame, "image": size_of(mask), "regions": regions, "points": pairs}
    if (said := folder / "user_intention.json").is_file():
        wish = _is(_object(load_json(said.read_bytes())), "user_intention", str)
        document["prompts"] = {"target": wish}
    return document, notes


def read_sde(data: dict[str, Any], folder: Path) -> Found:
    """Reads prompt.json and mask.png of SDE-Drag's DragBench: 512x512 pixels, whatever the picture's size."""
    starts, targets = _is(data, "source", list), _is(data, "target", list)
    if len(starts) != len(targets) or not 0 < len(starts) <= MAX_POINTS:
        raise DragError(
            f"it has {len(starts)} sources and {len(targets)} targets; it needs 1 to {MAX_POINTS} of both"
        )
    pairs = [{"start": list(s), "target": list(t)} for s, t in zip(starts, targets, strict=True)]
    frame, notes = editable_in(folder / "mask.png")
    if frame["image"] not in ({}, SDE_SIZE):
        across, down = (SDE_SIZE[k] / frame["image"][k] for k in ("width", "height"))
        drawn = frame["editable"].get("polygons", [])
        frame["editable"] |= {
            "polygons": [[[(x + 0.5) * across - 0.5, (y + 0.5) * down - 0.5] for x, y in p] for p in drawn]
        }
    return {
        **frame,
        "image": SDE_SIZE,
        "points": pairs,
        "prompts": {"source": _is(data, "prompt", str)},
    }, notes


def read_kjnodes(data: Any, folder: Path) -> Found:
    """Reads points as KJNodes keeps them: {"positive", "negative"} of its point editor, or splines.

    A positive point is a handle and the negative one of the same number its target; of a spline, a list of
    {x, y}, its first point goes to its last.
    """
    if isinstance(data, dict):
        starts, targets = ([_at(p) for p in _is(data, k, list)] for k in ("positive", "negative"))
        if len(starts) != len(targets):
            raise DragError(
                f"it has {len(starts)} positive and {len(targets)} negative points; a drag needs a negative "
                f"one, the target, for every positive one"
            )
    else:
        lines = [data] if data and all(isinstance(p, dict) for p in data) else data
        if not all(isinstance(line, list) and len(line) > 1 for line in lines):
            raise DragError("it holds a spline of fewer than two points, which goes nowhere")
        starts, targets = ([_at(line[k]) for line in lines] for k in (0, -1))
    if not 0 < len(starts) <= MAX_POINTS:
        raise DragError(f"it has {len(starts)} points; 1 to {MAX_POINTS} are read")
    pairs = [{"start": list(s), "target": list(t)} for s, t in zip(starts, targets, strict=True)]
    return {"points": pairs}, ()


def is_kjnodes(data: Any) -> bool:
    """Tells whether a JSON file holds points or splines as KJNodes keeps them."""
    if isinstance(data, dict):
        return {"positive", "negative"} <= data.keys()
    first = data[0] if isinstance(data, list) and data else None
    if isinstance(first, list) and first:
        first = first[0]
    return isinstance(first, dict) and first.keys() >= {"x", "y"}


def _at(data: Any) -> Point:
    return _xy([data.get("x"), data.get("y")] if isinstance(data, dict) else data, "a point")


def _object(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}


def _xy(data: Any, at: str) -> Point:
    if (
        not isinstance(data, list)
        or len(data) != 2
        or not all(type(v) in (int, float) and abs(v) <= 1e9 for v in data)
    ):
        raise DragError(f"{at} is {str(data)[:60]}; it must be [x, y]")
    return float(data[0]), float(data[1])


def _is(data: dict[str, Any], key: str, kind: type) -> Any:
    """Returns data[key], empty if missing or null."""
    value = kind() if data.get(key) is None else data[key]
    if not isinstance(value, kind):
        raise DragError(f"{key} is {str(value)[:60]}; it must be a JSON {kind.__name__}")
    return value

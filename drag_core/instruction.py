"""The drag instruction: one JSON document (version 1) that says what moves where. Read, checked, written.

Coordinates are (x, y) pixel centres of the picture whose size the document states. Unknown keys are kept in `extra`. Anything wrong
gives one DragError naming the place and the value.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import Any

from .types import DragError, Point

TASKS = ("relocation", "deformation", "rotation", "scale")
EDITABLE = ("adaptive", "painted", "none")
MAX_BYTES, MAX_REGIONS, MAX_POINTS, MAX_VERTICES = 10_000_000, 256, 1024, 100_000


@dataclass(frozen=True)
class Stroke:
    """A brush stroke: a polyline drawn with a disc of `radius` pixels."""

    points: tuple[Point, ...]
    radius: float


@dataclass(frozen=True)
class Shape:
    """A painted area: polygons, strokes, and/or the name of a mask picture beside the document."""

    polygons: tuple[tuple[Point, ...], ...] = ()
    strokes: tuple[Stroke, ...] = ()
    mask: str | None = None


@dataclass(frozen=True)
class RegionSpec:
    """`target`: where the region's centroid goes (relocation, deformation) or the point that shows the turn (rotation, unless
    `angle`, in degrees, is given); `scale` (sx, sy) about `anchor`, which defaults to the centroid."""

    shape: Shape
    task: str
    target: Point | None = None
    anchor: Point | None = None
    angle: float | None = None
    scale: Point | None = None
    weight: float | None = None
    label: str = ""
    extra: dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class PointSpec:
    start: Point
    target: Point


@dataclass(frozen=True)
class DragInstruction:
    """width, height: the picture that the coordinates belong to; None: whatever picture it is used on."""

    width: int | None = None
    height: int | None = None
    regions: tuple[RegionSpec, ...] = ()
    points: tuple[PointSpec, ...] = ()
    editable: str = "adaptive"
    painted: Shape = Shape()
    source_prompt: str = ""
    target_prompt: str = ""
    extra: dict[str, Any] = field(default_factory=dict, compare=False)


def parse(text: str | bytes) -> DragInstruction:
    """A DragInstruction from JSON text; at most 10 MB, 256 regions, 1024 points."""
    if len(text) > MAX_BYTES:
        raise DragError(f"the drag instruction is {len(text)} bytes long; at most {MAX_BYTES} are read")
    try:
        data = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise DragError("the drag instruction is nested too deeply to be one") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as e:
        raise DragError(f"the drag instruction is not JSON: {e}") from None
    return from_dict(data)


def _no_constant(name: str) -> float:
    raise DragError(f"the drag instruction holds {name}; every number must be finite")


def from_dict(data: Any) -> DragInstruction:
    """A DragInstruction from the parsed document."""
    d = dict(_object(data, "the document"))
    if (version := d.pop("version", 1)) != 1:
        raise DragError(f"the drag instruction has version {_short(version)}; this release reads version 1")
    image = dict(_object(d.pop("image", {}), "image"))
    regions = _list(d.pop("regions", []), "regions", MAX_REGIONS)
    points = _list(d.pop("points", []), "points", MAX_POINTS)
    editable = _object(d.pop("editable", {"mode": "adaptive"}), "editable")
    mode = editable.get("mode", "adaptive")
    if mode not in EDITABLE:
        raise DragError(f"editable.mode is {_short(mode)}; use one of {', '.join(EDITABLE)}")
    prompts = _object(d.pop("prompts", {}), "prompts")
    return DragInstruction(
        width=_side(image.get("width"), "image.width"),
        height=_side(image.get("height"), "image.height"),
        regions=tuple(_region(r, f"regions[{i}]") for i, r in enumerate(regions)),
        points=tuple(_pair(p, f"points[{i}]") for i, p in enumerate(points)),
        editable=mode,
        painted=_shape(editable, "editable", needed=mode == "painted"),
        source_prompt=_text(prompts.get("source", ""), "prompts.source"),
        target_prompt=_text(prompts.get("target", ""), "prompts.target"),
        extra=d,
    )


def _region(data: Any, at: str) -> RegionSpec:
    d = dict(_object(data, at))
    task = d.pop("task", "relocation")
    task = {"transformation": "relocation"}.get(task, task) if isinstance(task, str) else task  # DragFlow's code says transformation
    if task not in TASKS:
        raise DragError(f"{at}.task is {_short(task)}; use one of {', '.join(TASKS)}")
    target, anchor = (_optional(d.pop(k, None), f"{at}.{k}", _point) for k in ("target", "anchor"))
    angle, weight = (_optional(d.pop(k, None), f"{at}.{k}", _number) for k in ("angle", "weight"))
    scale = _optional(d.pop("scale", None), f"{at}.scale", _point)
    if task in ("relocation", "deformation") and target is None:
        raise DragError(f"{at} is a {task} without a target: set target to [x, y]")
    if task == "rotation" and target is None and angle is None:
        raise DragError(f"{at} is a rotation without angle or target: set angle in degrees, or target to [x, y]")
    if task == "scale" and (scale is None or min(scale) <= 0):
        raise DragError(f"{at}.scale is {_short(scale)}; a scale needs two factors above 0, as [1.5, 1.5]")
    if weight is not None and weight <= 0:
        raise DragError(f"{at}.weight is {weight}; it must be above 0")
    shape = _shape(d, at, needed=True)
    label = _text(d.pop("label", ""), f"{at}.label")
    extra = {k: v for k, v in d.items() if k not in ("polygons", "strokes", "mask")}
    return RegionSpec(shape, task, target, anchor, angle, scale, weight, label, extra)


def _shape(d: dict[str, Any], at: str, needed: bool) -> Shape:
    polygons = _list(d.get("polygons", []), f"{at}.polygons", 4096)
    strokes = _list(d.get("strokes", []), f"{at}.strokes", 4096)
    mask = d.get("mask")
    if mask is not None and (not isinstance(mask, str) or "/" in mask or "\\" in mask or mask.startswith(".")):
        raise DragError(f"{at}.mask is {_short(mask)}; it must be the plain name of a picture beside the document")
    if needed and not (polygons or strokes or mask):
        raise DragError(f"{at} marks nothing: give it polygons, strokes or a mask")
    outlines = tuple(
        tuple(_point(p, f"{at}.polygons[{i}]") for p in _list(poly, f"{at}.polygons[{i}]", MAX_VERTICES)) for i, poly in enumerate(polygons)
    )
    for i, outline in enumerate(outlines):
        if len(outline) < 3:
            raise DragError(f"{at}.polygons[{i}] has {len(outline)} corners; a polygon needs at least 3")
    return Shape(outlines, tuple(_stroke(s, f"{at}.strokes[{i}]") for i, s in enumerate(strokes)), mask)


def _stroke(data: Any, at: str) -> Stroke:
    d = _object(data, at)
    points = tuple(_point(p, at) for p in _list(d.get("points", []), at, MAX_VERTICES))
    radius = _number(d.get("radius", 8), f"{at}.radius")
    if not points or not 0 < radius <= 4096:
        raise DragError(f"{at} has {len(points)} points and radius {radius}; it needs points and a radius in (0, 4096]")
    return Stroke(points, radius)


def _pair(data: Any, at: str) -> PointSpec:
    d = _object(data, at)
    return PointSpec(_point(d.get("start"), f"{at}.start"), _point(d.get("target"), f"{at}.target"))


def _object(data: Any, at: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise DragError(f"{at} is {_short(data)}; it must be an object")
    return data


def _list(data: Any, at: str, most: int) -> list[Any]:
    if not isinstance(data, list):
        raise DragError(f"{at} is {_short(data)}; it must be a list")
    if len(data) > most:
        raise DragError(f"{at} has {len(data)} entries; at most {most} are read")
    return data


def _number(data: Any, at: str) -> float:
    if isinstance(data, bool) or not isinstance(data, (int, float)) or abs(data) > 1e9 or not math.isfinite(data):
        raise DragError(f"{at} is {_short(data)}; it must be a finite number")
    return float(data)


def _point(data: Any, at: str) -> Point:
    if not isinstance(data, list) or len(data) != 2:
        raise DragError(f"{at} is {_short(data)}; it must be [x, y]")
    return _number(data[0], at), _number(data[1], at)


def _side(data: Any, at: str) -> int | None:
    if data is None:
        return None
    n = _number(data, at)
    if n != int(n) or not 1 <= n <= 65536:
        raise DragError(f"{at} is {_short(data)}; it must be a whole number of pixels")
    return int(n)


def _text(data: Any, at: str) -> str:
    if not isinstance(data, str):
        raise DragError(f"{at} is {_short(data)}; it must be text")
    return data


def _optional(data: Any, at: str, read: Any) -> Any:
    return None if data is None else read(data, at)


def _short(data: Any) -> str:
    text = repr(data)[:60] if not isinstance(data, (list, dict)) else f"a {type(data).__name__} of {len(data)}"
    return text


def to_dict(x: DragInstruction) -> dict[str, Any]:
    """The document; parse(to_json(x)) == x, unknown keys included."""
    out: dict[str, Any] = {"version": 1, **x.extra}
    if x.width is not None and x.height is not None:
        out["image"] = {"width": x.width, "height": x.height}
    out["regions"] = [_region_dict(r) for r in x.regions]
    out["points"] = [{"start": list(p.start), "target": list(p.target)} for p in x.points]
    out["editable"] = {"mode": x.editable, **_shape_dict(x.painted)}
    out["prompts"] = {"source": x.source_prompt, "target": x.target_prompt}
    return out


def to_json(x: DragInstruction) -> str:
    return json.dumps(to_dict(x), indent=1)


def _region_dict(r: RegionSpec) -> dict[str, Any]:
    out: dict[str, Any] = {"label": r.label, "task": r.task, **_shape_dict(r.shape), **r.extra}
    for key in ("target", "anchor", "scale"):
        if (value := getattr(r, key)) is not None:
            out[key] = list(value)
    return out | {k: v for k, v in (("angle", r.angle), ("weight", r.weight)) if v is not None}


def _shape_dict(s: Shape) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if s.polygons:
        out["polygons"] = [[list(p) for p in poly] for poly in s.polygons]
    if s.strokes:
        out["strokes"] = [{"points": [list(p) for p in k.points], "radius": k.radius} for k in s.strokes]
    return out | ({"mask": s.mask} if s.mask else {})


def rescaled(x: DragInstruction, width: int, height: int) -> DragInstruction:
    """The same drag on a picture of another size (pixel centres kept; radii by the mean factor)."""
    if x.width in (None, width) and x.height in (None, height):
        return replace(x, width=width, height=height)
    kx, ky = width / (x.width or width), height / (x.height or height)

    def at(p: Point) -> Point:
        return (p[0] + 0.5) * kx - 0.5, (p[1] + 0.5) * ky - 0.5

    def shape(s: Shape) -> Shape:
        strokes = tuple(Stroke(tuple(map(at, k.points)), k.radius * (kx + ky) / 2) for k in s.strokes)
        return Shape(tuple(tuple(map(at, poly)) for poly in s.polygons), strokes, s.mask)

    regions = tuple(
        replace(r, shape=shape(r.shape), target=r.target and at(r.target), anchor=r.anchor and at(r.anchor)) for r in x.regions
    )
    points = tuple(PointSpec(at(p.start), at(p.target)) for p in x.points)
    return replace(x, width=width, height=height, regions=regions, points=points, painted=shape(x.painted))

"""The drag instruction: one JSON document (version 1) that says what moves where. Read, checked, written.

Coordinates are (x, y) pixel centres of the picture whose size the document states. Unknown keys (those inside
strokes excepted) are kept in `extra`. Anything wrong gives one DragError naming the place and the value.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from ..ranges import check_mode
from ..types import DragError, Point
from .untrusted import (
    load_json,
    read_list,
    read_number,
    read_object,
    read_optional,
    read_point,
    read_side,
    read_text,
    short,
)

RegionTask = Literal["relocation", "deformation", "rotation", "scale"]
Editable = Literal["adaptive", "painted", "none"]
TASKS: tuple[RegionTask, ...] = get_args(RegionTask)
EDITABLE: tuple[Editable, ...] = get_args(Editable)
MAX_REGIONS, MAX_POINTS, MAX_VERTICES, MAX_PATH = 256, 1024, 100_000, 64


@dataclass(frozen=True)
class Stroke:
    """A brush stroke: a polyline drawn with a disc of `radius` pixels."""

    points: tuple[Point, ...]
    radius: float


@dataclass(frozen=True)
class Shape:
    """A painted area, without `holes`.

    Made of polygons, strokes, and/or the name of a mask picture beside the document.
    """

    polygons: tuple[tuple[Point, ...], ...] = ()
    strokes: tuple[Stroke, ...] = ()
    mask: str | None = None
    holes: tuple[tuple[Point, ...], ...] = ()


@dataclass(frozen=True)
class RegionSpec:
    """A region of the document and its motion.

    target: where the region's centroid goes (relocation, deformation) or the point that shows the turn
        (rotation, unless `angle`, in degrees, is given).
    scale: (sx, sy) about `anchor`, which defaults to the centroid.
    path: places of the centroid on its way to `target` (relocation, deformation).
    """

    shape: Shape
    task: RegionTask
    target: Point | None = None
    anchor: Point | None = None
    angle: float | None = None
    scale: Point | None = None
    weight: float | None = None
    label: str = ""
    extra: dict[str, Any] = field(default_factory=dict, compare=False)
    path: tuple[Point, ...] = ()

    def __post_init__(self) -> None:
        check_mode(f"the task of {self.label or 'a region'}", self.task, RegionTask)


@dataclass(frozen=True)
class PointSpec:
    start: Point
    target: Point
    extra: dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class DragInstruction:
    """A drag as a document.

    width, height: the picture that the coordinates belong to; None: whatever picture it is used on.
    """

    width: int | None = None
    height: int | None = None
    regions: tuple[RegionSpec, ...] = ()
    points: tuple[PointSpec, ...] = ()
    editable: Editable = "adaptive"
    painted: Shape = Shape()
    source_prompt: str = ""
    target_prompt: str = ""
    extra: dict[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        check_mode("the editable mode", self.editable, Editable)


def parse(text: str | bytes, *, finished: bool = True) -> DragInstruction:
    """Reads a DragInstruction from JSON text; at most 10 MB, 256 regions, 1024 points.

    finished: drafts, which lack a target or mark nothing yet, are refused.
    """
    return from_dict(load_json(text), finished=finished)


def read_instruction(path: Path | str) -> DragInstruction:
    """The drag instruction in a JSON file."""
    try:
        return parse(Path(path).read_bytes())
    except OSError as e:
        raise DragError(f"the drag instruction {path} can't be read: {e.strerror}") from None


def from_dict(data: Any, *, finished: bool = True) -> DragInstruction:
    """Reads a DragInstruction from the parsed document."""
    d = dict(read_object(data, "the document"))
    if (version := d.pop("version", 1)) != 1 or isinstance(version, bool):
        raise DragError(f"the drag instruction has version {short(version)}; this release reads version 1")
    image, editable, prompts = (dict(read_object(d.pop(k, {}), k)) for k in ("image", "editable", "prompts"))
    regions = read_list(d.pop("regions", []), "regions", MAX_REGIONS)
    points = read_list(d.pop("points", []), "points", MAX_POINTS)
    mode = editable.pop("mode", "adaptive")
    if mode not in EDITABLE:
        raise DragError(f"editable.mode is {short(mode)}; use one of {', '.join(EDITABLE)}")
    return DragInstruction(
        width=read_optional(image.pop("width", None), "image.width", read_side),
        height=read_optional(image.pop("height", None), "image.height", read_side),
        regions=tuple(_region(r, f"regions[{i}]", finished) for i, r in enumerate(regions)),
        points=tuple(_pair(p, f"points[{i}]") for i, p in enumerate(points)),
        editable=mode,
        painted=_shape(editable, "editable", needed=finished and mode == "painted"),
        source_prompt=read_text(prompts.pop("source", ""), "prompts.source"),
        target_prompt=read_text(prompts.pop("target", ""), "prompts.target"),
        extra=d
        | {k: v for k, v in (("image", image), ("editable", _rest(editable)), ("prompts", prompts)) if v},
    )


def _region(data: Any, at: str, finished: bool) -> RegionSpec:
    d = dict(read_object(data, at))
    task = d.pop("task", "relocation")
    task = "relocation" if task == "transformation" else task  # DragFlow's code says transformation
    if task not in TASKS:
        raise DragError(f"{at}.task is {short(task)}; use one of {', '.join(TASKS)}")
    target, anchor = (read_optional(d.pop(k, None), f"{at}.{k}", read_point) for k in ("target", "anchor"))
    angle, weight = (read_optional(d.pop(k, None), f"{at}.{k}", read_number) for k in ("angle", "weight"))
    scale = read_optional(d.pop("scale", None), f"{at}.scale", read_point)
    if task == "scale" and scale is not None and min(scale) <= 0:
        raise DragError(f"{at}.scale is {short(scale)}; a scale needs two factors above 0, as [1.5, 1.5]")
    if weight is not None and weight <= 0:
        raise DragError(f"{at}.weight is {weight}; it must be above 0")
    path = tuple(read_point(p, f"{at}.path") for p in read_list(d.pop("path", []), f"{at}.path", MAX_PATH))
    shape = _shape(d, at, needed=finished)
    label = read_text(d.pop("label", ""), f"{at}.label")
    spec = RegionSpec(shape, task, target, anchor, angle, scale, weight, label, _rest(d), path)
    if finished and (what := lacks(spec)):
        raise DragError(f"{at} {what}")
    return spec


def lacks(r: RegionSpec) -> str | None:
    """Says what a draft has yet to say before it can move, as the end of a sentence about it.

    None: nothing.
    """
    if not (r.shape.polygons or r.shape.strokes or r.shape.mask):
        return "marks nothing: give it polygons, strokes or a mask"
    if r.task == "scale" and r.scale is None:
        return "is a scale without factors: set scale to two factors above 0, as [1.5, 1.5]"
    if r.task == "rotation" and r.target is None and r.angle is None:
        return "is a rotation without angle or target: set angle in degrees, or target to [x, y]"
    if r.task in ("relocation", "deformation") and r.target is None:
        return f"is a {r.task} without a target: set target to [x, y]"
    return None


def _rest(d: dict[str, Any]) -> dict[str, Any]:
    """Returns what is left of an object once its own keys are popped, without the shape's."""
    return {k: v for k, v in d.items() if k not in ("polygons", "holes", "strokes", "mask")}


def _shape(d: dict[str, Any], at: str, needed: bool) -> Shape:
    polygons = read_list(d.get("polygons", []), f"{at}.polygons", 4096)
    strokes = read_list(d.get("strokes", []), f"{at}.strokes", 4096)
    mask = d.get("mask")
    if mask is not None and not (
        isinstance(mask, str) and re.fullmatch(r"[^./\\:\x00-\x1f][^/\\:\x00-\x1f]{0,199}", mask)
    ):
        raise DragError(
            f"{at}.mask is {short(mask)}; it must be the plain name of a picture beside the document"
        )
    if needed and not (polygons or strokes or mask):
        raise DragError(f"{at} marks nothing: give it polygons, strokes or a mask")
    outlines = tuple(_outline(poly, f"{at}.polygons[{i}]") for i, poly in enumerate(polygons))
    brushed = tuple(_stroke(s, f"{at}.strokes[{i}]") for i, s in enumerate(strokes))
    cut = read_list(d.get("holes", []), f"{at}.holes", 4096)
    return Shape(outlines, brushed, mask, tuple(_outline(h, f"{at}.holes[{i}]") for i, h in enumerate(cut)))


def _outline(data: Any, at: str) -> tuple[Point, ...]:
    corners = tuple(read_point(p, at) for p in read_list(data, at, MAX_VERTICES))
    if len(corners) < 3:
        raise DragError(f"{at} has {len(corners)} corners; a polygon needs at least 3")
    return corners


def _stroke(data: Any, at: str) -> Stroke:
    d = read_object(data, at)
    points = tuple(read_point(p, at) for p in read_list(d.get("points", []), at, MAX_VERTICES))
    radius = read_number(d.get("radius", 8), f"{at}.radius")
    if not points or not 0 < radius <= 4096:
        raise DragError(
            f"{at} has {len(points)} points and radius {radius}; it needs points and a radius in (0, 4096]"
        )
    return Stroke(points, radius)


def _pair(data: Any, at: str) -> PointSpec:
    d = dict(read_object(data, at))
    return PointSpec(
        read_point(d.pop("start", None), f"{at}.start"), read_point(d.pop("target", None), f"{at}.target"), d
    )


def to_dict(x: DragInstruction) -> dict[str, Any]:
    """Makes the document; parse(to_json(x)) == x, unknown keys included."""
    image, editable, prompts = (dict(x.extra.get(k, {})) for k in ("image", "editable", "prompts"))
    return {
        **x.extra,
        "version": 1,
        "image": image | {k: v for k, v in (("width", x.width), ("height", x.height)) if v is not None},
        "regions": [_region_dict(r) for r in x.regions],
        "points": [{**p.extra, "start": list(p.start), "target": list(p.target)} for p in x.points],
        "editable": editable | {"mode": x.editable, **_shape_dict(x.painted)},
        "prompts": prompts | {"source": x.source_prompt, "target": x.target_prompt},
    }


def to_json(x: DragInstruction) -> str:
    return json.dumps(to_dict(x), indent=1)


def _region_dict(r: RegionSpec) -> dict[str, Any]:
    out: dict[str, Any] = {"label": r.label, "task": r.task, **_shape_dict(r.shape), **r.extra}
    for key in ("target", "anchor", "scale"):
        if (value := getattr(r, key)) is not None:
            out[key] = list(value)
    if r.path:
        out["path"] = [list(p) for p in r.path]
    return out | {k: v for k, v in (("angle", r.angle), ("weight", r.weight)) if v is not None}


def _shape_dict(s: Shape) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, outlines in (("polygons", s.polygons), ("holes", s.holes)):
        if outlines:
            out[key] = [[list(p) for p in outline] for outline in outlines]
    if s.strokes:
        out["strokes"] = [{"points": [list(p) for p in k.points], "radius": k.radius} for k in s.strokes]
    return out | ({"mask": s.mask} if s.mask else {})


def rescaled(x: DragInstruction, *, width: int, height: int) -> DragInstruction:
    """Fits the same drag to a picture of another size (pixel centres kept; radii by the mean factor)."""
    if x.width in (None, width) and x.height in (None, height):
        return replace(x, width=width, height=height)
    kx, ky = width / (x.width or width), height / (x.height or height)

    def at(p: Point) -> Point:
        return (p[0] + 0.5) * kx - 0.5, (p[1] + 0.5) * ky - 0.5

    def shape(s: Shape) -> Shape:
        strokes = tuple(Stroke(tuple(map(at, k.points)), k.radius * (kx + ky) / 2) for k in s.strokes)
        polygons, holes = (tuple(tuple(map(at, outline)) for outline in o) for o in (s.polygons, s.holes))
        return Shape(polygons, strokes, s.mask, holes)

    def region(r: RegionSpec) -> RegionSpec:
        target, anchor = r.target and at(r.target), r.anchor and at(r.anchor)
        return replace(r, shape=shape(r.shape), target=target, anchor=anchor, path=tuple(map(at, r.path)))

    regions = tuple(map(region, x.regions))
    points = tuple(replace(p, start=at(p.start), target=at(p.target)) for p in x.points)
    return replace(x, width=width, height=height, regions=regions, points=points, painted=shape(x.painted))

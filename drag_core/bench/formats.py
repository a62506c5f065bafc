"""Instruction formats: DragFlow/ReD, Drag100/GoodDrag and DragNeXt folders, and our JSON file.

Region pictures become polygons around their connected parts, exact to the pixel, holes included, so that one
JSON file says all. Points are (x, y) pixel centres of the mask picture. What other formats say beyond an
instruction is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from PIL import Image

from ..motion.geometry import apply, motion_matrix, turn_angle
from ..motion.instruction import MAX_POINTS, MAX_REGIONS, DragInstruction, from_dict
from ..motion.masks import centroid
from ..motion.task import MaskReader, build_task
from ..motion.untrusted import MAX_BYTES, load_json
from ..pictures.files import write_json, write_whole
from ..types import AffineMotion, DragError, Grid, Point
from .outlines import (
    SPECK,
    Mask,
    components,
    editable_in,
    inner_pixel,
    mask_picture,
    outlines,
    part_at,
    size_of,
)

DOCUMENTS = ("instruction.json", "points.json", "drag.json")
PICTURES = ("original_image.png", "original.jpg", "original.png", "image.jpg", "image.png")


def read_any(path: Path) -> tuple[DragInstruction, Path | None]:
    """Reads the instruction in a file or folder of any known format, and the picture beside it, if any."""
    document = next((path / n for n in DOCUMENTS if (path / n).is_file()), path) if path.is_dir() else path
    if document.suffix.lower() in (".pkl", ".pickle") or (document.is_dir() and any(document.glob("*.pkl"))):
        raise DragError(
            f"{document} is or holds a pickle; pickled formats are not read by this release: convert it first"
        )
    if document.is_dir():
        raise DragError(
            f"the folder {path} holds no drag instruction: it needs one of {', '.join(DOCUMENTS)}"
        )
    try:
        if not document.is_file():
            raise DragError("there is no such file; give a JSON file or the folder of a sample")
        if (size := document.stat().st_size) > MAX_BYTES:
            raise DragError(f"it is {size} bytes long; at most {MAX_BYTES} are read")
        data = load_json(document.read_bytes())
        folder, known = document.parent, data if isinstance(data, dict) else {}
        if "region_operations" in known or "point_operations" in known:
            data = _dragflow(known, folder)
        elif document.name == "points.json" and not known.keys() & {"version", "regions", "image"}:
            is_next = "rotation" in known or (folder / "handle_region_mask.png").is_file()
            data = (_dragnext if is_next else _drag100)(known, folder)
        return from_dict(data), _picture(folder, document.stem)
    except (OSError, DragError) as e:
        raise DragError(f"{document} can't be read: {e}") from None


def write_dragflow(
    instruction: DragInstruction,
    folder: Path,
    size: Grid,
    *,
    task_name: Literal["transformation", "relocation"] = "transformation",
    read_mask: MaskReader | None = None,
) -> tuple[str, ...]:
    """Writes instruction.json and operation.png of DragFlow and ReD and returns notes.

    size: of the picture, which the caller may add.
    task_name: how to call a relocation: DragFlow's code knows "transformation" only, its paper says
        "relocation".
    Every connected part of a region becomes an operation of its own. DragFlow fills holes and has no weights.
    """
    if odd := next((r for r in instruction.regions if r.task == "scale"), None):
        raise DragError(
            f"region {odd.label!r} is scaled by {odd.scale}, which DragFlow can't say: leave it out"
        )
    task, found = build_task(instruction, size, read_mask)
    notes, operations = list(found), list[dict[str, Any]]()
    picture = np.zeros((size.height, size.width), np.uint8)
    for i, (spec, region) in enumerate(zip(instruction.regions, task.regions, strict=True)):
        name = spec.label or f"region {i + 1}"
        free = (cv2.dilate(picture, np.ones((3, 3), np.uint8)) == 0) & (region.mask.numpy() > 0.5)
        if not free.any():
            raise DragError(
                f"{name} is covered by those before it, but DragFlow's regions must not touch: move them "
                f"apart"
            )
        if free.sum() < int(region.mask.sum()):
            notes.append(f"{name} touches another region and was cut back: DragFlow would take them for one")
        if abs(region.motion.angle) > math.pi:
            notes.append(
                f"{name} turns by {math.degrees(region.motion.angle):g} degrees: DragFlow turns the "
                f"shorter way"
            )
        if region.motion.path:
            notes.append(f"{name} goes to its target over a path: DragFlow goes straight")
        called = task_name if spec.task == "relocation" else spec.task
        for part, operation in _operations(name, called, region.motion, free.astype(np.uint8)):
            operations.append(operation)
            picture |= part
    ends = {
        "begin_points": [h.start for h in task.handles],
        "target_points": [h.target for h in task.handles],
    }
    source, wanted = instruction.source_prompt, instruction.target_prompt
    if wanted and not wanted.startswith(source):
        notes.append(
            "DragFlow puts the source prompt before the editing prompt: together they are the target "
            "prompt there"
        )
    document = {
        "region_operations": {str(i): o for i, o in enumerate(operations)},
        "point_operations": {k: [_pixel(p, size) for p in v if instruction.points] for k, v in ends.items()},
        "background_prompt": source,
        "editing_prompt": wanted.removeprefix(source),
    }
    _write(folder, "instruction.json", document, "operation.png", picture)
    return tuple(notes)


def _operations(
    name: str, task: str, motion: AffineMotion, free: Mask
) -> Iterator[tuple[Mask, dict[str, Any]]]:
    """Yields every connected part of `free` that is no speck, with its operation."""
    labels, turns = components(free), task == "rotation"
    area = np.bincount(labels.ravel())[1:]
    for k in 1 + np.flatnonzero((area >= SPECK) | (area.max() < SPECK)):
        part = (labels == k).astype(np.uint8)
        centre = centroid(torch.from_numpy(part))
        if turns and math.dist(centre, motion.anchor) < 1:
            at = f"({centre[0]:g}, {centre[1]:g})"
            raise DragError(
                f"{name} turns about its own centre {at}, which DragFlow can't say: move the anchor"
            )
        target = apply(motion_matrix(motion), centre)
        anchors = [round(v, 2) for v in motion.anchor] if turns else None  # the code needs the key
        centroids = [inner_pixel(part, centre), [round(v, 2) for v in target]]
        yield part, {"task": task, "centroids": centroids, "anchors": anchors}


def write_drag100(
    instruction: DragInstruction, folder: Path, size: Grid, *, read_mask: MaskReader | None = None
) -> tuple[str, ...]:
    """Writes points.json (whole pixels) and mask.png of Drag100 for a picture of `size` and returns notes.

    Without points, every region gives a handle.
    """
    task, notes = build_task(instruction, size, read_mask)
    points = [_pixel(p, size) for h in task.handles for p in (h.start, h.target)]
    mask = (
        (torch.ones(size.height, size.width) if task.editable is None else task.editable)
        .numpy()
        .astype(np.uint8)
    )
    _write(folder, "points.json", {"points": points}, "mask.png", mask)
    return (
        (*notes, "Drag100 knows points only: the regions themselves were left out") if task.regions else notes
    )


def _dragflow(data: dict[str, Any], folder: Path) -> dict[str, Any]:
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
    return {
        "image": size_of(mask),
        "regions": regions,
        "points": pairs,
        "prompts": {"source": source, "target": source + edit},
    }


def _drag100(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    points = _is(data, "points", list)
    if len(points) % 2 or not 0 < len(points) <= 2 * MAX_POINTS:
        raise DragError(
            f"points has {len(points)} entries; it needs 1 to {MAX_POINTS} pairs of handle and target"
        )
    pairs = [{"start": h, "target": t} for h, t in zip(points[::2], points[1::2], strict=True)]
    return {"points": pairs, **editable_in(folder / "mask.png")}


def _dragnext(data: dict[str, Any], folder: Path) -> dict[str, Any]:
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
    return {
        **editable_in(folder / "editable_region_mask.png"),
        "image": size_of(mask),
        "regions": regions,
        "points": pairs,
    }


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


def _pixel(p: Point, size: Grid) -> list[int]:
    return [min(max(round(p[0]), 0), size.width - 1), min(max(round(p[1]), 0), size.height - 1)]


def _picture(folder: Path, stem: str) -> Path | None:
    names = (*PICTURES, *(stem + end for end in (".png", ".jpg", ".jpeg", ".webp")))
    return next((folder / n for n in names if (folder / n).is_file()), None)


def _write(folder: Path, name: str, document: dict[str, Any], mask_name: str, mask: Mask) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / mask_name, lambda p: Image.fromarray(mask * 255).save(p))
        write_json(folder / name, document)
    except OSError as e:
        raise DragError(f"the folder {folder} can't be written: {e}") from None

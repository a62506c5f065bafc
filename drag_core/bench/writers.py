"""Our drag instruction in foreign folders: DragFlow/ReD, Drag100, DragNeXt, SDE-Drag, and KJNodes' points."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from PIL import Image

from ..motion.geometry import apply, motion_matrix
from ..motion.instruction import DragInstruction
from ..motion.masks import centroid
from ..motion.task import MaskReader, build_task
from ..pictures.files import write_json, write_text, write_whole
from ..types import AffineMotion, DragError, Grid, Point
from .outlines import SPECK, Mask, components, inner_pixel
from .readers import SDE_SIZE


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
    mask = _editable(task.editable, size)
    _write(folder, "points.json", {"points": points}, "mask.png", mask)
    return (
        (*notes, "Drag100 knows points only: the regions themselves were left out") if task.regions else notes
    )


def write_nextbench(
    instruction: DragInstruction, folder: Path, size: Grid, *, read_mask: MaskReader | None = None
) -> tuple[str, ...]:
    """Writes points.json, both masks and user_intention.json of DragNeXt and NextBench and returns notes.

    A region moves by handle and target, or turns by centre, handle and target; every connected part of one
    has its own.
    """
    if not instruction.regions:
        raise DragError("DragNeXt moves regions, and this drag has points only: mark what shall move")
    if odd := next((r for r in instruction.regions if r.task == "scale"), None):
        raise DragError(
            f"region {odd.label!r} is scaled by {odd.scale}, which DragNeXt can't say: leave it out"
        )
    task, found = build_task(instruction, size, read_mask)
    notes, points, turns = list(found), list[Point](), list[bool]()
    picture = np.zeros((size.height, size.width), np.uint8)
    if instruction.points:
        notes.append("DragNeXt moves regions: the points were left out")
    for i, (spec, region) in enumerate(zip(instruction.regions, task.regions, strict=True)):
        name, mask = spec.label or f"region {i + 1}", (region.mask.numpy() > 0.5).astype(np.uint8)
        if (cv2.dilate(picture, np.ones((3, 3), np.uint8)) & mask).any():
            raise DragError(
                f"{name} touches a region before it, and DragNeXt would take them for one: move them apart"
            )
        if abs(region.motion.angle) > math.pi:
            notes.append(f"{name} turns by more than half a turn: DragNeXt turns the shorter way")
        if region.motion.path:
            notes.append(f"{name} goes straight: DragNeXt knows no paths")
        for told in _told(name, spec.task == "rotation", region.motion, mask):
            points += told
            turns += [len(told) == 3] * len(told)
        picture |= mask
    document = {"points": [[round(x, 2), round(y, 2)] for x, y in points], "rotation": turns}
    _write(folder, "points.json", document, "handle_region_mask.png", picture)
    wish = {"user_intention": instruction.target_prompt}
    mask = _editable(task.editable, size)
    _write(folder, "user_intention.json", wish, "editable_region_mask.png", mask)
    return tuple(notes)


def _told(name: str, turns: bool, motion: AffineMotion, mask: Mask) -> Iterator[list[Point]]:
    """Yields of every connected part of a region its points: [centre,] handle and target."""
    labels = components(mask)
    for k in range(1, int(labels.max()) + 1):
        part = (labels == k).astype(np.uint8)
        ys, xs = np.nonzero(part)
        centre, anchor = centroid(torch.from_numpy(part)), motion.anchor
        # a turn shows best far off its centre; a move at the middle
        away = (
            np.hypot(xs - anchor[0], ys - anchor[1]) if turns else -np.hypot(xs - centre[0], ys - centre[1])
        )
        best = int(away.argmax())
        if turns and away[best] < 1:
            raise DragError(f"{name} is a single point on its anchor, which shows no turn: move the anchor")
        handle = (float(xs[best]), float(ys[best]))
        target = apply(motion_matrix(motion), handle)
        yield [anchor, handle, target] if turns else [handle, target]


def write_sde(
    instruction: DragInstruction, folder: Path, size: Grid, *, read_mask: MaskReader | None = None
) -> tuple[str, ...]:
    """Writes prompt.json and mask.png of SDE-Drag, in 512x512 pixels whatever the size, and returns notes."""
    square = Grid(SDE_SIZE["height"], SDE_SIZE["width"])
    inside = replace(
        instruction, width=instruction.width or size.width, height=instruction.height or size.height
    )
    task, notes = build_task(inside, square, read_mask)
    document = {
        "source": [_pixel(h.start, square) for h in task.handles],
        "target": [_pixel(h.target, square) for h in task.handles],
        "prompt": instruction.source_prompt,
    }
    _write(folder, "prompt.json", document, "mask.png", _editable(task.editable, square))
    return (*notes, "SDE-Drag knows points only: the regions were left out") if task.regions else notes


def write_kjnodes(
    instruction: DragInstruction, path: Path, size: Grid, *, read_mask: MaskReader | None = None
) -> tuple[str, ...]:
    """Writes splines of two points as KJNodes' spline editor keeps them, a JSON file, and returns notes."""
    task, notes = build_task(instruction, size, read_mask)
    lines = [[{"x": x, "y": y} for x, y in (h.start, h.target)] for h in task.handles]
    write_text(path, json.dumps(lines) + "\n")
    return (*notes, "KJNodes knows points only: the regions were left out") if task.regions else notes


WRITERS: dict[str, Callable[..., tuple[str, ...]]] = {
    "dragflow": write_dragflow,
    "drag100": write_drag100,
    "nextbench": write_nextbench,
    "sde": write_sde,
    "kjnodes": write_kjnodes,
}


def _editable(mask: torch.Tensor | None, size: Grid) -> Mask:
    whole = torch.ones(size.height, size.width) if mask is None else mask
    out: Mask = whole.numpy().astype(np.uint8)
    return out


def _pixel(p: Point, size: Grid) -> list[int]:
    return [min(max(round(p[0]), 0), size.width - 1), min(max(round(p[1]), 0), size.height - 1)]


def _write(folder: Path, name: str, document: dict[str, Any], mask_name: str, mask: Mask) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / mask_name, lambda p: Image.fromarray(mask * 255).save(p))
        write_json(folder / name, document)
    except OSError as e:
        raise DragError(f"the folder {folder} can't be written: {e}") from None

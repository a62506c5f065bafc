"""Regions from painted masks, from a drag instruction, or both, added to those of before.

They make one task, and a sentence for everything odd about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..types import DragError, Grid, Point, Task
from .instruction import DragInstruction, RegionSpec, Shape
from .masks import centroid, moved
from .task import build_task, fitted, joined, named, reader

NEAR = 8.0  # px: one cell of the latent; a point nearer to the border has half a neighbourhood


def drag_task(
    size: Grid,
    masks: Sequence[Tensor] = (),
    how: RegionSpec | None = None,
    instruction: DragInstruction | None = None,
    everything: bool = False,
    painted: Tensor | None = None,
    before: Task | None = None,
    inputs: Sequence[Tensor] = (),
) -> tuple[Task, tuple[str, ...]]:
    """Builds the task on a picture of `size`, and notes: sentences about what will hardly work.

    masks: (H, W) in {0, 1}, one region each, all moved as `how` says (its shape and label are not used).
    instruction: its regions, points and what it lets change come on top.
    everything: the whole picture may change.
    painted: (H, W) in {0, 1}: only this may change, whatever else is said.
    before: a task to add this one to.
    inputs: masks that regions of the instruction name, the n-th as "input n", and that move as they say.
    Raises DragError where nothing is dragged, or not so.
    """
    x, notes = fitted(instruction or DragInstruction(), size)
    if before is not None and before.image != size:
        raise DragError(
            f"the regions before are drawn on {before.image.width}x{before.image.height} and this picture is "
            f"{size.width}x{size.height}: give both nodes the same picture"
        )
    if painted is not None and painted.sum() == 0:
        raise DragError("the editable mask is empty, so that nothing may change: paint it or disconnect it")
    if not masks and instruction is None:
        if before is None:
            raise DragError(
                "nothing is dragged: connect a mask, a drag instruction or the regions of another node"
            )
        if painted is None and not everything:  # what may change stays as it is
            return before, ()
        return joined(before, Task(size, editable=painted)), ()
    x = replace(
        x, regions=tuple(replace(r, label=r.label or f"region {i + 1}") for i, r in enumerate(x.regions))
    )
    moves = bool(x.regions or x.points)
    parts = []
    if masks:  # an instruction that moves nothing may still say what may change
        own = DragInstruction(size.width, size.height) if moves else x
        parts.append(replace(own, regions=_specs(masks, how)))
    if moves or not masks:
        parts.append(x)
    task = before
    for part in parts:
        if painted is not None:
            part = replace(part, editable="painted", painted=Shape(mask="/painted"))
        elif everything:
            part = replace(part, editable="none")
        built, more = build_task(part, size, reader(_given(masks, painted, inputs)))
        notes = (*notes, *more, *_odd(part, built))
        task = built if task is None else joined(task, built)
    assert task is not None  # there is at least one part
    notes = (*notes, *_left(x, inputs))
    prompts = [("source", x.source_prompt), ("target", x.target_prompt)]
    if said := ", ".join(f"{name} {text!r}" for name, text in prompts if text):
        notes = (*notes, f"the drag instruction has prompts ({said}): give them to the model's text encoder")
    return replace(task, prompts=(x.source_prompt, x.target_prompt)), notes


def _given(masks: Sequence[Tensor], painted: Tensor | None, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
    own = {f"/{i}": m for i, m in enumerate(masks)} | ({} if painted is None else {"/painted": painted})
    return own | named(inputs)


def _specs(masks: Sequence[Tensor], how: RegionSpec | None) -> tuple[RegionSpec, ...]:
    """Turns the masks into regions of an instruction.

    Names that start with a slash can't stand in a document.
    """
    out = []
    for i, mask in enumerate(masks):
        name = "the mask" if len(masks) == 1 else f"mask {i + 1}"
        if mask.sum() == 0:
            raise DragError(f"{name} is empty: paint the part that shall move")
        if how is None:
            raise DragError(f"{name} has no motion: choose a task")
        if how.task == "scale" and (how.scale is None or min(how.scale) <= 0):
            raise DragError(f"the scale is {how.scale}; a scale needs two factors above 0, as (1.5, 1.5)")
        if how.weight is not None and how.weight <= 0:
            raise DragError(f"the weight is {how.weight:g}; it must be above 0")
        out.append(replace(how, shape=Shape(mask=f"/{i}"), label=name))
    return tuple(out)


def _left(x: DragInstruction, inputs: Sequence[Tensor]) -> tuple[str, ...]:
    """Says which of the connected masks no region of the instruction moves."""
    moving = {r.shape.mask for r in x.regions} | {x.painted.mask}
    still = [name for name, mask in named(inputs).items() if name not in moving and mask.any()]
    return tuple(
        f'the connected mask "{name}" is in no region of the drag: it stays where it is' for name in still
    )


def _odd(x: DragInstruction, task: Task) -> tuple[str, ...]:
    """Says what is allowed but surprises, beyond the notes of build_task."""
    notes = []
    goes: dict[Point, list[str]] = {}
    for spec in x.regions:
        if spec.target is not None and spec.task in ("relocation", "deformation"):
            goes.setdefault(spec.target, []).append(spec.label)
    for names in (n for n in goes.values() if len(n) > 1):
        notes.append(
            f"{' and '.join(names)} go to the same place, one over the other: to keep them side by side "
            f"paint them as one mask, or use one node for each"
        )
    for spec, region in zip(x.regions, task.regions, strict=True):
        cx, cy = centroid(region.mask)
        if spec.anchor is None and not region.mask[round(cy), round(cx)]:
            notes.append(
                f"the centre of {spec.label}, ({cx:.0f}, {cy:.0f}), lies outside its shape: the motion still "
                f"counts from there"
            )
        edge = torch.zeros_like(region.mask)
        edge[0], edge[-1], edge[:, 0], edge[:, -1] = 1, 1, 1, 1
        if (edge * region.mask).any():
            notes.append(
                f"{spec.label} touches the border of the picture: what lies beyond it is unknown, so its cut "
                f"edge moves along"
            )
        both = torch.maximum(region.mask, moved(region))
        if x.editable == "painted" and task.editable is not None:
            share = 1 - float((both * task.editable).sum() / both.sum())
            if share > 0.1:
                notes.append(
                    f"{share:.0%} of {spec.label} and of where it goes lie outside the editable mask, where "
                    f"the picture stays as it is: paint that mask larger"
                )
    for i, p in enumerate(x.points):
        for what, (px, py) in ((f"point {i + 1}", p.start), (f"the target of point {i + 1}", p.target)):
            distance = min(px, py, task.image.width - 1 - px, task.image.height - 1 - py)
            if distance < NEAR:
                notes.append(
                    f"{what} lies {max(distance, 0):.0f} px from the border of the picture: within "
                    f"{NEAR:.0f} px of it points are followed less surely"
                )
    return tuple(notes)

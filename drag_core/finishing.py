"""A whole edit without gradients: a draft in pixels, and what the model draws anew in it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .backends.load import Model
from .motion.areas import editable_cells, hole_cells, strength_map
from .pictures.draft import Draft, draft_of
from .pictures.paste import pieced
from .result import Handoff, Result
from .step import OnStep, quiet
from .trajectory.finish import STEPS, finish, noise_like
from .trajectory.schedules import evenly
from .types import DragError, Prediction, Task

FIRST = 0.5  # the flow's time that the hole is drawn from: .4 to .6 are alike (`python -m benchmarks.drafts`)


@dataclass(frozen=True)
class Redrawn:
    """What the model drew anew in a draft.

    cells: (1, 1, h, w) in {0, 1}, those that it drew.
    shown: (1, 3, H, W) in [0, 1], its picture, of which only these belong into the edit.
    """

    result: Result
    cells: Tensor
    shown: Tensor


def finish_task(
    model: Model,
    image: Tensor,
    task: Task,
    *,
    first: float = FIRST,
    of_core: float = 0.0,
    of_rest: float = 0.0,
    seed: int = 0,
    on_step: OnStep = quiet,
) -> tuple[Result, Tensor]:
    """Edits a picture (1, 3, H, W) of the model's size by its draft, and returns the latent and its picture.

    Where the model draws nothing stand the draft's own pixels, outside what may change the picture's.
    first: the flow's time, above 0 and below 1, that the model draws from.
    of_core, of_rest: strength_map()'s.
    Points alone leave no hole: what they carry is the draft's. Raises DragError where nothing is marked.
    """
    draft = sketch(image, task)
    drawn = redraw(
        model, image, task, draft, first=first, of_core=of_core, of_rest=of_rest, seed=seed, on_step=on_step
    )
    own = draft.picture[None].to(image)
    return drawn.result, pieced(image, own, drawn.shown, drawn.cells, task.editable)


def sketch(image: Tensor, task: Task) -> Draft:
    """Makes the draft of a picture (1, 3, H, W); raises DragError where nothing is marked."""
    if not task.regions and not task.handles:
        raise DragError("the drag marks nothing that moves: mark a region or a point")
    return draft_of(image[0].cpu(), task)


def redraw(
    model: Model,
    image: Tensor,
    task: Task,
    draft: Draft,
    *,
    first: float = FIRST,
    of_core: float = 0.0,
    of_rest: float = 0.0,
    seed: int = 0,
    on_step: OnStep = quiet,
) -> Redrawn:
    """Has the model draw in a draft of finish_task()'s picture, whose other arguments these are."""
    cells = strength_map(task, of_core, of_rest, hole_cells(draft.hole, draft.there, task))
    kind: Prediction = "noise" if model.family == "sd" else "velocity"
    z0, may = model.codec.encode(image), editable_cells(task)
    z = torch.where(may.to(z0) > 0.5, model.codec.encode(draft.picture[None].to(image)), z0)
    levels = evenly(first, STEPS, kind)
    z = finish(model.backbone, z, cells, levels, noise_like(z, seed), on_step=on_step)
    shown = model.codec.decode(z).to(image).clamp(0, 1)
    return Redrawn(Result(z, z0, (), (), Handoff(0, z, z0), ()), (cells > 0).float(), shown)

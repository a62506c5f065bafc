"""What the user set on DragOptimize, as a recipe for this model and this trajectory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...drag_core.backends.hooks import missing_tap
from ...drag_core.recipes.assemble import Choice, Given, KeepBackground, ModelGround, assemble
from ...drag_core.recipes.choice import AUTO, automatic
from ...drag_core.recipes.recipe import Recipe, check_ramp
from ...drag_core.trajectory.beside import check_beside
from ...drag_core.types import DragError, Task, Trajectory
from .family import HostModel, family_in
from .inversion import Inversion, back


@dataclass(frozen=True)
class DragChoices(Choice):
    """What the user set on DragOptimize: the choice of a recipe, and how often a preview is shown."""

    preview_every: int = 5


def ground_of(family: HostModel, inversion: Inversion) -> ModelGround:
    """Collects the connected model and its inversion, as the core puts recipes together on them."""
    source, solver = inversion.trajectory, back(inversion)
    return replace(family.ground(), schedule=source.schedule, solver=solver, stored=source.kv, inverted=True)


def check_size(task: Task, latent: Tensor) -> None:
    """Refuses a latent, the core's or a LATENT's samples, of another size than the task's picture."""
    (h, w), c = latent.shape[-2:], task.cell
    if (task.image.height, task.image.width) != (c * h, c * w):
        raise DragError(
            f"the regions are drawn on {task.image.width}x{task.image.height} and the inverted latent is of "
            f"a {c * w}x{c * h} picture: use one picture for both, with sides divisible by 16 (DragCrop "
            "makes one)"
        )


def _check_sizes(task: Task, source: Trajectory, others: list[tuple[str, Any]]) -> None:
    check_size(task, source.z[0])
    (h, w), c = source.z[0].shape[-2:], task.cell
    for name, x in others:
        if x is not None and x.shape[-2:] != (h, w):
            raise DragError(
                f"{name} is of a {c * x.shape[-1]}x{c * x.shape[-2]} picture and the trajectory of one of "
                f"{c * w}x{c * h}: make it from the same picture"
            )


def settled(wish: DragChoices, family: HostModel, task: Task) -> DragChoices:
    """Settles the wish with the recipe that "auto" stands for."""
    return replace(wish, recipe=automatic(family.name, task)) if wish.recipe == AUTO else wish


def planned(
    patcher: Any,
    inversion: Inversion,
    task: Task,
    wish: DragChoices,
    background: KeepBackground | None = None,
    warped: Tensor | None = None,
    refill: Inversion | None = None,
    draft: Inversion | None = None,
) -> tuple[DragChoices, Recipe]:
    """Completes `wish` with its recipe's name and builds what drag_latent() runs for it.

    warped: the core's clean latent.
    Refuses all that needs no model call.
    """
    family = family_in(patcher)
    inversion.need_model(patcher)
    task = replace(task, cell=family.cell)
    inverted = {name: x for name, x in (("refill", refill), ("draft", draft)) if x is not None}
    others = [(name, x.trajectory.z[0]) for name, x in inverted.items()]
    _check_sizes(task, inversion.trajectory, [*others, ("warped", warped)])
    for name, x in inverted.items():
        x.need_model(patcher)
        check_beside(inversion.trajectory, x.trajectory, name)
    with torch.inference_mode(False):  # autograd may save what the recipe makes
        paths = {name: x.moved(patcher.load_device) for name, x in inverted.items()}
        wish = settled(wish, family, task)
        given = Given(paths.get("refill"), warped, paths.get("draft"), background)
        recipe = assemble(task, ground_of(family, inversion), wish, given)
    check_ramp(recipe, inversion.trajectory.schedule)
    if gone := [t.block for t in recipe.taps if t.block not in family.blocks]:
        raise missing_tap(gone[0], list(family.blocks))  # a pruned model would have no block left
    return wish, recipe

"""What a drag starts from where nothing is connected.

A draft, or a refill and a warped picture, made from the trajectory's own picture.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...drag_core.autocast import uncast
from ...drag_core.motion.areas import hole
from ...drag_core.motion.masks import leaving
from ...drag_core.pictures.draft import draft_of
from ...drag_core.pictures.inpaint import painted_over
from ...drag_core.recipes.assemble import KeepBackground
from ...drag_core.recipes.recipe import Recipe
from ...drag_core.trajectory.finish import STEPS, finish, noise_like
from ...drag_core.trajectory.invert import invert
from ...drag_core.trajectory.schedules import evenly
from ...drag_core.types import DragError, Task, Trajectory
from .family import family_in
from .inversion import SOLVERS, Inversion, digest
from .loaders import load_vae
from .progress import listener
from .recent import Recent
from .schedule import host_sigmas
from .session import HostBackbone, SessionNeeds, run
from .shape import latent_in, latent_out
from .wish import DragChoices, planned

NONE_GIVEN = "no start given: the thing may stay where it is; connect draft, or vae to have a start made here"
POINTS_ALONE = (
    "no start: points alone paste nothing, so that the thing may stay where it is; mark a region for a start"
)
MADE = "start: made here: refill and warped"
DRAFTED = "start: made here: draft"
KEPT = 2  # remembered: a region that goes elsewhere leaves the same hole


@dataclass(frozen=True)
class Start:
    """What DragOptimize hands to the drag.

    refill, warped (LATENT samples), draft: given or made.
    said: for the report.
    notes: for the user.
    calls, seconds: that making them took.
    steps: of the progress bar, that making them took.
    """

    refill: Inversion | None
    warped: Tensor | None
    draft: Inversion | None
    said: str
    notes: tuple[str, ...] = ()
    calls: int = 0
    seconds: float = 0.0
    steps: int = 0

    def report(self) -> dict[str, Any]:
        """Writes what DragOptimize's report has of it."""
        cost = {"start_model_calls": self.calls, "start_seconds": round(self.seconds, 3)}
        return {"start": self.said, **(cost if self.seconds else {})}


_last: Recent[Inversion] = Recent(KEPT)


def start_of(
    patcher: Any,
    inversion: Inversion,
    task: Task,
    wish: DragChoices,
    background: KeepBackground | None = None,
    refill: Inversion | None = None,
    warped: Tensor | None = None,
    draft: Inversion | None = None,
    vae: Any = None,
) -> Start:
    """Makes the start as connected or, if nothing is, with `vae`, which an embedded model need not be given.

    What it takes is inverted at the trajectory's levels, under its prompt, with `patcher` (an adapter that is
    on it and was not on the inverted model acts here too). All that needs no model call is refused first.
    """
    connected = (("refill", refill), ("warped", warped), ("draft", draft))
    if given := [name for name, x in connected if x is not None]:
        return Start(refill, warped, draft, f"given: {' and '.join(given)}")
    _, recipe = planned(patcher, inversion, task, wish, background)
    preset = family_in(patcher).preset
    embedded = preset is not None
    if wish.recipe == "copy_paste":
        return Start(None, None, None, "the recipe's own")
    if not task.regions:
        # on a real model a start without a paste is what the papers' point methods do
        return Start(None, None, None, "none", (POINTS_ALONE,) if embedded else ())
    if vae is None:
        if not embedded and recipe.start is not None:  # effort fast pastes
            return Start(None, None, None, "the recipe's own")
        if not embedded:
            return Start(None, None, None, "none", (NONE_GIVEN,))
        vae = load_vae()
    moves = recipe.supervision.moves_regions
    # such updates follow the regions' motions, not the points: a start bent by them would be pulled back
    shown = replace(task, handles=()) if moves else task
    if preset is not None and moves:
        fresh = Redraw(hole(replace(task, cell=family_in(patcher).cell)), preset.redraw, wish.seed)
        return _drafted(patcher, inversion, shown, recipe, vae, fresh)
    return _made(patcher, inversion, task, shown, wish, background, vae)


@dataclass(frozen=True)
class Redraw:
    """What of a draft is drawn anew before it is inverted: finish()'s numbers."""

    cells: Tensor
    first: float
    seed: int


def _drafted(
    patcher: Any, inversion: Inversion, task: Task, recipe: Recipe, vae: Any, fresh: Redraw
) -> Start:
    """Inverts the picture with its regions moved in pixels: on these models worth 3 dB over a paste."""
    began = time.perf_counter()
    with torch.inference_mode(), uncast(patcher.load_device):  # as the host runs its own nodes
        encoded = _encoded(vae, draft_of(_picture(patcher, inversion, vae), task).picture)
    after = sum(map(len, recipe.ramp)) + len(recipe.schedule.t) - 1
    with torch.inference_mode():  # the host may load the model again: on a card only so is it of use after
        draft, calls, steps = _inverted(patcher, inversion, encoded, after, fresh)
    seconds = time.perf_counter() - began
    return Start(None, None, draft, DRAFTED.removeprefix("start: "), (DRAFTED,), calls, seconds, steps)


def _picture(patcher: Any, inversion: Inversion, vae: Any) -> Tensor:
    """Decodes the picture that was inverted, (3, H, W) in [0, 1] on the CPU."""
    channels, own = getattr(vae, "latent_channels", None), patcher.model.latent_format.latent_channels
    if channels not in (None, own):
        raise DragError(
            f"the vae has {channels} latent channels and this model works on {own}: connect the VAE that "
            "belongs to the model"
        )
    shown = vae.decode(latent_out(patcher.model, inversion.trajectory.z[-1]))
    pixels: Tensor = shown.reshape(-1, *shown.shape[-3:])[0, ..., :3].float().cpu().clamp(0, 1)
    return pixels.movedim(-1, 0)


def _encoded(vae: Any, picture: Tensor) -> Tensor:
    """Encodes a picture (3, H, W) into LATENT samples that autograd may save."""
    samples = vae.encode(picture.movedim(0, -1)[None].contiguous())
    with torch.inference_mode(False):
        kept: Tensor = samples.cpu().clone()
    return kept


def _made(
    patcher: Any,
    inversion: Inversion,
    task: Task,
    shown: Task,
    wish: DragChoices,
    background: KeepBackground | None,
    vae: Any,
) -> Start:
    began = time.perf_counter()
    with torch.inference_mode(), uncast(patcher.load_device):  # as the host runs its own nodes
        pixels = _picture(patcher, inversion, vae)
        emptied = _encoded(vae, painted_over(pixels, leaving(task)))
        draft = draft_of(pixels, shown)
        warped = _encoded(vae, draft.picture)
    with torch.inference_mode(False):
        _, recipe = planned(
            patcher, inversion, task, wish, background, latent_in(patcher.model, warped.clone()).float()
        )
        after = sum(map(len, recipe.ramp)) + len(recipe.schedule.t) - 1
    with torch.inference_mode():  # the host may load the model again: on a card only so is it of use after
        refill, calls, steps = _inverted(patcher, inversion, emptied, after)
    seconds = time.perf_counter() - began
    return Start(
        refill, warped, None, MADE.removeprefix("start: "), (MADE, *draft.notes), calls, seconds, steps
    )


def _inverted(
    patcher: Any, like: Inversion, samples: Tensor, after: int, fresh: Redraw | None = None
) -> tuple[Inversion, int, int]:
    """Inverts another picture as `like` was made, without K/V.

    Returns also the calls and steps made here, 0 if the inversion is remembered.
    """
    key = digest([samples, like.key, *([] if fresh is None else [fresh.cells, fresh.first, fresh.seed])])
    if (before := _last.get(key, patcher)) is not None:
        return before, 0, 0
    began, plan = time.perf_counter(), like.trajectory.schedule
    levels, redraws = len(plan.t) - 1, 0 if fresh is None else STEPS
    telling = listener(patcher, after=levels + after), listener(patcher, before=redraws, after=after)

    def body(backbone: HostBackbone, z0: Tensor) -> tuple[Trajectory, int]:
        if fresh is not None:
            few, noise = evenly(fresh.first, STEPS, plan.prediction), noise_like(z0, fresh.seed)
            z0 = finish(backbone, z0, fresh.cells, few, noise, on_step=telling[0])
        path = invert(backbone, z0, plan, SOLVERS[like.solver], on_step=telling[1])
        carry = None if path.carry is None else path.carry.cpu()
        return replace(path, z=tuple(z.cpu() for z in path.z), carry=carry), backbone.call.calls

    sigmas = host_sigmas(plan)
    visited = [plan, *([] if fresh is None else [evenly(fresh.first, STEPS, plan.prediction)])]
    need = SessionNeeds(sigmas=(0.0, max(float(host_sigmas(s)[0]) for s in visited)))
    path, calls = run(patcher, like.positive, samples, body, need, sigmas=sigmas)
    seconds = time.perf_counter() - began
    made = replace(like, trajectory=path, key=key, seconds=seconds, calls=calls, plan=None)
    return _last.put(key, patcher, made), calls, redraws + levels

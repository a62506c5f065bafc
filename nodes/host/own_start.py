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
from ...drag_core.recipes.assemble import KeepBackground, ModelGround, draft_layers, without_kv
from ...drag_core.recipes.recipe import Recipe
from ...drag_core.trajectory.finish import STEPS, finish, noise_like
from ...drag_core.trajectory.kvstore import KVStore
from ...drag_core.trajectory.noised import NOISED, noise_in
from ...drag_core.trajectory.schedules import evenly
from ...drag_core.types import Task, Trajectory
from .family import family_in
from .inversion import Inversion, calls_of, digest, plan_memory, walked
from .loaders import load_vae
from .patches import refuse_injected
from .pixels import check_vae, decoded, encoded
from .progress import listener
from .recent import Recent
from .schedule import host_sigmas
from .session import HostBackbone, SessionNeeds, run
from .shape import latent_in, latent_out
from .wish import DragChoices, ground_of, planned, settled

NONE_GIVEN = "no start given: the thing may stay where it is; connect draft, or vae to have a start made here"
POINTS_ALONE = (
    "no start: points alone paste nothing, so that the thing may stay where it is; mark a region for a start"
)
WITHOUT_KV = (
    "the draft was inverted without keys and values, which this recipe would look at: set kv_layers to auto "
    "in its DragInvert"
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
    on it and was not on the inverted model acts here too); a draft with its K/V where the drag will look at
    them. All that needs no model call is refused first.
    """
    refuse_injected(patcher)
    connected = (("refill", refill), ("warped", warped), ("draft", draft))
    if given := [name for name, x in connected if x is not None]:
        path = None if draft is None else draft.trajectory
        notes = (WITHOUT_KV,) if without_kv(*_chosen(patcher, inversion, task, wish), path) else ()
        return Start(refill, warped, draft, f"given: {' and '.join(given)}", notes)
    preset = family_in(patcher).preset
    embedded, asked = preset is not None, wish.kv_of == "draft" and wish.kv != "off"
    if wish.recipe != "copy_paste" and task.regions and (embedded or vae is not None):
        # without K/V: those of a draft that is still to be made are not there yet
        _, recipe = planned(patcher, inversion, task, replace(wish, kv="off", kv_of="auto"), background)
        if asked or (embedded and recipe.supervision.moves_regions):
            layers = draft_layers(*_chosen(patcher, inversion, task, wish))
            vae = load_vae() if vae is None else vae
            return _drafted(patcher, inversion, task, recipe, vae, layers, wish.seed)
    _, recipe = planned(patcher, inversion, task, wish, background)
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
    return _made(patcher, inversion, task, _shown(task, recipe), wish, background, vae)


def _shown(task: Task, recipe: Recipe) -> Task:
    """Drops the points of a drag that moves regions: a start bent by them would be pulled back."""
    return replace(task, handles=()) if recipe.supervision.moves_regions else task


def _chosen(
    patcher: Any, inversion: Inversion, task: Task, wish: DragChoices
) -> tuple[Task, ModelGround, DragChoices]:
    """Collects what the core asks of a draft: the task on this model, the model, the settled wish."""
    family = family_in(patcher)
    task = replace(task, cell=family.cell)
    return task, ground_of(family, inversion), settled(wish, family, task)


@dataclass(frozen=True)
class Redraw:
    """What of a draft is drawn anew before it is inverted: finish()'s numbers."""

    cells: Tensor
    first: float
    seed: int


def _drafted(
    patcher: Any,
    inversion: Inversion,
    task: Task,
    recipe: Recipe,
    vae: Any,
    layers: tuple[str, ...],
    seed: int,
) -> Start:
    """Inverts the picture with its regions moved in pixels: on embedded models worth 3 dB over a paste.

    There its hole is drawn anew first. layers: whose K/V are kept.
    """
    began, family, fresh = time.perf_counter(), family_in(patcher), None
    if family.preset is not None:
        fresh = Redraw(hole(replace(task, cell=family.cell)), family.preset.redraw, seed)
    with torch.inference_mode(), uncast(patcher.load_device):  # as the host runs its own nodes
        sketch = encoded(vae, draft_of(_picture(patcher, inversion, vae), _shown(task, recipe)).picture)
    after = sum(map(len, recipe.ramp)) + len(recipe.schedule.t) - 1
    with torch.inference_mode():  # the host may load the model again: on a card only so is it of use after
        draft, calls, steps = _inverted(patcher, inversion, sketch, after, fresh, layers)
    seconds = time.perf_counter() - began
    return Start(None, None, draft, DRAFTED.removeprefix("start: "), (DRAFTED,), calls, seconds, steps)


def _picture(patcher: Any, inversion: Inversion, vae: Any) -> Tensor:
    """Decodes the picture that was inverted, (3, H, W) in [0, 1] on the CPU."""
    check_vae(patcher, vae)
    return decoded(vae, latent_out(patcher.model, inversion.trajectory.z[-1]))


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
        emptied = encoded(vae, painted_over(pixels, leaving(task)))
        draft = draft_of(pixels, shown)
        warped = encoded(vae, draft.picture)
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
    patcher: Any,
    like: Inversion,
    samples: Tensor,
    after: int,
    fresh: Redraw | None = None,
    layers: tuple[str, ...] = (),
) -> tuple[Inversion, int, int]:
    """Inverts another picture as `like` was made, with the K/V of `layers` only.

    Returns also the calls and steps made here, 0 if the inversion is remembered.
    """
    redrawn = [] if fresh is None else [fresh.cells, fresh.first, fresh.seed]
    key = digest([samples, like.key, list(layers), *redrawn])
    if (before := _last.get(key, patcher)) is not None:
        return before, 0, 0
    began, plan = time.perf_counter(), like.trajectory.schedule
    levels, redraws = len(plan.t) - 1, 0 if fresh is None else STEPS
    h, w = samples.shape[-2:]
    kept = plan_memory(patcher, (h, w), layers, calls_of(plan, like.solver))
    telling = listener(patcher, after=levels + after), listener(patcher, before=redraws, after=after)

    def body(backbone: HostBackbone, z0: Tensor) -> tuple[Trajectory, KVStore, int]:
        if fresh is not None:
            few, noise = evenly(fresh.first, STEPS, plan.prediction), noise_like(z0, fresh.seed)
            z0 = finish(backbone, z0, fresh.cells, few, noise, on_step=telling[0])
        cache = KVStore("pageable" if kept is None else kept.storage)
        same = noise_in(like.trajectory) if like.solver == NOISED else None
        path = walked(like.solver, same, backbone, z0, plan, layers, telling[1], cache)
        cache.finish()
        carry = None if path.carry is None else path.carry.cpu()
        return replace(path, z=tuple(z.cpu() for z in path.z), carry=carry), cache, backbone.call.calls

    sigmas = host_sigmas(plan)
    visited = [plan, *([] if fresh is None else [evenly(fresh.first, STEPS, plan.prediction)])]
    need = SessionNeeds(sigmas=(0.0, max(float(host_sigmas(s)[0]) for s in visited)))
    path, cache, calls = run(patcher, like.positive, samples, body, need, sigmas=sigmas)
    seconds, told = time.perf_counter() - began, None if kept is None else cache.as_kept(kept)
    made = replace(like, trajectory=path, key=key, seconds=seconds, calls=calls, plan=told)
    return _last.put(key, patcher, made), calls, redraws + levels

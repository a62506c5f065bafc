"""What a drag starts from where nothing is connected.

The refill and the warped picture, made from the trajectory's own picture.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...drag_core.autocast import uncast
from ...drag_core.motion.masks import union
from ...drag_core.pictures.inpaint import painted_over, pixel_warp
from ...drag_core.recipes.assemble import KeepBackground
from ...drag_core.trajectory.invert import invert
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

NONE_GIVEN = (
    "no start given: the thing may stay where it is; connect refill and warped, or vae to have them made here"
)
POINTS_ALONE = (
    "no start: points alone paste nothing, so that the thing may stay where it is; mark a region for a start"
)
MADE = "start: made here: refill and warped"
KEPT = 2  # refills remembered: a region that goes elsewhere leaves the same hole


@dataclass(frozen=True)
class Start:
    """What DragOptimize hands to the drag.

    refill, warped: (LATENT samples) given or made.
    said: for the report.
    notes: for the user.
    calls, seconds: that making them took.
    steps: of the progress bar, that making them took.
    """

    refill: Inversion | None
    warped: Tensor | None
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
    vae: Any = None,
) -> Start:
    """Makes the start as connected or, if nothing is, with `vae`, which an embedded model need not be given.

    The refill is inverted at the trajectory's levels, under its prompt, with `patcher` (an adapter that is on
    it and was not on the inverted model acts here too). Everything that needs no model call is refused first.
    """
    given = [name for name, x in (("refill", refill), ("warped", warped)) if x is not None]
    if given:
        return Start(refill, warped, f"given: {' and '.join(given)}")
    _, recipe = planned(patcher, inversion, task, wish, background)
    embedded = family_in(patcher).preset is not None
    if wish.recipe == "copy_paste":
        return Start(None, None, "the recipe's own")
    if not task.regions:
        # on a real model a start without a paste is what the papers' point methods do
        return Start(None, None, "none", (POINTS_ALONE,) if embedded else ())
    if vae is None:
        if not embedded and recipe.start is not None:  # effort fast pastes
            return Start(None, None, "the recipe's own")
        if not embedded:
            return Start(None, None, "none", (NONE_GIVEN,))
        vae = load_vae()
    return _made(patcher, inversion, task, wish, background, vae)


def _made(
    patcher: Any,
    inversion: Inversion,
    task: Task,
    wish: DragChoices,
    background: KeepBackground | None,
    vae: Any,
) -> Start:
    began = time.perf_counter()
    channels, own = getattr(vae, "latent_channels", None), patcher.model.latent_format.latent_channels
    if channels not in (None, own):
        raise DragError(
            f"the vae has {channels} latent channels and this model works on {own}: connect the VAE that "
            "belongs to the model"
        )
    with torch.inference_mode(), uncast(patcher.load_device):  # as the host runs its own nodes
        clean = latent_out(patcher.model, inversion.trajectory.z[-1])
        shown = vae.decode(clean)
        pixels = shown.reshape(-1, *shown.shape[-3:])[0, ..., :3].float().cpu().clamp(0, 1).movedim(-1, 0)
        filled = painted_over(pixels, union(task.regions))
        moved = pixel_warp(pixels, task.regions)
        encoded = [vae.encode(x.movedim(0, -1)[None].contiguous()) for x in (filled, moved)]
    with torch.inference_mode(False):
        emptied, warped = (x.cpu().clone() for x in encoded)
        _, recipe = planned(
            patcher, inversion, task, wish, background, latent_in(patcher.model, warped.clone()).float()
        )
        after = sum(map(len, recipe.ramp)) + len(recipe.schedule.t) - 1
    with torch.inference_mode():  # the host may load the model again: on a card only so is it of use after
        refill, calls, steps = _inverted(patcher, inversion, emptied, after)
    seconds = time.perf_counter() - began
    return Start(refill, warped, MADE.removeprefix("start: "), (MADE,), calls, seconds, steps)


def _inverted(patcher: Any, like: Inversion, samples: Tensor, after: int) -> tuple[Inversion, int, int]:
    """Inverts another picture as `like` was made, without K/V.

    Returns also the calls and steps made here, 0 if the inversion is remembered.
    """
    key = digest([samples, like.key])
    if (before := _last.get(key, patcher)) is not None:
        return before, 0, 0
    began, plan = time.perf_counter(), like.trajectory.schedule
    tell = listener(patcher, after=after)

    def body(backbone: HostBackbone, z0: Tensor) -> tuple[Trajectory, int]:
        path = invert(backbone, z0, plan, SOLVERS[like.solver], on_step=tell)
        carry = None if path.carry is None else path.carry.cpu()
        return replace(path, z=tuple(z.cpu() for z in path.z), carry=carry), backbone.call.calls

    sigmas = host_sigmas(plan)
    need = SessionNeeds(sigmas=(0.0, float(sigmas[0])))
    path, calls = run(patcher, like.positive, samples, body, need, sigmas=sigmas)
    seconds = time.perf_counter() - began
    made = replace(like, trajectory=path, key=key, seconds=seconds, calls=calls, plan=None)
    return _last.put(key, patcher, made), calls, len(plan.t) - 1

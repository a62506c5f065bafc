"""One drag edit: invert the picture, optimise the latent at some levels, denoise through all of them."""

from __future__ import annotations

import torch

from .recipes.recipe import Recipe, check_ramp
from .result import Handoff, Log, Result
from .step import OnStep, quiet
from .trajectory.beside import check_beside, kv_of_draft
from .trajectory.bounds import check_end
from .trajectory.replayed import ReplayingBackbone
from .types import KV, Backbone, KVInject, Trajectory
from .updates import Updates


def drag(
    backbone: Backbone,
    source: Trajectory,
    recipe: Recipe,
    on_step: OnStep = quiet,
    *,
    pause: bool = False,
    resume: Result | None = None,
    origin: Backbone | None = None,
    draft: Trajectory | None = None,
) -> Result:
    """Edits the inverted picture `source` as `recipe` says.

    origin: what it was inverted with (None: `backbone`). It makes all that is the picture's own beside the
        edit: its reconstruction, where it goes next, and K/V at levels that the inversion has not stored.
    pause: return after the last update, before the denoising that follows it (z is then the handoff).
    resume: the result of a paused drag, to go on from; the two may run on differently loaded models.
    draft: the inversion, at the same levels by the same solver, of a sketch of the result: whose K/V a recipe
        with kv_of "draft" looks at.

    Raises DragError where an update or the end has left the range of latents (drag_core.trajectory.bounds),
    and before any pass for a draft that is missing, without K/V, or inverted otherwise.
    """
    s, r = source.schedule, recipe
    check_ramp(r, s)  # the trajectory's levels need not be the recipe's own
    if draft is not None:
        check_beside(source, draft, "draft")
    sketch = draft if r.kv_of == "draft" else None
    store = None
    if r.kv_blocks:
        held = source.kv if r.kv_of == "picture" else kv_of_draft(draft, r.kv_blocks)
        store = held.copy() if held else None  # an inversion's own is never added to
    if resume is not None and resume.kv is not None:
        store = resume.kv
    inject: KV = None
    if store:
        inject = KVInject(store if r.kv_view is None else r.kv_view(store), r.kv_blocks)
    own = backbone if origin is None else origin
    if store and store.replays:
        edits, backbone = backbone, ReplayingBackbone(backbone, own)
        own = backbone if own is edits else ReplayingBackbone(own)
    log = Log.of(r, len(s.t) - 1, on_step)
    shared = inject if r.kv_while_dragging else None
    given = (store, shared, log, sketch, own)
    run = Updates(backbone, source, r, *given)
    before_it = None if r.first is None else Updates(backbone, source, r.first, *given)
    beside = inject if sketch is None else None  # a draft's K/V would bend the picture
    denoise_step = r.solver if r.guide is None else r.guide.solver(r.solver, source)
    # FireFlow starts anew with a true midpoint step; alf goes on with the velocity that it arrived with
    carry = carry_ref = source.carry if r.solver.carries else None
    here = Handoff(0, source.z[0], source.z[0], carry, carry_ref)
    if resume is not None:
        here = resume.handoff
        log.go_on(resume)
        run.finished = True
        before_it = None
    z, ref, carry, carry_ref = here.z, here.background, here.carry, here.carry_background
    last = max((i for i, updates in enumerate(r.ramp) if updates), default=0)
    for i in range(here.level, len(s.t) - 1):
        if not (resume and i == here.level):
            before = z
            z = z if r.start is None else r.start(z, source, i)
            z = z if before_it is None else before_it.optimise(z, ref, i)
            z = run.optimise(z, ref, i)
            if z is not before:
                carry = None
                here = Handoff(i, z, ref, None, carry_ref)
        if pause and (i >= last or run.finished):
            losses, sizes = log.read()
            return Result(z, ref, losses, tuple(log.traces), here, sizes, store)
        kv = inject if r.kv_while_dragging or run.finished or i + 1 >= len(r.ramp) else None
        with torch.no_grad():
            z, carry = denoise_step(backbone, z, s, i, i + 1, kv, carry)
            ref, carry_ref = r.background.step(own, source, r.solver, i, (ref, carry_ref), beside)
            z = r.constraint.project(z, ref)
        run.tell(i + 1, z)
    losses, sizes = log.read()
    check_end(z, source.z[-1])
    return Result(z, ref, losses, tuple(log.traces), here, sizes)

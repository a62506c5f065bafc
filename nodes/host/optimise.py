"""Drags an inverted picture with the user's MODEL: the core's drag() inside the host's sampling."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...drag_core.drag import drag
from ...drag_core.recipes.assemble import KeepBackground
from ...drag_core.recipes.choice import AUTO, because
from ...drag_core.recipes.recipe import Recipe
from ...drag_core.result import Result
from ...drag_core.types import Task
from . import graphs, memory
from .adapters.injection import worn_by
from .backbones.selftest import self_test
from .family import HostModel, family_in
from .inversion import Inversion, count_use, digest
from .patches import refuse_injected
from .progress import advice, listener
from .schedule import host_sigmas
from .session import HostBackbone, SessionNeeds, run
from .shape import latent_in, latent_out
from .wish import DragChoices, planned


@dataclass(frozen=True)
class DragOutcome:
    """The result on the CPU, and the report of it."""

    result: Result
    report: dict[str, Any]


def drag_latent(
    patcher: Any,
    positive: Any,
    inversion: Inversion,
    task: Task,
    wish: DragChoices,
    background: KeepBackground | None = None,
    refill: Inversion | None = None,
    warped: Tensor | None = None,
    draft: Inversion | None = None,
    prune: bool | None = None,
    told: int = 0,
) -> DragOutcome:
    """Drags a latent and returns the edited one.

    refill: the inversion of the picture with its regions painted over.
    warped: the LATENT samples of the picture warped in pixels.
    draft: the inversion of that picture, in place of both; a recipe may look at its K/V.
    prune: loads only the blocks that the updates run, for them (None: where it helps).
    told: steps that the node's progress bar has shown before.
    """
    refuse_injected(patcher)
    family, asked, device = family_in(patcher), wish.recipe, patcher.load_device
    with torch.inference_mode(False):  # autograd may save what these become
        source = inversion.moved(device)
        clean = None if warped is None else latent_in(patcher.model, warped.clone()).float().to(device)
    wish, recipe = planned(patcher, inversion, task, wish, background, clean, refill, draft)
    whose = inversion if draft is None or recipe.kv_of == "picture" else draft
    with torch.inference_mode(False):
        sketch = None if whose is inversion else whose.moved(device)
    updates, sigmas = sum(map(len, recipe.ramp)), host_sigmas(source.schedule)
    anew = recipe.kv_blocks and whose.trajectory.kv is not None and whose.trajectory.kv.replays
    origin = _origin(positive, whose.positive if anew else inversion.positive)
    visited, penalty = (0.0, float(sigmas[0])), recipe.constraint.needs_prediction
    need = SessionNeeds(recipe.taps, gradients=updates > 0, whole=penalty, sigmas=visited, origin=origin)
    tell, ran = listener(patcher, source, wish.preview_every, told), list[tuple[int, bool, str | None]]()

    def body(pause: bool, resume: Result | None) -> Any:
        def inner(backbone: HostBackbone, _: Tensor) -> Result:
            if need.gradients and resume is None:
                blocks = recipe.kv_blocks if recipe.kv_while_dragging else ()
                blocks = blocks if need.whole else backbone.reached(blocks, recipe.taps)
                self_test(backbone, source.schedule.t[0], recipe.taps, blocks)
            backbone.call.calls = 0
            other = backbone.origin
            with advice(patcher.model):
                out = drag(
                    backbone, source, recipe, tell, pause=pause, resume=resume, origin=other, draft=sketch
                )
            made = backbone.call.calls + (0 if other is None else other.call.calls)
            ran.append((made, backbone.checkpoint, graphs.said(backbone)))
            return out

        return inner

    memory.reset_peak(device)
    started = time.perf_counter()
    samples = latent_out(patcher.model, source.z[-1]).cpu()
    prune = device.type != "cpu" if prune is None else prune
    prune = prune and not patcher.is_dynamic()  # which loads what runs, and puts back what it knows of
    half: Result | None = None
    one_part = not (len(recipe.ramp) > 1 or penalty or recipe.background.needs_prediction or anew)
    sampling: dict[str, Any] = {"sigmas": sigmas, "seed": wish.seed}
    if prune and family.joint and updates and one_part:
        with memory.while_pruned(patcher, recipe.taps) as part:
            half = run(part, positive, samples, body(True, None), need, **sampling)
        rest = SessionNeeds(sigmas=need.sigmas, origin=origin)
        result = run(patcher, positive, samples, body(False, half), rest, **sampling)
    else:
        result = run(patcher, positive, samples, body(False, None), need, **sampling)
    measured = {
        "seconds": round(time.perf_counter() - started, 3),
        "model_calls": sum(made for made, _, _ in ran),
        "checkpoints": any(again for _, again, _ in ran),
        "pruned": half is not None,
        "cuda_graph": ran[-1][2],
        "adapter": None if recipe.adapter is None else "given" if worn_by(patcher) else "none",
        "peak_memory_mb": round(memory.peak_bytes(device) / 2**20, 1),
    }
    return DragOutcome(result, _report(inversion, wish, asked, task, family, recipe, result, measured))


def _origin(positive: Any, inverted: Any) -> Any:
    """Returns what the picture was inverted under, for all that is its own; None where it is the edit's."""
    return None if inverted is None or digest(positive) == digest(inverted) else inverted


def _report(
    inversion: Inversion,
    wish: DragChoices,
    asked: str,
    task: Task,
    family: HostModel,
    recipe: Recipe,
    result: Result,
    measured: dict[str, Any],
) -> dict[str, Any]:
    """Writes the report of a drag; counts one more use of `inversion`.

    asked: the recipe as the user named it.
    measured: time, calls and memory of this run, and whether an image adapter was on the model.
    """
    schedule = inversion.trajectory.schedule
    auto = because(wish.recipe, family.name, bool(task.regions)) if asked == AUTO else None
    return {
        "recipe": wish.recipe,
        "recipe_asked": asked,
        "recipe_why": auto,
        "variant": wish.variant,
        "method": wish.method if wish.recipe == "custom" else None,
        "model": family.label,
        "taps": [f"{t.block}:{t.site}" for t in recipe.taps],
        "kv_layers": list(recipe.kv_blocks),
        "kv_of": recipe.kv_of if recipe.kv_blocks else None,
        "kv_pairing": ("level" if recipe.kv_view is None else "released") if recipe.kv_blocks else None,
        "levels": len(schedule.t) - 1,
        "updates": len(result.losses),
        "updates_by_level": [len(u) for u in recipe.ramp],
        "losses": [round(x, 8) for x in result.losses],
        "handles": [[[round(v, 2) for v in p] for p in places] for places in result.traces],
        **measured,
        "inversion": {
            "key": inversion.key,
            "solver": inversion.solver,
            "seconds": round(inversion.seconds, 3),
            "model_calls": inversion.calls,
            "reused": count_use(inversion) > 0,
            "kv": None if inversion.plan is None else str(inversion.plan),
        },
    }

"""Drags an inverted picture with the user's MODEL: the core's drag() inside the host's sampling."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...drag_core.choice import AUTO, automatic, choose
from ...drag_core.constrain import HardBackground
from ...drag_core.custom import METHODS, Ground
from ...drag_core.drag import Recipe, Result, drag
from ...drag_core.kvstore import replays
from ...drag_core.masks import on_grid
from ...drag_core.presets import adapt, adapt_shape, starting
from ...drag_core.recipes import SD_UP, fast
from ...drag_core.supervise import RegionSupervision
from ...drag_core.types import DragError, FeatureTap, Task, Trajectory, Variant
from . import memory
from .family import Family, family_in
from .inversion import SOLVERS, Inversion, used_before
from .progress import advice, listener
from .schedule import host_sigmas
from .selftest import self_test
from .session import Need, run
from .shape import latent_in, latent_out

SETTLED = 0.01  # share of the loss below which five updates gain too little


@dataclass(frozen=True)
class Background:
    """Keep the picture outside `editable` (H, W) in {0, 1}, in image pixels, as the trajectory has it, or as
    a reconstruction denoised beside the edit.
    """

    editable: Tensor
    source: str = "trajectory"


@dataclass(frozen=True)
class Wish:
    """What the user set on DragOptimize. `recipe` "custom" takes `method` and its numbers; taps "auto" are
    the recipe's. `kv`: "recipe", "off", "drag and denoise", "denoise"; `effort`: "recipe", "until settled",
    "fast"; `kv_pairing`: "recipe", "level", "released".
    """

    recipe: str
    variant: Variant = "ours"
    method: str = "region"
    numbers: tuple[tuple[str, Any], ...] = ()
    taps: str = "auto"
    kv: str = "recipe"
    seed: int = 0
    preview_every: int = 5
    effort: str = "recipe"
    kv_pairing: str = "recipe"


@dataclass(frozen=True)
class Edited:
    """The result on the CPU, and the report of it."""

    result: Result
    report: dict[str, Any]


def read_taps(text: str, auto: tuple[FeatureTap, ...]) -> tuple[FeatureTap, ...]:
    """ "auto", or a list as "double.17, double.18:norm1"."""
    if text.strip().lower() in ("", "auto"):
        return auto
    taps = []
    for part in text.replace("\n", ",").split(","):
        block, _, site = part.strip().partition(":")
        if block:
            if site not in ("", "out", "norm1"):
                raise DragError(f"feature tap {part.strip()!r} has site {site!r}; use out or norm1")
            taps.append(FeatureTap(block, "norm1" if site == "norm1" else "out"))
    return tuple(taps)


def make_recipe(
    family: Family,
    inversion: Inversion,
    task: Task,
    wish: Wish,
    filled: Trajectory | None,
    warped: Tensor | None,
    background: Background | None,
) -> Recipe:
    """The recipe on this model and this trajectory, with what the user connected."""
    source, preset = inversion.trajectory, family.preset
    if wish.recipe == "custom":
        base = METHODS[wish.method](  # type: ignore[operator]
            task, Ground((), family.kv, source.schedule, SOLVERS[inversion.solver]), **dict(wish.numbers)
        )
        # points compare one block, as GoodDrag and AdaptiveDrag; regions all of them, as DragNeXt
        one = not family.joint and not isinstance(base.supervision, RegionSupervision)
        recipe = replace(base, taps=family.taps(SD_UP[2:3]) if one else family.usual_taps)
        if preset is not None:
            recipe = adapt_shape(recipe, preset, task)
    else:
        recipe = choose(family.name, family.label, task, wish.recipe, wish.variant, preset, wish.seed)
        if preset is not None and wish.recipe != "copy_paste":
            recipe = adapt(recipe, preset, task, filled, warped)
        else:
            recipe = replace(recipe, taps=family.taps(recipe.taps))
        small = preset is not None or wish.recipe == "copy_paste"
        recipe = replace(recipe, kv_blocks=() if small or not recipe.kv_blocks else family.kv)
    if recipe.start is None and (filled is not None or warped is not None):
        recipe = replace(recipe, start=starting(task, filled, warped))
    if wish.effort == "fast" and wish.recipe != "copy_paste":
        recipe = fast(recipe, task, schedule=source.schedule)
    if wish.effort == "until settled":
        recipe = replace(recipe, settle=SETTLED)
    recipe = replace(recipe, solver=SOLVERS[inversion.solver], schedule=source.schedule)
    if recipe.taps or wish.recipe != "copy_paste":
        recipe = replace(recipe, taps=read_taps(wish.taps, recipe.taps))
    if background is not None:
        cells = on_grid(background.editable, task.latent, 0.05 if preset is not None else 0.5)
        recipe = replace(recipe, constraint=HardBackground(cells), background=background.source)
    if wish.kv_pairing != "recipe":
        recipe = replace(recipe, kv_pairing=wish.kv_pairing)
    return _with_kv(recipe, wish.kv, inversion)


def _with_kv(recipe: Recipe, kv: str, inversion: Inversion) -> Recipe:
    stored = inversion.trajectory.kv.blocks if inversion.trajectory.kv is not None else ()
    if kv == "off" or not (recipe.kv_blocks or kv != "recipe"):
        return replace(recipe, kv_blocks=())
    wanted = recipe.kv_blocks if kv == "recipe" else stored
    if not wanted or [b for b in wanted if b not in stored]:
        raise DragError(
            f"K/V of {len(wanted) or 'no'} layers are to be injected and the trajectory holds {len(stored)}: "
            "set kv_layers to auto in DragInvert, or kv to off here"
        )
    while_dragging = recipe.kv_while_dragging if kv == "recipe" else kv == "drag and denoise"
    text = inversion.trajectory.kv.with_text
    return replace(recipe, kv_blocks=wanted, kv_while_dragging=while_dragging, kv_text=text)


def _check_sizes(task: Task, source: Trajectory, others: list[tuple[str, Any]]) -> None:
    (h, w), c = source.z[0].shape[-2:], task.cell
    if (task.image.height, task.image.width) != (c * h, c * w):
        raise DragError(
            f"the regions are drawn on {task.image.width}x{task.image.height} and the inverted latent is of "
            f"a {c * w}x{c * h} picture: use one picture for both, with sides divisible by 16 (DragCrop "
            "makes one)"
        )
    for name, x in others:
        if x is not None and x.shape[-2:] != (h, w):
            raise DragError(
                f"{name} is of a {c * x.shape[-1]}x{c * x.shape[-2]} picture and the trajectory of one of "
                f"{c * w}x{c * h}: make it from the same picture"
            )


def _check_levels(source: Trajectory, recipe: Recipe) -> None:
    levels = len(source.schedule.t) - 1
    if len(recipe.ramp) > levels:
        raise DragError(
            f"this recipe updates at {len(recipe.ramp)} noise levels and the trajectory has {levels}: invert "
            "with more steps or a higher strength"
        )


def settled_wish(wish: Wish, family: Family, task: Task) -> Wish:
    """With the recipe that "auto" stands for."""
    return replace(wish, recipe=automatic(family.name, task)) if wish.recipe == AUTO else wish


def planned(
    patcher: Any,
    inversion: Inversion,
    task: Task,
    wish: Wish,
    background: Background | None = None,
    warped: Tensor | None = None,
) -> Recipe:
    """What drag_latent() would run, `warped` the core's clean latent: refuses what needs no model call."""
    family = family_in(patcher)
    inversion.need_model(patcher)
    task = replace(task, cell=family.cell)
    _check_sizes(task, inversion.trajectory, [])
    with torch.inference_mode(False):
        wish = settled_wish(wish, family, task)
        recipe = make_recipe(family, inversion, task, wish, None, warped, background)
    _check_levels(inversion.trajectory, recipe)
    return recipe


def drag_latent(
    patcher: Any,
    positive: Any,
    inversion: Inversion,
    task: Task,
    wish: Wish,
    background: Background | None = None,
    refill: Inversion | None = None,
    warped: Tensor | None = None,
    prune: bool | None = None,
    told: int = 0,
) -> Edited:
    """The edited latent. `refill`: the inversion of the picture with its regions painted over; `warped`: the
    LATENT samples of the picture warped in pixels. `prune`: load only the blocks that the updates run, for
    them (None: where it helps); `told`: steps that the node's progress bar has shown before.
    """
    family = family_in(patcher)
    inversion.need_model(patcher)
    task = replace(task, cell=family.cell)
    asked, wish = wish.recipe, settled_wish(wish, family, task)
    inverted = [("refill", None if refill is None else refill.trajectory.z[0]), ("warped", warped)]
    _check_sizes(task, inversion.trajectory, inverted)
    if refill is not None:
        refill.need_model(patcher)
        _same_levels(inversion, refill)
    device = patcher.load_device
    with torch.inference_mode(False):  # autograd may save what these become
        source = inversion.moved(device)
        clean = None if warped is None else latent_in(patcher.model, warped.clone()).float().to(device)
        filled = None if refill is None else refill.moved(device)
        recipe = make_recipe(family, inversion, task, wish, filled, clean, background)
    _check_levels(source, recipe)
    updates = sum(map(len, recipe.ramp))
    sigmas = host_sigmas(source.schedule)
    anew = source.kv is not None and recipe.kv_blocks and replays(source.kv)
    origin = inversion.positive if anew else None  # K/V under the prompt that the picture was inverted with
    need = Need(
        taps=recipe.taps,
        gradients=updates > 0,
        whole=recipe.constraint.needs_prediction,
        sigmas=(0.0, float(sigmas[0])),
        origin=origin,
    )
    tell = listener(patcher, source, wish.preview_every, told)
    calls: list[int] = []
    remembered: list[bool] = []

    def body(pause: bool, resume: Result | None) -> Any:
        def inner(backbone: Any, _: Tensor) -> Result:
            if need.gradients and resume is None:
                blocks = recipe.kv_blocks if recipe.kv_while_dragging else ()
                blocks = blocks if need.whole else backbone.reached(blocks, recipe.taps)
                self_test(backbone, source.schedule.t[0], recipe.taps, blocks)
            backbone.call.calls = 0
            other = backbone.origin
            with advice(patcher.model):
                out = drag(backbone, source, recipe, tell, pause=pause, resume=resume, origin=other)
            calls.append(backbone.call.calls + (0 if other is None else other.call.calls))
            remembered.append(backbone.checkpoint)
            return out

        return inner

    memory.reset_peak(device)
    started = time.perf_counter()
    samples = latent_out(patcher.model, source.z[-1]).cpu()
    if prune is None:
        prune = not patcher.is_dynamic() and device.type != "cpu"
    half: Result | None = None
    one_part = len(recipe.ramp) == 1 and not need.whole and recipe.background != "released" and not anew
    if prune and family.joint and updates and one_part:
        with memory.while_pruned(patcher, recipe.taps) as part:
            half = run(part, positive, samples, body(True, None), need, sigmas, wish.seed)
        result = run(
            patcher, positive, samples, body(False, half), Need(sigmas=need.sigmas), sigmas, wish.seed
        )
    else:
        result = run(patcher, positive, samples, body(False, None), need, sigmas, wish.seed)
    seconds = time.perf_counter() - started
    report = {
        "recipe": wish.recipe,
        "recipe_asked": asked,
        "variant": wish.variant,
        "method": wish.method if wish.recipe == "custom" else None,
        "model": family.label,
        "taps": [f"{t.block}:{t.site}" for t in recipe.taps],
        "kv_layers": list(recipe.kv_blocks),
        "kv_pairing": recipe.kv_pairing if recipe.kv_blocks else None,
        "levels": len(source.schedule.t) - 1,
        "updates": len(result.losses),
        "updates_by_level": [len(u) for u in recipe.ramp],
        "losses": [round(x, 8) for x in result.losses],
        "handles": [[[round(v, 2) for v in p] for p in places] for places in result.traces],
        "seconds": round(seconds, 3),
        "model_calls": sum(calls),
        "checkpoints": any(remembered),
        "pruned": half is not None,
        "peak_memory_mb": round(memory.peak_bytes(device) / 2**20, 1),
        "inversion": {
            "key": inversion.key,
            "solver": inversion.solver,
            "seconds": round(inversion.seconds, 3),
            "model_calls": inversion.calls,
            "reused": used_before(inversion) > 0,
            "kv": None if inversion.plan is None else str(inversion.plan),
        },
    }
    return Edited(result, report)


def _same_levels(a: Inversion, b: Inversion) -> None:
    if a.trajectory.schedule != b.trajectory.schedule:
        raise DragError(
            f"the refill was inverted at {len(b.trajectory.schedule.t) - 1} levels and the picture at "
            f"{len(a.trajectory.schedule.t) - 1}, or with another strength: give both DragInvert nodes the "
            "same settings"
        )

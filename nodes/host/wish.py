"""What the user set on DragOptimize, as a recipe for this model and this trajectory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from ...drag_core.motion.masks import on_grid
from ...drag_core.recipes.choice import AUTO, automatic, choose
from ...drag_core.recipes.common import SD_UP
from ...drag_core.recipes.custom import METHODS, Ground
from ...drag_core.recipes.fast import fast
from ...drag_core.recipes.presets import adapt, adapt_shape, starting
from ...drag_core.recipes.recipe import Recipe
from ...drag_core.recipes.released import KVPairing, kv_view
from ...drag_core.trajectory.background import BackgroundSource, background_of
from ...drag_core.trajectory.constrain import HardBackground
from ...drag_core.types import DragError, FeatureTap, Task, Trajectory, Variant
from .family import Family, family_in
from .inversion import SOLVERS, Inversion

SETTLED = 0.01  # share of the loss below which five updates gain too little


@dataclass(frozen=True)
class Background:
    """Keep the picture outside `editable` (H, W) in {0, 1}, in image pixels, as the trajectory has it, or as
    a reconstruction denoised beside the edit.
    """

    editable: Tensor
    source: BackgroundSource = "trajectory"


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
    kv_pairing: Literal["recipe"] | KVPairing = "recipe"


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
        one = not family.joint and not base.supervision.moves_regions
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
        recipe = replace(
            recipe, constraint=HardBackground(cells), background=background_of(background.source)
        )
    if wish.kv_pairing != "recipe":
        recipe = replace(recipe, kv_view=kv_view(wish.kv_pairing))
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


def _same_levels(a: Inversion, b: Inversion) -> None:
    if a.trajectory.schedule != b.trajectory.schedule:
        raise DragError(
            f"the refill was inverted at {len(b.trajectory.schedule.t) - 1} levels and the picture at "
            f"{len(a.trajectory.schedule.t) - 1}, or with another strength: give both DragInvert nodes the "
            "same settings"
        )


def settled(wish: Wish, family: Family, task: Task) -> Wish:
    """With the recipe that "auto" stands for."""
    return replace(wish, recipe=automatic(family.name, task)) if wish.recipe == AUTO else wish


def planned(
    patcher: Any,
    inversion: Inversion,
    task: Task,
    wish: Wish,
    background: Background | None = None,
    warped: Tensor | None = None,
    refill: Inversion | None = None,
) -> tuple[Wish, Recipe]:
    """`wish` with its recipe's name, and what drag_latent() runs for it; `warped` the core's clean latent.
    Refuses all that needs no model call.
    """
    family = family_in(patcher)
    inversion.need_model(patcher)
    task = replace(task, cell=family.cell)
    others = [("refill", None if refill is None else refill.trajectory.z[0]), ("warped", warped)]
    _check_sizes(task, inversion.trajectory, others)
    if refill is not None:
        refill.need_model(patcher)
        _same_levels(inversion, refill)
    with torch.inference_mode(False):  # autograd may save what the recipe makes
        filled = None if refill is None else refill.moved(patcher.load_device)
        wish = settled(wish, family, task)
        recipe = make_recipe(family, inversion, task, wish, filled, warped, background)
    _check_levels(inversion.trajectory, recipe)
    return wish, recipe

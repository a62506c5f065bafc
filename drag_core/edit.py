"""A whole edit of a picture: fit it to the model, invert, drag, decode, put it back.

Nothing outside the mask changes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .backends.adapter import Adapter, with_adapter
from .backends.diffusers_unet import DiffusersUNet
from .backends.identity import PAPERS, applied, train_lora
from .backends.load import Model
from .backends.room import kv_store, wants_checkpoints
from .drag import drag
from .finishing import redraw, sketch
from .lora import LoRA, OnTrain, Training
from .motion.areas import hole
from .motion.instruction import DragInstruction
from .motion.masks import leaving
from .motion.shadow import with_shadow
from .motion.superpixels import Seeing, lab
from .motion.task import MaskReader, at_size, build_task, fitted
from .pictures.draft import draft_of
from .pictures.inpaint import painted_over
from .pictures.paste import pieced, put_back, resized
from .preparing import by_superpixels, own_training, regions_for
from .recipes.assemble import Choice, Given, ModelGround, assemble, draft_layers
from .recipes.choice import AUTO, COPY_PASTE, FINISH, because, edit_recipe
from .recipes.dragflow import KV
from .recipes.placing import layers_at_depth
from .recipes.presets import preset_for
from .recipes.recipe import Recipe, check_ramp
from .recipes.remains import remains
from .result import Result
from .step import OnStep, Step, quiet
from .trajectory.finish import STEPS, finish, noise_like
from .trajectory.invert import invert
from .trajectory.schedules import evenly, every_level, flow, flux_shift
from .types import DragError, Grid, KVCache, Task, Trajectory, Variant

Change = Callable[[Recipe, Task], Recipe]
SMALLEST = 32


@dataclass(frozen=True)
class Edit:
    """What an edit of a picture gives.

    image: (1, 3, H, W) at the input's size.
    decoded: the model's own output at its size.
    notes: sentences for the user.
    recipe: which it was; why: a sentence, where it was not named.
    identity: how the LoRA of the picture was trained, if one was.
    """

    image: Tensor
    decoded: Tensor
    result: Result
    task: Task
    notes: tuple[str, ...]
    recipe: str
    why: str | None = None
    identity: Training | None = None


def edit_picture(
    model: Model,
    image: Tensor,
    instruction: DragInstruction,
    *,
    recipe: str | None = None,
    variant: Variant = "ours",
    seed: int = 0,
    on_step: OnStep = quiet,
    read_mask: MaskReader | None = None,
    identity: Training | Literal["recipe"] | None = None,
    automatic: bool = False,
    see: Seeing = lab,
    shadow: bool = False,
    adapter: Adapter | None = None,
) -> Edit:
    """Drags `image` (1, 3, H, W) in [0, 1] as `instruction` says.

    recipe: a name of recipes.choice; None is "auto", which goes by the model and by what is marked.
    seed: the same one gives the same bits on a CPU with as many threads, on a GPU about the same picture.
    identity: train a LoRA on the picture first; "recipe": as the recipe's paper does, for variant "paper".
    automatic: what may change is AdaptiveDrag's mask of the points.
    see: what super-pixels follow: Lab colour, or a model's features.
    shadow: the regions' shadow, where one is found, goes with them.
    adapter: FLUX looks at a picture, where the recipe lets it.
    """
    height, width = image.shape[-2:]
    if min(height, width) < SMALLEST:
        raise DragError(f"the picture is {width}x{height}; both sides must have at least {SMALLEST} px")
    size = working_size(height, width, model)
    _, note = fitted(instruction, Grid(height, width))
    inside, _ = fitted(instruction, size)  # no note of the model's own size
    task, notes = build_task(inside, size, read_mask)
    notes = (*note, *notes)
    small = image
    if size != Grid(height, width):
        small = F.interpolate(image, (size.height, size.width), mode="bicubic", antialias=True).clamp(0, 1)
    chosen, why = recipe or AUTO, None
    if chosen == AUTO:
        regions = bool(instruction.regions)
        chosen = edit_recipe(model.family, regions, variant != "ours" or adapter is not None)
        why = because(chosen, model.family, regions)
    task, found = by_superpixels(task, small, chosen, variant, automatic, see)
    notes = (*notes, *found)
    if shadow:
        task, found = with_shadow(task, small[0], widen=instruction.editable != "painted")
        notes = (*notes, *found)
    moving, choice = regions_for(task, chosen, small), Choice(chosen, variant)
    if adapter is not None or (variant == "paper" and chosen != FINISH):
        use = None if chosen == FINISH else assemble(moving, ground_of(model), choice).adapter
        model, found = with_adapter(model, adapter, use, chosen, image)
        notes = (*notes, *found)
    lora = None
    if identity == "recipe":
        identity = own_training(moving, small, chosen, variant, seed)
    if identity is not None:

        def trained(done: int, total: int) -> None:
            on_step(Step(done, total, 0, small, stage="identity"))

        lora = identity_lora(model, small, identity, trained)
    if chosen == FINISH:
        full = Grid(height, width)  # the draft's pixels pass no resize
        draft = sketch(small, task)
        own = draft if size == full else sketch(image, at_size(task, instruction, full, read_mask))
        with _wearing(model, lora):
            drawn = redraw(model, small, task, draft, seed=seed, on_step=on_step)
        shown = resized(drawn.shown, full).clamp(0, 1)
        whole = pieced(image, own.picture[None].to(image), shown, drawn.cells, task.editable)
        return Edit(whole, drawn.shown, drawn.result, task, notes, chosen, why, identity)
    if variant != "ours":
        said = remains(moving, ground_of(model), choice)
        notes = notes if said is None else (*notes, said)
    result, decoded = run_task(
        model, small, moving, recipe=chosen, variant=variant, seed=seed, on_step=on_step, lora=lora
    )
    whole = put_back(image, edited=decoded, editable=task.editable)
    return Edit(whole, decoded, result, task, notes, chosen, why, identity)


def working_size(height: int, width: int, model: Model) -> Grid:
    """Computes the picture's shape at the model's own area.

    Its sides are rounded to what the model's latent can be cut into.
    """
    k = model.side / (height * width) ** 0.5
    low, high = model.multiple, 4 * model.side
    sides = [min(max(round(n * k / model.multiple) * model.multiple, low), high) for n in (height, width)]
    return Grid(sides[0], sides[1])


def identity_lora(
    model: Model, image: Tensor, training: Training = PAPERS, on_step: OnTrain = lambda done, total: None
) -> LoRA:
    """Trains a LoRA of the picture (1, 3, H, W), of the model's size, for run_task."""
    z0 = model.codec.encode(image)
    tokens = z0.shape[-2] * z0.shape[-1] // 4
    levels = flow(1000, shift=flux_shift(tokens)) if model.family == "flux" else every_level()
    return train_lora(model.backbone, z0, levels, training, on_step)  # type: ignore[arg-type]


def ground_of(model: Model) -> ModelGround:
    """Collects what a model gives a recipe: our own are told by their geometry, not by their name."""
    backbone = model.backbone
    preset = preset_for(getattr(backbone, "geometry", None))
    blocks = tuple(getattr(backbone, "blocks", ()))
    kv = backbone.kv if isinstance(backbone, DiffusersUNet) else layers_at_depth(KV, blocks)
    return ModelGround(family=model.family, label=model.name, blocks=blocks, kv=kv, preset=preset)


def run_task(
    model: Model,
    image: Tensor,
    task: Task,
    *,
    recipe: str,
    variant: Variant = "ours",
    seed: int = 0,
    on_step: OnStep = quiet,
    updates: bool = True,
    change: Change | None = None,
    cache: KVCache | None = None,
    lora: LoRA | None = None,
) -> tuple[Result, Tensor]:
    """Edits a picture of the model's size and returns the latent and its picture (1, 3, H, W).

    updates: False: the recipe's starting point is only denoised, to see what the updates add.
    change: has the last word on the recipe, as recipes.fast.fast; asked once before there is a start.
    cache: where K/V go (None: into RAM, in as few bits as it takes to fit).
    lora: in the model while it inverts, drags and denoises.
    Updates run with checkpoints if they would not fit otherwise.
    """
    with _wearing(model, lora):
        ground = ground_of(model)
        task = regions_for(task, recipe, image)
        z0 = model.codec.encode(image)
        choice = Choice(recipe, variant, seed=seed)
        given = _start(model, ground, choice, task, image, on_step, cache, change)
        base = assemble(task, ground, choice, given)
        if not updates:
            base = replace(base, ramp=())
        if change is not None:
            base = change(base, task)
        check_ramp(base, base.schedule)  # before the inversion
        blocks = base.kv_blocks if base.kv_of == "picture" else ()
        source = _inverted(model, z0, base, blocks, on_step, cache)
        result = _dragged(model, source, base, on_step, given.draft)
        return result, model.codec.decode(result.z)


def _wearing(model: Model, lora: LoRA | None) -> AbstractContextManager[None]:
    """Puts `lora`, if there is one, into the model while it is open."""
    return nullcontext() if lora is None else applied(model.backbone.net, lora)  # type: ignore[attr-defined]


def _inverted(
    model: Model, z0: Tensor, recipe: Recipe, blocks: tuple[str, ...], on_step: OnStep, cache: KVCache | None
) -> Trajectory:
    """Inverts a clean latent at the recipe's levels; K/V of `blocks` go to `cache` (None: into RAM)."""
    schedule, text = recipe.schedule, recipe.kv_text
    if cache is None:
        size = Grid(z0.shape[-2], z0.shape[-1])
        cache = kv_store(model.backbone, blocks, size, len(schedule.t), text, z0.device)
    return invert(model.backbone, z0, schedule, recipe.solver, blocks, on_step, cache, text)


def _start(
    model: Model,
    ground: ModelGround,
    choice: Choice,
    task: Task,
    image: Tensor,
    on_step: OnStep,
    cache: KVCache | None = None,
    change: Change | None = None,
) -> Given:
    """Makes what an embedded model's drag starts from: a draft for regions, the emptied source for points.

    Other models need none. Refuses what assemble() would refuse before the inversion.

    cache: where the K/V of a draft go, if the recipe looks at them.
    change: run_task()'s: what it starts from is inverted at the levels that it is dragged at.
    """
    if ground.preset is None or choice.recipe == COPY_PASTE or not task.regions:
        return Given()
    recipe = assemble(task, ground, choice)
    if change is not None:
        recipe = change(recipe, task)
    schedule, backbone = recipe.schedule, model.backbone
    if not recipe.supervision.moves_regions:
        empty = model.codec.encode(painted_over(image[0], leaving(task))[None])
        return Given(invert(backbone, empty, schedule, recipe.solver, on_step=on_step))
    # updates follow the regions' motions, not the points: a start that is bent by them would be pulled back
    draft = model.codec.encode(draft_of(image[0], replace(task, handles=())).picture[None])
    levels, noise = evenly(ground.preset.redraw, STEPS, schedule.prediction), noise_like(draft, choice.seed)
    draft = finish(backbone, draft, hole(task), levels, noise, on_step=on_step)
    blocks = draft_layers(task, ground, choice)
    return Given(draft=_inverted(model, draft, recipe, blocks, on_step, cache))


def _dragged(
    model: Model, source: Trajectory, recipe: Recipe, on_step: OnStep, draft: Trajectory | None = None
) -> Result:
    """Runs the drag; with checkpoints where it would not fit without, or has turned out not to."""
    backbone, z = model.target or model.backbone, source.z[0]
    whole, size = recipe.constraint.needs_prediction, Grid(z.shape[-2], z.shape[-1])
    before = getattr(backbone, "checkpoint", None)  # None: it has no such choice

    def run(checkpoint: bool) -> Result:
        try:
            if before is not None:
                backbone.checkpoint = checkpoint  # type: ignore[attr-defined]
            return drag(backbone, source, recipe, on_step, origin=model.backbone, draft=draft)
        finally:
            if before is not None:
                backbone.checkpoint = before  # type: ignore[attr-defined]

    must = before or wants_checkpoints(backbone, recipe.taps, whole, size, z.device)
    try:
        return run(must)
    except torch.cuda.OutOfMemoryError:
        if must or before is None:
            raise
    return run(True)  # out of the except, which holds what the first has left

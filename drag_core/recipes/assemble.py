"""The one place where a recipe is put together: what the user chose, on this model, with what is given.

Command line, ComfyUI's nodes and the benchmarks all build a ModelGround and a Choice and come here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import Tensor

from ..motion.masks import EDITABLE, on_grid
from ..ranges import check_mode
from ..trajectory.background import BackgroundSource, background_of
from ..trajectory.beside import kv_of_draft
from ..trajectory.constrain import HardBackground
from ..trajectory.solvers import Solver, ddim, fireflow
from ..types import DragError, Family, FeatureTap, KVCache, Schedule, Task, Trajectory, Variant
from . import METHODS
from .choice import COPY_PASTE, CUSTOM, default_recipe, fitting_method, usual_numbers
from .common import SD_UP
from .copy_paste import copy_paste, own_paste
from .dragflow import SETTLED, TAPS
from .fast import fast
from .placing import taps_on
from .presets import Preset, adapt, adapt_shape, starting
from .recipe import KVOf, Recipe, on_schedule
from .record import Way
from .released import KVPairing, kv_view
from .ways import WAYS, Ground, with_numbers

KVUse = Literal["recipe", "off", "drag and denoise", "denoise"]
Effort = Literal["recipe", "until settled", "fast"]
Pairing = Literal["recipe"] | KVPairing
KVSource = Literal["auto", KVOf]


@dataclass(frozen=True)
class KeepBackground:
    """Keeps the picture outside `editable`, (H, W) in {0, 1} in image pixels.

    source: as the trajectory has it, or as a reconstruction denoised beside the edit.
    """

    editable: Tensor
    source: BackgroundSource = "trajectory"

    def __post_init__(self) -> None:
        check_mode("the background's source", self.source, BackgroundSource)


@dataclass(frozen=True, kw_only=True)
class ModelGround:
    """What a model, and an inversion that is there already, give a recipe.

    label: the model's name for the user. blocks: that can be tapped. kv: the papers' K/V layers, counted for
    this model. preset: settings of an embedded model. schedule, solver: the inversion's; None: the recipe's
    own. stored: the inversion's K/V; `inverted` False: it is made after the recipe, with what that wants.
    """

    family: Family
    label: str
    blocks: tuple[str, ...]
    kv: tuple[str, ...]
    preset: Preset | None = None
    schedule: Schedule | None = None
    solver: Solver | None = None
    stored: KVCache | None = None
    inverted: bool = False

    def taps(self, wanted: tuple[FeatureTap, ...]) -> tuple[FeatureTap, ...]:
        """Places a paper's taps on this model."""
        return taps_on(wanted, self.family, self.blocks)

    @property
    def share(self) -> float:
        """Returns how much of a latent cell an editable mask must cover for the cell to change."""
        return EDITABLE if self.preset is None else self.preset.share

    @property
    def usual_taps(self) -> tuple[FeatureTap, ...]:
        """Returns an embedded model's own taps; else those of DragFlow or DragNeXt, on this model."""
        if self.preset is not None:
            return self.preset.taps
        return self.taps(SD_UP if self.family == "sd" else TAPS)


@dataclass(frozen=True)
class Choice:
    """What the user set.

    recipe: a name. "custom" goes the way `method` with `numbers` (those left out are the way's usual ones).
    taps: "auto", or a list as read_taps() reads it. kv_of: whose K/V; "auto": the recipe's.
    """

    recipe: str
    variant: Variant = "ours"
    method: Way = "region"
    numbers: Mapping[str, Any] = field(default_factory=dict)
    taps: str = "auto"
    kv: KVUse = "recipe"
    seed: int = 0
    effort: Effort = "recipe"
    kv_pairing: Pairing = "recipe"
    kv_of: KVSource = "auto"

    def __post_init__(self) -> None:
        check_mode("variant", self.variant, Variant)
        check_mode("method", self.method, Way)
        check_mode("kv", self.kv, KVUse)
        check_mode("effort", self.effort, Effort)
        check_mode("kv_of", self.kv_of, KVSource)
        if self.kv_pairing != "recipe":
            kv_view(self.kv_pairing)  # refuses what is none


@dataclass(frozen=True)
class Given:
    """What else the drag starts from.

    filled: trajectory of the picture with its regions painted over. warped: clean latent of the picture
    warped in pixels. draft: that picture's trajectory, in place of both. background: the user's constraint.
    """

    filled: Trajectory | None = None
    warped: Tensor | None = None
    draft: Trajectory | None = None
    background: KeepBackground | None = None

    def __post_init__(self) -> None:
        if self.draft is not None and (self.filled is not None or self.warped is not None):
            raise DragError("a draft is a whole start: give it alone, or a refill and a warped picture")


def read_taps(text: str, auto: tuple[FeatureTap, ...]) -> tuple[FeatureTap, ...]:
    """Reads taps from "auto", which are `auto`, or from a list as "double.17, double.18:norm1"."""
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


def assemble(task: Task, ground: ModelGround, choice: Choice, given: Given = Given()) -> Recipe:
    """Builds the recipe that drag() runs.

    Raises DragError where choice, model and drag don't fit.
    """
    recipe = _chosen(task, ground, choice, given)
    if recipe.start is None:
        recipe = replace(recipe, start=starting(task, given.filled, given.warped, given.draft))
    if choice.effort == "fast" and choice.recipe != COPY_PASTE:
        recipe = fast(recipe, task, schedule=ground.schedule)
    if choice.effort == "until settled":
        recipe = replace(recipe, settle=SETTLED)
    if ground.schedule is not None and ground.solver is not None:
        recipe = on_schedule(recipe, ground.schedule, solver=ground.solver)
    if choice.recipe != COPY_PASTE:
        recipe = replace(recipe, taps=read_taps(choice.taps, recipe.taps))
    if given.background is not None:
        cells = on_grid(given.background.editable, task.latent, ground.share)
        kept = background_of(given.background.source)
        recipe = replace(recipe, constraint=HardBackground(cells), background=kept)
    if choice.kv_pairing != "recipe":
        recipe = replace(recipe, kv_view=kv_view(choice.kv_pairing))
    blocks, stored, whose = _wanted(recipe, ground, choice), ground.stored, "trajectory"
    if blocks and (choice.kv_of == "draft" or (given.draft is not None and given.draft.kv is not None)):
        recipe = replace(recipe, kv_of="draft", kv_blocks=blocks)
        stored, whose = kv_of_draft(given.draft, ()), "draft"
    return use_kv(recipe, choice.kv, stored, whose) if ground.inverted else recipe


def draft_layers(task: Task, ground: ModelGround, choice: Choice) -> tuple[str, ...]:
    """Lists the layers whose K/V of a draft the chosen recipe looks at where it starts from one; () for none.

    For who inverts the draft. Raises DragError as assemble() does.
    """
    return _wanted(_chosen(task, ground, choice, Given()), ground, choice)


def without_kv(task: Task, ground: ModelGround, choice: Choice, draft: Trajectory | None) -> bool:
    """Tells whether the chosen recipe would look at the K/V of `draft`, which was inverted without."""
    return draft is not None and draft.kv is None and bool(draft_layers(task, ground, choice))


def _wanted(recipe: Recipe, ground: ModelGround, choice: Choice) -> tuple[str, ...]:
    """Lists the layers of a draft that `recipe` looks at: those of an embedded model's preset, or its own."""
    method = METHODS.get(choice.recipe)
    own = method is not None and method.draft_kv and choice.variant == "ours"
    if choice.kv == "off" or choice.kv_of == "picture" or not (own or choice.kv_of == "draft"):
        return ()
    blocks = recipe.kv_blocks if ground.preset is None else ground.preset.kv_blocks
    if blocks or choice.kv_of == "auto":
        return blocks
    if choice.kv == "recipe":
        raise DragError(
            f"recipe {choice.recipe} uses no keys and values on {ground.label}: set kv to drag and denoise "
            "for those of the draft, or kv_of to auto"
        )
    return ground.kv


def _chosen(task: Task, ground: ModelGround, choice: Choice, given: Given) -> Recipe:
    return (_custom if choice.recipe == CUSTOM else _published)(task, ground, choice, given)


def _custom(task: Task, ground: ModelGround, choice: Choice, given: Given) -> Recipe:
    """Builds a recipe from the user's own numbers; of a preset only what the model's size asks for."""
    schedule, solver = ground.schedule, ground.solver
    if schedule is None or solver is None:
        schedule, solver = usual_schedule(ground.family, task), usual_solver(ground.family)
    numbers = with_numbers(usual_numbers(choice.method), choice.numbers)
    recipe = WAYS[choice.method](task, Ground((), ground.kv, schedule, solver), numbers)
    # points compare one block, as GoodDrag and AdaptiveDrag; regions all of them, as DragNeXt
    one = ground.family == "sd" and not recipe.supervision.moves_regions
    recipe = replace(recipe, taps=ground.taps(SD_UP[2:3]) if one else ground.usual_taps)
    return recipe if ground.preset is None else adapt_shape(recipe, ground.preset, task)


def _published(task: Task, ground: ModelGround, choice: Choice, given: Given) -> Recipe:
    """Builds a paper's recipe with its own numbers, or an embedded model's in their place."""
    preset = ground.preset
    if choice.recipe == COPY_PASTE:
        own = usual_schedule(ground.family, task) if preset is None else preset.schedule
        pasted = copy_paste(task, own, usual_solver(ground.family), seed=choice.seed)
        paste = own_paste(task, seed=choice.seed)
        return replace(pasted, start=starting(task, given.filled, given.warped, given.draft, paste))
    method = fitting_method(choice.recipe, family=ground.family, model=ground.label)
    recipe = method.build(task, choice.variant)
    if preset is not None:
        return adapt(recipe, preset, task, given.filled, given.warped, given.draft)
    return replace(recipe, taps=ground.taps(recipe.taps), kv_blocks=ground.kv if recipe.kv_blocks else ())


def usual_schedule(family: Family, task: Task) -> Schedule:
    """Computes the noise levels of the family's own recipe."""
    return METHODS[default_recipe(family)].inversion.schedule(family, task.latent)


def usual_solver(family: Family) -> Solver:
    """Chooses the family's own: DDIM for Stable Diffusion, FireFlow for FLUX and its kin."""
    return ddim if family == "sd" else fireflow


def use_kv(recipe: Recipe, kv: KVUse, stored: KVCache | None, whose: str = "trajectory") -> Recipe:
    """Gives `recipe` the K/V that the user wants of those that the inversion has stored."""
    held = () if stored is None else stored.blocks
    if kv == "off" or not (recipe.kv_blocks or kv != "recipe"):
        return replace(recipe, kv_blocks=())
    wanted = recipe.kv_blocks if kv == "recipe" else held
    if stored is None or not wanted or [b for b in wanted if b not in held]:
        raise DragError(
            f"K/V of {len(wanted) or 'no'} layers are to be injected and the {whose} holds {len(held)}: "
            "set kv_layers to auto in its DragInvert, or kv to off here"
        )
    while_dragging = recipe.kv_while_dragging if kv == "recipe" else kv == "drag and denoise"
    return replace(recipe, kv_blocks=wanted, kv_while_dragging=while_dragging, kv_text=stored.with_text)

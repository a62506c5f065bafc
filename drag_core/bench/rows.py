"""The rows of a benchmark's tables: the baselines, the recipes, and results that others have drawn."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ..edit import edit_picture, ground_of
from ..lora import Training
from ..metrics.cost import Cost, stage
from ..pictures.files import read_picture
from ..pictures.inpaint import pixel_warp
from ..pictures.paste import resized
from ..preparing import regions_for
from ..recipes import METHODS
from ..recipes.choice import AUTO, COPY_PASTE, FINISH, check_name, fitting_method
from ..step import Step
from ..types import DragError, Family, Grid, Variant
from .loaded import Settings, model_of
from .samples import Sample

NO_EDIT, WARP, FOREIGN = "no edit", "pixel warp + inpainting", "foreign"
# where others put their results: DragDiffusion and its kin, GoodDrag, DragFlow
RESULTS = ("dragged_image.png", "output_image.png", "*_output_dragflow.png")


@dataclass(frozen=True)
class Drawn:
    """A sample's edit: its picture (3, H, W) at the sample's own size.

    size: (width, height) that it was drawn at.
    """

    picture: Tensor
    size: tuple[int, int]
    cost: Cost = field(default_factory=Cost)
    notes: tuple[str, ...] = ()


Draw = Callable[[Sample, int, Settings], Drawn]


@dataclass(frozen=True)
class Row:
    """A row: what it is called, what draws it, and whether a seed changes it.

    model: the name that load_model() takes; empty where none draws.
    """

    name: str
    draw: Draw
    recipe: str = ""
    variant: str = ""
    model: str = ""
    seeded: bool = True


def rows_of(
    recipes: Sequence[str],
    variants: Sequence[Variant],
    models: Sequence[tuple[str, Family]],
    results: Sequence[tuple[str, Path]] = (),
) -> tuple[Row, ...]:
    """Makes all rows: no edit, pixel warp and copy-paste always, then the recipes, then foreign results.

    models: names with their families; a recipe takes the first that it fits. Raises DragError where a recipe
    is unknown or fits none, before anything is drawn.
    """
    asked = []
    for recipe in dict.fromkeys(r for r in recipes if r != COPY_PASTE):
        check_name(recipe)
        if recipe == AUTO:
            raise DragError(
                f"the recipe {AUTO} is another one by model and drag: name the recipes to compare"
            )
        asked += [(recipe, v) for v in (variants if recipe in METHODS else variants[:1])]
    rows = [_recipe_row(recipe, variant, models) for recipe, variant in asked]
    first = next((r.model for r in rows), models[0][0])
    base = (
        Row(NO_EDIT, no_edit, seeded=False),
        Row(WARP, warped, seeded=False),
        _recipe_row(COPY_PASTE, "ours", [m for m in models if m[0] == first]),
    )
    others = (
        Row(f"{name} ({FOREIGN})", partial(found, folder=folder), seeded=False) for name, folder in results
    )
    return (*base, *rows, *others)


def _recipe_row(recipe: str, variant: Variant, models: Sequence[tuple[str, Family]]) -> Row:
    fitting = [name for name, family in models if recipe not in METHODS or METHODS[recipe].family == family]
    if not fitting:
        name, family = models[0]
        fitting_method(recipe, family=family, model=name)  # says what would fit
    model, plain = fitting[0], recipe not in METHODS
    said = recipe if plain or variant == "ours" else f"{recipe} {variant}"
    draw = partial(by_recipe, recipe=recipe, variant=variant, model=model)
    return Row(f"{said} ({Path(model).name})", draw, recipe, "" if plain else variant, model)


def no_edit(sample: Sample, seed: int, settings: Settings) -> Drawn:
    """Leaves the picture as it is: what a metric says of an edit that did nothing."""
    return Drawn(sample.image[0], _size(sample.image))


def warped(sample: Sample, seed: int, settings: Settings) -> Drawn:
    """Moves the regions' pixels and fills what they leave; points move the super-pixels under them."""
    cost = Cost()
    with stage(cost, "warp"):
        task = regions_for(sample.task, COPY_PASTE, sample.image)
        picture = pixel_warp(sample.image[0], task.regions)
    return Drawn(picture, _size(sample.image), cost)


def by_recipe(
    sample: Sample, seed: int, settings: Settings, *, recipe: str, variant: Variant, model: str
) -> Drawn:
    """Edits the sample by a recipe: embedded models at their own size, others at the sample's.

    What counts is the model's own picture, nothing of the original pasted over it; of `finish`, which pastes,
    the whole edit.
    """
    loaded = model_of(model, sample.instruction.source_prompt, sample.instruction.target_prompt, settings)
    height, width = sample.image.shape[-2:]
    if ground_of(loaded).preset is None:
        loaded = replace(loaded, side=math.sqrt(height * width))  # type: ignore[arg-type]
    clock, whole = Clock(settings.device), Cost()
    training = Training(steps=settings.identity, seed=seed) if settings.identity else None
    with stage(whole, "edit", settings.device):
        edit = edit_picture(
            loaded,
            sample.image.to(settings.device),
            sample.instruction,
            recipe=recipe,
            variant=variant,
            seed=seed,
            on_step=clock,
            read_mask=sample.read_mask,
            identity=training,
        )
        clock.ended()
    picture = edit.image if recipe == FINISH else resized(edit.decoded, Grid(height, width))
    size, notes = _size(edit.decoded), edit.notes
    if size != (width, height):
        said = f"it was drawn at {size[0]}x{size[1]} and scaled to {width}x{height}"
        notes = (*notes, said)
    cost = Cost(clock.seconds, whole.peak_mb)
    return Drawn(picture[0].float().cpu().clamp(0, 1), size, cost, notes)


def found(sample: Sample, seed: int, settings: Settings, *, folder: Path) -> Drawn:
    """Reads a result that others have drawn, scaled to the sample's size as DragDiffusion's script does."""
    file = result_of(sample.id, folder)
    picture = read_picture(file).image
    height, width = sample.image.shape[-2:]
    notes: tuple[str, ...] = ()
    if (size := _size(picture)) != (width, height):
        notes = (f"{file.name} is {size[0]}x{size[1]} and was scaled to {width}x{height}",)
        picture = torch.nn.functional.interpolate(picture, (height, width), mode="bilinear", antialias=True)
    return Drawn(picture[0].clamp(0, 1), size, Cost(), notes)


def result_of(sample: str, folder: Path) -> Path:
    """Finds the result of a sample in a folder of its name, also as DragFlow calls it, or a file of its name.

    Raises DragError where there is none.
    """
    last = sample.rsplit("/", 1)[-1]
    for place in (folder / sample, folder / last, folder / f"{last}|DragFlow"):
        for name in RESULTS:
            if file := next(iter(sorted(place.glob(name))), None):
                return file
        for file in (place.with_name(f"{place.name}{end}") for end in (".png", ".jpg")):
            if file.is_file():
                return file
    raise DragError(f"{folder} holds no result of {sample}: looked for {', '.join(RESULTS)} and {last}.png")


@dataclass
class Clock:
    """Adds up seconds by what a step says its stage is; what comes after the last step is `decode`."""

    device: str
    seconds: dict[str, float] = field(default_factory=dict)
    last: float = field(default_factory=time.perf_counter)

    def __call__(self, step: Step) -> None:
        self._add(step.stage)

    def ended(self) -> None:
        self._add("decode")

    def _add(self, name: str) -> None:
        if torch.device(self.device).type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self.last
        self.last = now


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[-1], image.shape[-2]

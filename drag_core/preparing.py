"""What comes before the inversion of a whole edit: regions for points, super-pixels, the paper's own LoRA."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from .lora import Training
from .motion.exchange import with_regions
from .motion.superpixels import Seeing, divided, lab, superpixels
from .motion.task import MARGIN
from .recipes import METHODS
from .recipes.choice import COPY_PASTE
from .types import Task, Variant

# how alike neighbouring super-pixels must be to belong to one thing, in units of the colours' spread
LIKE = 0.9
BY_COLOUR = (
    "super-pixels follow the picture's colour here and SAM 2's features in the paper: give --sam2 FILE, or "
    "in ComfyUI Drag Auto Mask with Drag Load SAM 2"
)


def regions_for(task: Task, recipe: str, image: Tensor) -> Task:
    """Adds to `task` regions where `recipe` moves regions and has none.

    They are the super-pixels under its points.
    """
    moves_regions = recipe == COPY_PASTE or (recipe in METHODS and METHODS[recipe].moves == "regions")
    if not moves_regions or task.regions or not task.handles:
        return task
    return with_regions(task, superpixels(lab(image), task.image))


def by_superpixels(
    task: Task, image: Tensor, recipe: str, variant: Variant, automatic: bool, see: Seeing = lab
) -> tuple[Task, tuple[str, ...]]:
    """Finds what may change by the super-pixels of `image` (1, 3, H, W) where that is asked for.

    see: what super-pixels follow.
    automatic: it is, whatever the instruction says. A paper that does so itself is followed unless something
    was painted, with no likeness and no margin of ours.
    """
    if recipe in METHODS and METHODS[recipe].superpixels and variant == "paper":
        found = divided(task, see(image), painted=not (automatic or task.automatic))
        return found, (BY_COLOUR,) if see is lab else ()
    if not automatic:
        return task, ()
    margin = round(MARGIN * (task.image.height + task.image.width) / 2)
    return replace(divided(task, see(image), likeness=LIKE, margin=margin), labels=None), ()


def own_training(task: Task, image: Tensor, recipe: str, variant: Variant, seed: int) -> Training | None:
    """Returns how the paper trains its LoRA of the picture; None where it trains none, or is not asked."""
    if variant != "paper" or recipe not in METHODS:
        return None
    training = METHODS[recipe].build(regions_for(task, recipe, image), variant).identity
    return None if training is None else replace(training, seed=seed)

"""AdaptiveDrag: super-pixels as patches, as many updates as the drag is long, CLoss while denoising.

DuoSheng Chen, Binghui Chen, Yifeng Geng, Liefeng Bo. AdaptiveDrag: Semantic-Driven Dragging on
Diffusion-Based Image Editing. 2024. https://arxiv.org/abs/2410.12696

Sections: 3.3 (automatic mask), 3.4 and equations 5-6 (semantic-driven supervision and tracking), 3.5 and
equation 4 (CLoss).
"""

from __future__ import annotations

from dataclasses import replace

from ..features.semantic import SemanticSupervision
from ..lora import Training
from ..trajectory.solvers import ddim
from ..types import Task, Variant
from .common import SD_KV, SD_UP, need_handles
from .numbers import SemanticNumbers
from .recipe import Recipe
from .record import InversionSettings, Method, Paper
from .ways import Ground, semantic

PAPER = Paper(
    "AdaptiveDrag: Semantic-Driven Dragging on Diffusion-Based Image Editing",
    "Chen, Chen, Geng, Bo",
    2024,
    "2410.12696",
)
INVERSION = InversionSettings(steps=50, strength=0.7)  # step 35 of 50
IDENTITY = Training(steps=80)
NUMBERS = SemanticNumbers(
    updates=300,
    steps=80,
    search=6,
    stride=1.0,
    preserve=True,
    step=0.01,
    background=0.1,
    guidance=0.1,
)


def adaptivedrag(task: Task, variant: Variant = "ours") -> Recipe:
    """Builds AdaptiveDrag, which updates until all handles have arrived.

    An update is kept if it moves towards the target by the drag's 80th part.

    Paper: compares the super-pixel under the handle's present place with the last update's features, pulls by
    one cell, looks for the handle inside that super-pixel and goes on if it lies on the way from its start.
    What may change is the task's own: motion.superpixels.divided() makes it the paper's automatic mask.

    Ours compares with the picture's own features (GoodDrag's information preservation): the last update's
    were 3 dB worse in the target area of the held-out scenes looked at. It carries the start's super-pixel
    along and looks for all of it in a square.

    Its released code does none of this (methods.md §9): "released" is ours with the last update's features
    and the numbers of the code's interface (160 steps from t = 781).
    """
    need_handles(task, "adaptivedrag", variant)
    n, inversion = NUMBERS, INVERSION
    if variant != "ours":
        n = replace(n, preserve=False)
    if variant == "released":
        n, inversion = replace(n, steps=160), replace(inversion, strength=0.8)
    recipe = semantic(task, Ground(SD_UP[2:3], SD_KV, inversion.schedule("sd", task.latent), ddim), n)
    recipe = replace(recipe, identity=IDENTITY)
    if variant != "paper":
        return recipe
    assert isinstance(recipe.supervision, SemanticSupervision)
    looked_up = replace(
        recipe.supervision, domain="superpixel", ahead="start", follow=True, shorten=False, labels=task.labels
    )
    return replace(recipe, supervision=looked_up)


METHOD = Method(
    name="adaptivedrag",
    paper=PAPER,
    family="sd",
    moves="points",
    way="semantic",
    numbers=NUMBERS,
    inversion=INVERSION,
    build=adaptivedrag,
    superpixels=True,
)

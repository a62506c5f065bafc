"""GoodDrag: alternate dragging and denoising; pull towards the picture's own features.

Zewei Zhang, Huan Liu, Jun Chen, Xiangyu Xu. GoodDrag: Towards Good Practices for Drag Editing with Diffusion
Models. 2024 (ICLR 2025). https://arxiv.org/abs/2404.07206

Equations: 3 (motion supervision), 5 (tracking), 6 (information preservation; as 3 with its mask term), 7 (J
updates before each tracking), Algorithm 1.
"""

from __future__ import annotations

from dataclasses import replace

from ..features.supervise import PointSupervision
from ..lora import Training
from ..trajectory.background import Reconstructed
from ..trajectory.solvers import ddim
from ..types import Task, Variant
from .common import SD_KV, SD_UP, need_handles
from .numbers import PointNumbers
from .recipe import Recipe
from .record import InversionSettings, Method, Paper
from .released import Patience
from .ways import Ground, point

PAPER = Paper(
    "GoodDrag: Towards Good Practices for Drag Editing with Diffusion Models",
    "Zhang, Liu, Chen, Xu",
    2024,
    "2404.07206",
)
INVERSION = InversionSettings(steps=50, strength=0.75)
IDENTITY = Training()  # the paper: rank 16
NUMBERS = PointNumbers(
    levels=7,  # K = 70 drags in tens, one ten a level
    updates=30,  # of J = 3 updates each
    tracking=3,
    radius=4,
    search=12,
    stride=4.0,
    preserve=True,
    step=0.02,
    background=0.2,
)


def gooddrag(task: Task, variant: Variant = "ours") -> Recipe:
    """Builds GoodDrag: information-preserving points, alternated with denoising.

    There are J updates before each tracking. Paper: features at the picture's own resolution, so that all
    lengths are pixels; every one of the K·J updates is made and every step has the full length β; the last
    tracking of a timestep is made at that timestep. Ours: at half the resolution, as the released code, ends
    once all have arrived. Released: tracks in the features from before the update, ends
    when ten trackings changed nothing, and compares with a picture denoised beside the edit.
    """
    need_handles(task, "gooddrag", variant)
    taps = SD_UP[3:] if variant == "paper" else SD_UP[2:3]
    ground = Ground(taps, SD_KV, INVERSION.schedule("sd", task.latent), ddim)
    recipe = replace(point(task, ground, NUMBERS), identity=IDENTITY)
    assert isinstance(recipe.supervision, PointSupervision)
    if variant == "paper":
        at_full = replace(recipe.supervision, grid=task.grid(1), reach=0.0, shorten=False)
        return replace(recipe, supervision=at_full, track_last=True)
    if variant != "released":
        return recipe
    return replace(
        recipe,
        supervision=Patience(replace(recipe.supervision, factor=float((2 * NUMBERS.radius) ** 2))),
        background=Reconstructed(),
        stale_tracking=True,
    )


METHOD = Method(
    name="gooddrag",
    paper=PAPER,
    family="sd",
    moves="points",
    way="point",
    numbers=NUMBERS,
    inversion=INVERSION,
    build=gooddrag,
    default=True,
)

"""DragNeXt: regions moved on a little at every update through many noise levels (PBSI).

Yuan Zhou, Junbao Zhou, Qingshan Xu, Kesen Zhao, Yuxuan Wang, Hao Fei, Richang Hong, Hanwang Zhang. DragNeXt:
Rethinking Drag-Based Image Editing. 2025 (AAAI 2026). https://arxiv.org/abs/2506.07611

Equations: 5 (motions of regions), 6-7 (progressive backward self-intervention), Algorithm 1. Where text and
Algorithm 1 differ, this is the text: timesteps T to T' inclusive, as η's denominator K(T-T'+1) has them (the
algorithm: T' < t < T), and the features of the original latent (the algorithm: of the branch's own z_t).
"""

from __future__ import annotations

from dataclasses import replace

from ..features.supervise import RegionSupervision
from ..lora import Training
from ..trajectory.background import Reconstructed
from ..trajectory.constrain import SoftBackground
from ..trajectory.solvers import ddim
from ..types import Task, Variant
from .common import SD_KV, SD_UP, linear, need_regions, per_level
from .gooddrag import gooddrag
from .numbers import PBSINumbers
from .recipe import Recipe
from .record import InversionSettings, Method, Paper
from .released import CoarseRegions, CountedBackground
from .released.dragnext import begins
from .ways import Ground, pbsi

PAPER = Paper(
    "DragNeXt: Rethinking Drag-Based Image Editing",
    "Zhou, Zhou, Xu, Zhao, Wang, Fei, Hong, Zhang",
    2025,
    "2506.07611",
)
INVERSION = InversionSettings(steps=50, strength=0.75)
IDENTITY = Training()  # the paper: rank 16, as DragDiffusion and GoodDrag
NUMBERS = PBSINumbers(levels=6, updates=10, step=0.02, background=0.2)  # K = 10 at timesteps 38..33


def dragnext(task: Task, variant: Variant = "ours") -> Recipe:
    """Builds DragNeXt's PBSI: K updates at each level, progress (K(T-t)+k)/(K(T-T'+1)), Adam.

    Paper: k counts from 0, so that the last update is one short of the target; the loss is the sum over the
    cells and channels of every region, all alike (eq. 7), beside the background once. Ours: k counts from 1,
    regions weigh by their γ, each by its mean: a small one counts, and Adam's step does not depend on size.

    Released: one block's features, five timesteps of which the first three move, whole cells and steps of 2
    degrees, regions times 10, the background once for each region that moves yet; where the task has points,
    GoodDrag's point phase comes first at those three timesteps.
    """
    need_regions(task, "dragnext", variant)
    ground = Ground(SD_UP, SD_KV, INVERSION.schedule("sd", task.latent), ddim)
    recipe = replace(pbsi(task, ground, NUMBERS), identity=IDENTITY)
    if variant == "paper":
        alike = tuple(replace(r, weight=1.0) for r in task.regions)
        return replace(
            recipe,
            supervision=RegionSupervision(alike, task.image, task.grid(2), mean="sum"),
            ramp=per_level(linear(NUMBERS.levels * NUMBERS.updates, first=0), NUMBERS.updates),
        )
    if variant != "released":
        return recipe
    regions = tuple(replace(r, weight=10.0) for r in task.regions)
    constraint = recipe.constraint
    if isinstance(constraint, SoftBackground):
        since = tuple(begins(r, task.image, task.grid(2)) for r in regions)
        constraint = CountedBackground(constraint, since)
    points = gooddrag(task, variant) if task.handles else None
    return replace(
        recipe,
        taps=SD_UP[2:3],
        supervision=CoarseRegions(RegionSupervision(regions, task.image, task.grid(2), mean="region")),
        constraint=constraint,
        ramp=per_level(linear(30, hold=20), NUMBERS.updates),
        background=Reconstructed(),
        first=None if points is None else replace(points, ramp=points.ramp[:3]),
    )


METHOD = Method(
    name="dragnext",
    paper=PAPER,
    family="sd",
    moves="regions",
    way="pbsi",
    numbers=NUMBERS,
    inversion=INVERSION,
    build=dragnext,
    default=True,
)

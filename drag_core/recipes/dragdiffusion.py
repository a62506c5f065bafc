"""DragDiffusion: points pulled a little and looked for again, at one noise level.

Yujun Shi, Chuhui Xue, Jun Hao Liew, Jiachun Pan, Hanshu Yan, Wenqing Zhang, Vincent Y. F. Tan, Song Bai.
DragDiffusion: Harnessing Diffusion Models for Interactive Point-based Image Editing. 2023 (CVPR 2024).
https://arxiv.org/abs/2306.14435
"""

from __future__ import annotations

from dataclasses import replace

from ..lora import Training
from ..trajectory.solvers import ddim
from ..types import Task, Variant
from .common import SD_KV, SD_UP, need_handles
from .numbers import PointNumbers
from .recipe import Recipe
from .record import InversionSettings, Method, Paper
from .ways import Ground, point

PAPER = Paper(
    "DragDiffusion: Harnessing Diffusion Models for Interactive Point-based Image Editing",
    "Shi, Xue, Liew, Pan, Yan, Zhang, Tan, Bai",
    2023,
    "2306.14435",
)
INVERSION = InversionSettings(steps=50, strength=0.7)  # step 35 of 50
IDENTITY = Training(steps=80)
NUMBERS = PointNumbers(
    levels=1,
    updates=80,
    tracking=1,
    radius=1,
    search=3,
    stride=1.0,
    preserve=False,
    step=0.01,
    background=0.1,
)


def dragdiffusion(task: Task, variant: Variant = "ours") -> Recipe:
    """Builds DragDiffusion: drift-prone points, tracked after each update, by Adam.

    There is one text: every variant is it.
    """
    need_handles(task, "dragdiffusion", variant)
    ground = Ground(SD_UP[2:3], SD_KV, INVERSION.schedule("sd", task.latent), ddim)
    return replace(point(task, ground, NUMBERS), identity=IDENTITY)


METHOD = Method(
    name="dragdiffusion",
    paper=PAPER,
    family="sd",
    moves="points",
    way="point",
    numbers=NUMBERS,
    inversion=INVERSION,
    build=dragdiffusion,
)

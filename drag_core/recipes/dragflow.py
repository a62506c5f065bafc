"""DragFlow: regions moved as wholes in the features of FLUX, the background kept hard.

Zihan Zhou, Shilin Lu, Shuli Leng, Shaocong Zhang, Zhuming Lian, Xinlei Yu, Adams Wai-Kin Kong. DragFlow:
Unleashing DiT Priors with Region Based Supervision for Drag Editing. 2025. https://arxiv.org/abs/2510.02253

Sections and equations: 1 (region supervision), C.5 (taps, K/V, iterations), 2 and 18-24 (motions and weights
of regions), 3.3 and 4 (reconstruction, hard background), 25-27 (adaptive mask).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch

from ..adapters.use import AdapterUse
from ..features.supervise import RegionSupervision
from ..trajectory.background import Reconstructed
from ..trajectory.solvers import fireflow
from ..types import FeatureTap, Task, Variant
from .common import box_background, linear, need_regions
from .numbers import RegionNumbers
from .recipe import Recipe
from .record import InversionSettings, Method, Paper
from .released import Cleaner, HalfStepAhead, Unpacked
from .ways import Ground, region

PAPER = Paper(
    "DragFlow: Unleashing DiT Priors with Region Based Supervision for Drag Editing",
    "Zhou, Lu, Leng, Zhang, Lian, Yu, Kong",
    2025,
    "2510.02253",
)
TAPS = tuple(FeatureTap(f"double.{i}", site) for i in (17, 18) for site in ("norm1", "out"))
PAPER_TAPS = tuple(FeatureTap(f"double.{i}") for i in (17, 18))  # C.5
KV = tuple(f"double.{i}" for i in (0, 7, 8, 9, 10, 18)) + tuple(
    f"single.{i}" for i in (6, 9, 18, 23, 26, 31, 37)
)
INVERSION = InversionSettings(steps=25, strength=0.76)  # 6 of 25 skipped
NUMBERS = RegionNumbers(iterations=50, hold=20, step=1000.0)
ADAPTER = AdapterUse(character=1.5)  # 4.1: InstantCharacter, in every call; the strength is the release's
SETTLED = 0.01  # ours: share of the loss below which five updates at the target gain too little


def dragflow(task: Task, variant: Variant = "ours") -> Recipe:
    """Builds DragFlow on FLUX: FireFlow, 50 + 20 updates at the first level, hard background.

    An adapter (InstantCharacter in 4.1), where one is given, acts while inverting, in the features and while
    denoising.

    Paper: compares the outputs of two blocks, from progress 0 on; holds the background outside the box around
    what moves, without a margin, by the picture denoised as it was inverted; the inversion's own K/V, of the
    nearest level that it has stored. Its eq. 1 is a sum, and stays the released mean over the map, which its
    rate goes with (see RegionSupervision.mean).

    Plain gradient descent at 1000 (then 1200) is tuned for 512 px; the gradient per latent element falls with
    the latent's area, so ours scales the rate by area. Ours also ends the last 20, which repeat the final
    pose, when they no longer lower the loss. Released: K/V of one recorded level cleaner, in single blocks
    the prompt's too; the background half a step ahead while updating, then denoised beside the edit.
    """
    need_regions(task, "dragflow", variant)
    ground = Ground(TAPS, KV, INVERSION.schedule("flux", task.latent), fireflow)
    recipe = replace(region(task, ground, NUMBERS), adapter=ADAPTER)
    if variant == "ours":
        return replace(recipe, settle=SETTLED)
    recipe = replace(recipe, optimizer=partial(torch.optim.SGD, lr=NUMBERS.step))
    if variant == "paper":
        ramp = (linear(NUMBERS.iterations, hold=NUMBERS.hold, first=0),)
        return replace(
            recipe,
            taps=PAPER_TAPS,
            constraint=box_background(task),
            ramp=ramp,
            kv_record=False,
            background=Reconstructed(),
        )
    side = (task.image.height + task.image.width) / 2
    part = 4 if side > 1000 else 3 if side > 600 else 2
    return replace(
        recipe,
        supervision=Unpacked(RegionSupervision(task.regions, task.image, task.grid(part), mean="map")),
        kv_view=Cleaner,
        kv_text=True,
        background=HalfStepAhead(),
        hold_gain=1.0,
        adapter=replace(ADAPTER, top=1.0),  # the release tells the resampler 0 to 1
    )


METHOD = Method(
    name="dragflow",
    paper=PAPER,
    family="flux",
    moves="regions",
    way="region",
    numbers=NUMBERS,
    inversion=INVERSION,
    build=dragflow,
    default=True,
    draft_kv=True,
)

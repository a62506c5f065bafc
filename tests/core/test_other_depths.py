"""A FLUX of another depth than FLUX.1 drags on the command line as in ComfyUI: taps and K/V by depth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import tiny
from drag_core.backends.load import Model
from drag_core.edit import ground_of, run_task
from drag_core.motion.masks import discs
from drag_core.recipes.dragflow import KV, TAPS
from drag_core.recipes.recipe import Recipe
from drag_core.types import AffineMotion, FeatureTap, Grid, Region, Task

IMAGE = Grid(64, 64)
TASK = Task(IMAGE, (Region(discs([(24.0, 32.0)], 8, IMAGE), AffineMotion(shift=(16.0, 0.0))),))


@dataclass(frozen=True)
class Pooled:
    """Latents that are the picture, eight times smaller, four channels."""

    scale: float = 1.0

    def encode(self, image: Tensor) -> Tensor:
        return F.interpolate(image, scale_factor=1 / 8, mode="area")[:, [0, 1, 2, 0]]

    def decode(self, z: Tensor) -> Tensor:
        return F.interpolate(z[:, :3], scale_factor=8.0)


def test_dragflow_on_six_blocks() -> None:
    model = Model("a small FLUX", "flux", tiny.flux(2, 4), Pooled(), 64, 16)  # type: ignore[arg-type]
    ground, seen = ground_of(model), list[Recipe]()
    assert ground.preset is None and set(ground.kv) <= set(ground.blocks)
    # FLUX.1's double.17 and double.18 are blocks 17 and 18 of 57: 1.5 and 1.6 of 6
    assert ground.taps(TAPS) == (FeatureTap("single.0", "norm1"), FeatureTap("single.0"))

    def short(recipe: Recipe, _: Task) -> Recipe:
        seen.append(recipe)
        return replace(recipe, ramp=(recipe.ramp[0][:2],))

    result, picture = run_task(model, torch.rand(1, 3, 64, 64), TASK, recipe="dragflow", change=short)
    assert seen[0].kv_blocks == ground.kv and seen[0].taps == ground.taps(TAPS)
    assert len(result.losses) == 2 and torch.isfinite(picture).all() and picture.shape == (1, 3, 64, 64)


def test_flux_1_keeps_the_papers_blocks() -> None:
    ground = ground_of(Model("FLUX.1", "flux", tiny.flux(), Pooled(), 64, 16))  # type: ignore[arg-type]
    assert (ground.taps(TAPS), ground.kv) == (TAPS, KV)

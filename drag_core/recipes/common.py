"""What several recipes share: Stable Diffusion's taps and K/V layers, ramps, backgrounds."""

from __future__ import annotations

import torch

from ..motion.masks import EDITABLE, adaptive_mask, on_grid
from ..ranges import check_mode
from ..trajectory.constrain import Constraint, FreeBackground, HardBackground, SoftBackground
from ..types import DragError, FeatureTap, Task, Variant

SD_UP = tuple(FeatureTap(f"up.{i}") for i in range(4))
SD_KV = tuple(f"attn.{i}" for i in range(10, 16))  # MasaCtrl: self-attention from layer 10 of 16


def linear(n: int, hold: int = 0, first: int = 1) -> tuple[float, ...]:
    """Lists the progress first/n, (first+1)/n, ... n updates in all, then `hold` more at 1."""
    return tuple((k + first) / n for k in range(n)) + (1.0,) * hold


def per_level(progress: tuple[float, ...], updates: int) -> tuple[tuple[float, ...], ...]:
    """Deals the updates out, `updates` of them at each level, one level after the other."""
    return tuple(progress[i : i + updates] for i in range(0, len(progress), updates))


def hard_background(task: Task) -> Constraint:
    """Builds the constraint that nothing changes outside the editable mask; without one everything may."""
    if task.editable is None:
        return FreeBackground()
    return HardBackground(on_grid(task.editable, task.latent, EDITABLE))


def box_background(task: Task) -> Constraint:
    """Builds the same with DragFlow's mask B, without a margin (eq. 25-27), unless one was painted."""
    if task.editable is None or not (task.automatic and task.regions):
        return hard_background(task)
    box = adaptive_mask(task.regions)
    box = box if task.shadow is None else torch.maximum(box, task.shadow)
    return HardBackground(on_grid(box, task.latent, EDITABLE))


def soft_background(task: Task, weight: float) -> Constraint:
    """Builds the constraint by which what is outside the editable mask weighs in the loss."""
    if task.editable is None or weight == 0:
        return FreeBackground()
    return SoftBackground(on_grid(task.editable, task.latent, EDITABLE), weight)


def need_regions(task: Task, name: str, variant: Variant = "ours") -> None:
    check_mode("variant", variant, Variant)
    if not task.regions:
        raise DragError(
            f"recipe {name} moves regions and this drag has none: mark a region, or use gooddrag for points"
        )


def need_handles(task: Task, name: str, variant: Variant = "ours") -> None:
    check_mode("variant", variant, Variant)
    if not task.handles:
        raise DragError(
            f"recipe {name} moves points and this drag has none: set a point pair, or use dragflow or "
            f"dragnext for regions"
        )

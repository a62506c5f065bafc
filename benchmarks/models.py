"""Models of the real sizes without their weights, and drags on them."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.meter import Meter
from drag_core.drag import drag
from drag_core.features.supervise import Supervision
from drag_core.recipes.dragflow import KV as FLUX_KV
from drag_core.recipes.recipe import Recipe
from drag_core.step import Step
from drag_core.trajectory.kvcache import KVPlain
from drag_core.trajectory.kvstore import KVStore
from drag_core.types import (
    AffineMotion,
    Backbone,
    FeatureTap,
    Grid,
    Handle,
    KVRecord,
    Region,
    Task,
    Trajectory,
)


def sd15(device: str = "meta", dtype: torch.dtype = torch.float32) -> Any:
    """UNet2DConditionModel's defaults are Stable Diffusion 1.5, but for the width of the text."""
    from diffusers import UNet2DConditionModel

    logging.getLogger("diffusers").setLevel(logging.ERROR)
    with torch.device(device):
        net = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    return net.to(dtype).eval().requires_grad_(False)


def flux_dev(device: str = "meta", singles: int = 38) -> Any:
    from diffusers import FluxTransformer2DModel

    logging.getLogger("diffusers").setLevel(logging.ERROR)
    with torch.device(device):
        net = FluxTransformer2DModel(
            in_channels=64,
            num_layers=19,
            num_single_layers=singles,
            attention_head_dim=128,
            num_attention_heads=24,
            joint_attention_dim=4096,
            pooled_projection_dim=768,
            guidance_embeds=True,
        )
    return net.to(torch.bfloat16).eval().requires_grad_(False)


def squares(side: int, count: int, image: Grid, angle: float = 0.0) -> tuple[Region, ...]:
    """`count` squares of `side` pixels, one beside the other, that move by a fraction of a cell."""
    a_row = max((image.width - 80) // (side + 8), 1)
    out = []
    for i in range(count):
        mask = torch.zeros(image.height, image.width)
        y, x = 8 + (side + 8) * (i // a_row), 8 + (side + 8) * (i % a_row)
        mask[y : y + side, x : x + side] = 1
        motion = AffineMotion((41.0, 23.0), angle, anchor=(x + side / 2, y + side / 2))
        out.append(Region(mask, motion, 1 / count))
    return tuple(out)


def pairs(count: int) -> tuple[Handle, ...]:
    return tuple(
        Handle((90.0 + 26 * i, 120.0 + 17 * i), (150.0 + 20 * i, 131.0 + 18 * i)) for i in range(count)
    )


def middle(image: Grid) -> Tensor:
    editable = torch.zeros(image.height, image.width)
    editable[image.height // 8 : -image.height // 8, image.width // 8 : -image.width // 8] = 1
    return editable


def task(image: Grid, regions: tuple[Region, ...] = (), handles: tuple[Handle, ...] = ()) -> Task:
    return Task(image, regions, handles, middle(image))


def source(recipe: Recipe, shape: tuple[int, ...], dtype: torch.dtype, device: str = "meta") -> Trajectory:
    """As an inversion leaves it: its K/V, of which the first level needs none, lie on the CPU."""
    z = torch.empty(shape, dtype=dtype, device=device)
    return Trajectory(recipe.schedule, (z,) * len(recipe.schedule.t), KVStore("pageable"))


class Iterations:
    """The counts of every update of a drag, one after the other."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.counts: list[dict[str, int]] = []
        self.live: list[int] = []
        self._before = meter.total()

    def __call__(self, step: Step) -> None:
        now = self.meter.total()
        self.counts.append({k: now[k] - self._before[k] for k in now})
        self.live.append(self.meter.live)
        self._before = now
        if len(self.counts) == 2:  # what is set up once is there
            self.meter.used.clear()


def measure(
    backbone: Backbone,
    net: Any,
    recipe: Recipe,
    shape: tuple[int, ...],
    dtype: torch.dtype = torch.float32,
    updates: int = 4,
    kv: bool = False,
) -> tuple[Meter, Iterations]:
    """`updates` updates of the real loop at the recipe's first level, counted; `kv`: with its own K/V."""
    progress = [u for level in recipe.ramp for u in level]
    few = tuple(progress[(i + 1) * len(progress) // (updates + 1)] for i in range(updates))
    recipe = replace(recipe, ramp=(few,), kv_blocks=recipe.kv_blocks if kv else (), kv_view=None)
    path = source(recipe, shape, dtype)
    meter = Meter()
    meter.weights(net)
    with meter:
        meter.track(path.z)
        seen = Iterations(meter)
        drag(backbone, path, recipe, seen, pause=True)
    return meter, seen


def bare(
    backbone: Backbone,
    net: Any,
    taps: tuple[FeatureTap, ...],
    shape: tuple[int, ...],
    stop: bool = True,
    dtype: torch.dtype = torch.float32,
    gradient: bool = True,
) -> dict[str, int]:
    """The model's own part of an update: features (without `stop` the prediction too) and their gradient."""
    z = torch.empty(shape, device="meta", dtype=dtype, requires_grad=True)
    meter = Meter()
    meter.weights(net)
    with meter, torch.set_grad_enabled(gradient):
        maps, out = backbone.features(z, 500.0, taps, stop=stop)
        outs = [*maps, *([] if out is None else [out])]
        if gradient:
            torch.autograd.grad(outs, z, [torch.empty_like(x) for x in outs])
    return meter.total()


def with_constraint(recipe: Recipe, constraint: Any) -> Recipe:
    return replace(recipe, constraint=constraint)


def gradient_bytes(net: Any) -> int:
    return sum(p.grad.numel() * p.grad.element_size() for p in net.parameters() if p.grad is not None)


def weight_bytes(net: Any) -> int:
    return sum(p.numel() * p.element_size() for p in net.parameters())


def maps(kinds: list[tuple[int, int]], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """(channels, side) -> feature maps with a gradient."""
    return [torch.empty(1, c, n, n, device="meta", dtype=dtype, requires_grad=True) for c, n in kinds]


def token_maps(dtype: torch.dtype, side: int = 64) -> list[Tensor]:
    """Four maps as FLUX's double blocks give them: tokens seen as (1, 3072, side, side)."""
    out = []
    for _ in range(4):
        tokens = torch.empty(1, side * side, 3072, device="meta", dtype=dtype, requires_grad=True)
        out.append(tokens.view(1, side, side, 3072).permute(0, 3, 1, 2))
    return out


def apart(count: int, side: int, image: Grid) -> tuple[Region, ...]:
    """As many squares, where they overlap if they must: only their sizes matter here."""
    mask = torch.zeros(image.height, image.width)
    mask[16 : 16 + side, 16 : 16 + side] = 1
    return (Region(mask, AffineMotion((41.0, 23.0)), 1 / count),) * count


def region_loss(supervision: Supervision, now: list[Tensor], progress: float = 0.7) -> Meter:
    """The planned loss and its gradient, without the model; the peak is what comes on top of the maps."""
    then = [x.detach() for x in now]
    plan = supervision.plan(then, (progress,))
    meter = Meter()
    with meter:
        meter.track(now, then)
        before = meter.live
        loss = supervision.loss(now, plan, None, progress)
        torch.autograd.grad(loss, now)
    meter.peak -= before
    return meter


def kv_bytes(
    backbone: Backbone, shape: tuple[int, ...], dtype: torch.dtype, blocks: tuple[str, ...] = FLUX_KV
) -> int:
    cache = KVPlain()
    with torch.no_grad():
        backbone.predict(torch.empty(shape, device="meta", dtype=dtype), 0.5, KVRecord(cache, blocks))
    return cache.bytes

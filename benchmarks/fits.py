"""A whole DragFlow edit of FLUX.1-dev at 1024x1024: the most on the device at once, with the weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from benchmarks import models
from benchmarks.meter import Meter
from drag_core.backends.blocks import both, rest_to
from drag_core.backends.codec import Codec
from drag_core.backends.diffusers_flux import DiffusersFlux
from drag_core.backends.load import Model
from drag_core.backends.single_file import FLUX_SCALE, FLUX_SHIFT
from drag_core.edit import run_task
from drag_core.recipes.recipe import Recipe
from drag_core.step import Step
from drag_core.types import FeatureTap, Grid, Schedule, Task

BF16, SIDE = torch.bfloat16, 1024


def in_ram(module: nn.Module) -> nn.Module:
    """`module` with weights on the CPU that take no memory: one number, seen as often as it is needed."""
    for m in module.modules():
        for own in both(m):
            for name, x in own.items():
                if x is not None:
                    own[name] = torch.zeros((), dtype=x.dtype).expand(x.shape)
    return module


def flux_vae() -> Any:
    from diffusers import AutoencoderKL

    with torch.device("meta"):
        net = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=16,
            layers_per_block=2,
            use_quant_conv=False,
            use_post_quant_conv=False,
        )
    return in_ram(net.to(BF16))


def flux_edit(offload: bool, singles: int = 38) -> dict[str, int]:
    """The peak in bytes until the end of each stage ("encode", "invert", "update", "denoise", "decode");
    `singles`: how many single blocks there are.

    One inversion step, two updates, one denoising step: more of the same kind take no more.
    """
    net = models.flux_dev(singles=singles)
    text, pooled = torch.empty(1, 512, 4096, device="meta"), torch.empty(1, 768, device="meta")
    backbone = DiffusersFlux(net, text.to(BF16), pooled.to(BF16), offload=offload)
    if offload:
        in_ram(net)
        rest_to(net, backbone.blocks.values(), "meta")
    model = Model("flux", "flux", backbone, Codec(flux_vae(), FLUX_SHIFT, FLUX_SCALE), SIDE, 16)
    size = Grid(SIDE, SIDE)
    task = models.task(size, models.squares(256, 1, size))
    meter, peaks = Meter(), dict[str, int]()
    for x in (x for m in net.modules() for own in both(m) for x in own.values() if x is not None):
        meter.track(x)

    def stage(name: str) -> None:
        peaks[name] = max(meter.peak, peaks.get(name, 0))
        meter.reset_peak()

    def short(recipe: Recipe, _: Task) -> Recipe:
        stage("encode")
        s, at = recipe.schedule, (0, -1)
        few = Schedule(*(tuple(x[i] for i in at) for x in (s.t, s.alpha, s.sigma)), s.prediction)
        blocks = tuple(b for b in recipe.kv_blocks if b in backbone.blocks)
        return replace(recipe, schedule=few, ramp=((0.5, 1.0),), kv_blocks=blocks)

    def told(step: Step) -> None:
        update = step.stage == "drag" and step.done <= 2
        stage("update" if update else "denoise" if step.stage == "drag" else step.stage)

    with meter:
        image = torch.empty(1, 3, SIDE, SIDE, device="meta")
        run_task(model, image, task, recipe="dragflow", on_step=told, change=short)
    stage("decode")
    return peaks


def pass_peak(backbone: Any, net: Any, shape: tuple[int, ...], taps: tuple[FeatureTap, ...]) -> int:
    """What one forward to the last tap and its backward take, weights left out."""
    z = torch.empty(shape, device="meta", dtype=net.dtype, requires_grad=True)
    meter = Meter()
    meter.weights(net)
    with meter:
        maps, _ = backbone.features(z, 0.5, taps)
        torch.autograd.grad(maps, z, [torch.empty_like(x) for x in maps])
    return meter.peak


def lines() -> Iterator[tuple[str, float, str, float]]:
    for offload, limit in ((False, 40.0), (True, 16.0)):
        peaks = flux_edit(offload)
        name = "with --offload" if offload else "as it is"
        yield f"FLUX.1-dev at {SIDE}x{SIDE}, edit {name}: GB", max(peaks.values()) / 1e9, "<=", limit
        for stage, peak in peaks.items():
            yield f"{name}, {stage}: GB", peak / 1e9, "<=", limit

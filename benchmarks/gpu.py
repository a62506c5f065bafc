"""python -m benchmarks.gpu [sd|flux ...] [--rounds N] [--json FILE]

Time of one update on this machine's GPU, real sizes, random weights: the published loop restated and ours in
turn, the median of 20 rounds. Without a GPU: says so and leaves with status 2.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import models, reference
from benchmarks.clock import Clock, Timing, Way, captured, markdown, plain_update, timings
from benchmarks.meter import flash
from drag_core.backends.diffusers_flux import DiffusersFlux
from drag_core.backends.diffusers_unet import DiffusersUNet
from drag_core.drag import drag
from drag_core.motion.masks import on_grid
from drag_core.recipes.dragflow import dragflow
from drag_core.recipes.dragnext import dragnext
from drag_core.recipes.gooddrag import gooddrag
from drag_core.recipes.recipe import Recipe
from drag_core.trajectory.constrain import HardBackground
from drag_core.types import Backbone, FeatureTap, Grid


def our_update(backbone: Backbone, recipe: Recipe, shape: tuple[int, ...], clock: Clock, like: Tensor) -> Way:
    """The third update of the real loop, from one report to the next."""
    progress = [u for level in recipe.ramp for u in level]
    recipe = replace(recipe, ramp=(tuple(progress[len(progress) // 2 :][:3]),), kv_blocks=())
    path = models.source(recipe, shape, like.dtype, str(like.device))
    for z in path.z[:1]:
        z.normal_()

    def way() -> float:
        marks: list[Any] = []
        drag(backbone, path, recipe, lambda _: marks.append(clock.mark()), pause=True)
        return clock.between(marks[1], marks[2])

    return way


def whole_update(backbone: Backbone, recipe: Recipe, z: Tensor, clock: Clock) -> Way:
    """Features, loss and gradient of a region recipe as one CUDA graph."""
    t, progress = recipe.schedule.t[0], 1.0
    x = z.detach().clone().requires_grad_()
    with torch.no_grad():
        wanted, _ = backbone.features(z, t, recipe.taps)
    plan = recipe.supervision.plan(wanted, (progress,))

    def step() -> Tensor:
        maps, _ = backbone.features(x, t, recipe.taps)
        loss = recipe.supervision.loss(maps, plan, None, progress)
        return torch.autograd.grad(loss, x)[0]

    return plain_update(captured(step, 3).replay, clock)


def sd_work(image: Grid) -> dict[str, float]:
    """TFLOP of an update of every way, counted on meta."""
    net = models.sd15()
    with flash():
        theirs = reference.gooddrag_iteration(net, 12)[0].total()["flops"]
        backbone = DiffusersUNet(net, torch.empty(1, 77, 768, device="meta"))
        ours = {}
        for name, recipe in sd_recipes(image).items():
            _, seen = models.measure(backbone, net, recipe, (1, 4, 64, 64), updates=3)
            ours[name] = seen.counts[2]["flops"]
    work = {
        "GoodDrag restated": theirs,
        **ours,
        "one region, CUDA graph": ours["one region, hard background"],
    }
    return {k: v / 1e12 for k, v in work.items()}


def sd_recipes(image: Grid) -> dict[str, Recipe]:
    hard = HardBackground(on_grid(models.middle(image), Grid(image.height // 8, image.width // 8), 0.5))
    points = {n: gooddrag(models.task(image, handles=models.pairs(n))) for n in (2, 12)}
    region = dragnext(models.task(image, models.squares(image.width // 4, 1, image)))
    return {
        "2 points, exact": points[2],
        "12 points, exact": points[12],
        "12 points, hard background": replace(points[12], constraint=hard),
        "one region, hard background": replace(region, constraint=hard, taps=region.taps[2:3]),
    }


def sd(device: str, dtype: torch.dtype, card: str, rounds: int, net: Any = None) -> list[Timing]:
    image, clock = Grid(512, 512), Clock(device)
    net = models.sd15(device, dtype) if net is None else net
    side = net.config.sample_size
    image = Grid(8 * side, 8 * side)
    shape = (1, 4, side, side)
    like = torch.zeros(shape, device=device, dtype=dtype)
    text = torch.zeros(1, 77, net.config.cross_attention_dim, device=device, dtype=dtype)
    backbone = DiffusersUNet(net, text)
    ways: dict[str, Way] = {}
    for name, recipe in sd_recipes(image).items():
        ways[name] = our_update(backbone, recipe, shape, clock, like)
    if clock.cuda:
        try:
            ways["one region, CUDA graph"] = whole_update(
                backbone, sd_recipes(image)["one region, hard background"], like, clock
            )
        except RuntimeError as error:
            print(f"CUDA graph: {str(error).splitlines()[0]}", file=sys.stderr)
    work = dict.fromkeys([*ways, "GoodDrag restated"], 0.0) if side != 64 else sd_work(image)

    def theirs() -> float:
        loop = reference.GoodDrag(net, 12, device, side)  # with its weight gradients, given back afterwards
        try:
            loop.update()
            before = clock.mark()
            loop.update()
            return clock.between(before, clock.mark())
        finally:
            loop.free()

    return timings({"GoodDrag restated": theirs, **ways}, work, device, card, rounds)


def flux(device: str, dtype: torch.dtype, card: str, rounds: int, net: Any = None) -> list[Timing]:
    clock = Clock(device)
    real = net is None
    net = models.flux_dev(device) if net is None else net
    side = 128 if real else 16
    image, shape = Grid(8 * side, 8 * side), (1, net.config.in_channels // 4, side, side)
    like = torch.zeros(shape, device=device, dtype=dtype)
    text = torch.zeros(1, 512, net.config.joint_attention_dim, device=device, dtype=dtype)
    pooled = torch.zeros(1, net.config.pooled_projection_dim, device=device, dtype=dtype)
    recipe = dragflow(models.task(image, models.squares(image.width // 4, 1, image)), "released")
    if not real:
        last = len(net.transformer_blocks) - 1
        recipe = replace(recipe, taps=tuple(FeatureTap(f"double.{last}", t.site) for t in recipe.taps[:2]))
    ways = {
        "one region": our_update(DiffusersFlux(net, text, pooled), recipe, shape, clock, like),
        "one region, checkpoints": our_update(
            DiffusersFlux(net, text, pooled, checkpoint=True), recipe, shape, clock, like
        ),
    }
    whole = DiffusersFlux(net, text, pooled, checkpoint=True)
    z = like.clone().normal_().requires_grad_()

    def tokens() -> list[Tensor]:
        maps, _ = whole.features(z, recipe.schedule.t[0], recipe.taps, stop=False)
        return [m.flatten(2).transpose(1, 2) for m in maps]

    with torch.no_grad():
        parts = reference.dragflow_parts(tokens(), 2 * side)

    def theirs() -> None:
        """All blocks with checkpoints, the loss on upsampled maps."""
        reference.dragflow_pull(tokens(), *parts, 1).backward()
        z.grad = None

    names = {"DragFlow restated": plain_update(theirs, clock), **ways}
    work = flux_work() if real else dict.fromkeys(names, 0.0)
    return timings(names, work, device, card, rounds)


def flux_work() -> dict[str, float]:
    """TFLOP with 4096 + 512 tokens; the restated loop runs all blocks, its backward 19 of them twice."""
    net = models.flux_dev()
    text, pooled = torch.empty(1, 512, 4096, device="meta"), torch.empty(1, 768, device="meta")
    shape, image = (1, 16, 128, 128), Grid(1024, 1024)
    recipe = dragflow(models.task(image, models.squares(256, 1, image)), "released")
    out = {}
    with flash():
        for name, checkpoint in (("one region", False), ("one region, checkpoints", True)):
            b = DiffusersFlux(net, text.bfloat16(), pooled.bfloat16(), checkpoint=checkpoint)
            _, seen = models.measure(b, net, recipe, shape, torch.bfloat16, updates=3)
            out[name] = seen.counts[2]["flops"] / 1e12
        forward, doubles = (
            models.bare(b, net, recipe.taps, shape, stop, torch.bfloat16, gradient=False)["flops"] / 1e12
            for stop in (False, True)
        )
    out["DragFlow restated"] = out["one region, checkpoints"] + forward - doubles
    return out


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="group", help="sd, flux (both)")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args(argv)
    if not torch.cuda.is_available():
        print("not measured: there is no CUDA device here", file=sys.stderr)
        return 2
    card = torch.cuda.get_device_name()
    found: dict[str, list[Timing]] = {}
    for name in args.groups or ("sd", "flux"):
        make, dtype = {"sd": (sd, torch.float16), "flux": (flux, torch.bfloat16)}[name]
        found[name] = make("cuda", dtype, card, args.rounds)
        torch.cuda.empty_cache()
    print(markdown(card, found))
    if args.json:
        text = json.dumps({"card": card, **{k: [asdict(r) for r in v] for k, v in found.items()}}, indent=1)
        args.json.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""python -m benchmarks.counts [sd15|regions|flux|dragflow|memory|edit|exact ...] [--json FILE]

One line a metric: name, value, limit, ok. Exit status 1 if one misses. Counts only: two runs agree.
"""

from __future__ import annotations

import argparse
import json
import operator
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks import edits, equality, fits, models, reference
from benchmarks.meter import Meter, flash
from drag_core.backends.diffusers_flux import DiffusersFlux
from drag_core.backends.diffusers_unet import DiffusersUNet
from drag_core.block import Block
from drag_core.features.supervise import RegionSupervision
from drag_core.motion.masks import on_grid
from drag_core.recipes.dragflow import KV as FLUX_KV
from drag_core.recipes.dragflow import dragflow
from drag_core.recipes.dragnext import dragnext
from drag_core.recipes.gooddrag import gooddrag
from drag_core.recipes.released import Unpacked
from drag_core.trajectory.constrain import HardBackground
from drag_core.trajectory.kvplan import KVSize
from drag_core.types import Grid

HALF, BF16 = torch.float16, torch.bfloat16
OPS = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}


@dataclass(frozen=True)
class Line:
    metric: str
    value: float
    op: str
    limit: float

    @property
    def ok(self) -> bool:
        return bool(OPS[self.op](self.value, self.limit))


Lines = Iterator[Line]


def near(metric: str, value: float, pinned: float, share: float = 0.002) -> Line:
    """The reference side against its pinned constant: how far it is off."""
    return Line(f"{metric} / {pinned}: off by", abs(value / pinned - 1), "<=", share)


def sd15() -> Lines:
    """One update at 512x512: GoodDrag's loss on up-block 2, DragNeXt's on all four."""
    net = models.sd15()
    image, shape = Grid(512, 512), (1, 4, 64, 64)
    text = torch.empty(1, 77, 768, device="meta")
    theirs = {}
    for points in (2, 12):
        theirs[points], saved = reference.gooddrag_iteration(net, points)
        total = theirs[points].total()
        yield near(f"reference backward GB, {points} points", theirs[points].bytes["backward"] / 1e9,
                   reference.BACKWARD_GB[points])  # fmt: skip
        yield near(f"reference saved MB, {points} points", saved / 1e6, reference.SAVED_MB[points])
        yield near(f"reference GB, {points} points", total["bytes"] / 1e9, reference.ITERATION_GB[points])
    yield near("reference forward GFLOP", theirs[2].flops["forward"] / 1e9, reference.FORWARD)
    yield near("reference backward GFLOP", theirs[2].flops["backward"] / 1e9, reference.BACKWARD)

    backbone = DiffusersUNet(net, text)
    ours = {}
    for points in (2, 12):
        task = models.task(image, handles=models.pairs(points))
        ours[points] = models.measure(backbone, net, gooddrag(task), shape, updates=3 + (points == 12))
    exact, tracked = (ours[12][1].counts[i] for i in (2, 3))  # the fourth update looks for its handles first
    two = ours[2][1].counts[2]
    yield Line("GFLOP an update, exact", exact["flops"] / 1e9, "<=", 1830)
    yield Line(
        "FLOP of the reference's share, exact", exact["flops"] / theirs[12].total()["flops"], "<=", 0.74
    )
    yield Line("GB moved, 12 points", exact["bytes"] / 1e9, "<=", 20.9)
    yield Line("bytes from 2 to 12 points", exact["bytes"] / two["bytes"], "<=", 1.01)
    yield Line("ops from 2 to 12 points", exact["ops"] / two["ops"], "==", 1.0)
    yield Line("host syncs an update", exact["syncs"], "==", 0)
    yield Line("host syncs when handles are looked for", tracked["syncs"], "<=", 1)
    yield Line("KB from the host an update, 12 points", tracked["uploads"] / 1e3, "<=", 64)
    bare = models.bare(backbone, net, gooddrag(task).taps, shape, stop=False)
    yield Line("bytes outside the model, share", 1 - bare["bytes"] / exact["bytes"], "<=", 0.01)
    yield Line("ops outside the model, share", 1 - bare["ops"] / exact["ops"], "<=", 0.05)
    yield Line("live bytes, update 4 - update 2", ours[12][1].live[3] - ours[12][1].live[1], "==", 0)
    yield Line("weight gradient bytes", models.gradient_bytes(net), "==", 0)

    recipe = models.with_constraint(
        gooddrag(task), HardBackground(on_grid(models.middle(image), Grid(64, 64), 0.5))
    )
    _, hard = models.measure(backbone, net, recipe, shape, updates=3)
    yield Line("GFLOP an update, hard background", hard.counts[1]["flops"] / 1e9, "<=", 1335)
    yield Line("ops of an update are constant", hard.counts[2]["ops"] - hard.counts[1]["ops"], "==", 0)

    regions = models.task(image, models.squares(128, 1, image, angle=0.5))
    meter, pull = models.measure(backbone, net, dragnext(regions), shape)
    yield Line("DragNeXt, 3520 channels, turning: GFLOP", pull.counts[1]["flops"] / 1e9, "<=", 1830)
    yield Line("DragNeXt: host syncs an update", max(c["syncs"] for c in pull.counts[1:]), "==", 0)
    yield Line(
        "DragNeXt: KB from the host an update", max(c["uploads"] for c in pull.counts[1:]) / 1e3, "==", 0
    )
    yield Line("DragNeXt: live bytes, update 4 - update 2", pull.live[3] - pull.live[1], "==", 0)

    weights = {4: models.weight_bytes(net) / 1e9}
    same = (weights[4] + ours[2][0].peak / 1e9) / (weights[4] + theirs[2].peak / 1e9)
    yield Line("weights + peak of the reference's, float32, share", same, "<=", 0.6)
    half = net.to(HALF)
    backbone = DiffusersUNet(half, text.to(HALF))
    meter, _ = models.measure(backbone, half, gooddrag(task), shape, HALF, updates=2)
    yield Line("weights + peak GB, exact, fp16", (models.weight_bytes(half) + meter.peak) / 1e9, "<=", 2.7)
    half.enable_gradient_checkpointing()
    meter, _ = models.measure(backbone, half, recipe, shape, HALF, updates=2)
    yield Line("weights + peak GB, hard background, checkpoints, fp16",
               (models.weight_bytes(half) + meter.peak) / 1e9, "<=", 2.0)  # fmt: skip


def regions() -> Lines:
    """The region loss alone, forward and backward, at 512x512, moves; pixels are the 256x256 grid's."""
    image, grid = Grid(512, 512), Grid(256, 256)
    sizes = {1280: [(1280, 16), (1280, 32)], 640: [(640, 64)], 320: [(320, 64)]}
    wide, every = sizes[640], [*sizes[1280], *sizes[640], *sizes[320]]
    theirs = {}
    for (channels, count), pinned in reference.REGION_GB.items():
        maps = models.maps(wide if channels == 640 else every)
        theirs[channels, count] = sum(reference.dragnext_loss(maps, count, 4096).bytes.values())
        yield near(
            f"reference GB, {channels} channels, {count} regions", theirs[channels, count] / 1e9, pinned, 0.01
        )

    def ours(kinds: list[tuple[int, int]], count: int, side: int, progress: float = 0.7) -> Meter:
        supervision = RegionSupervision(models.squares(2 * side, count, image), image, grid, mean="region")
        return models.region_loss(supervision, models.maps(kinds), progress)

    def whole_drag(kinds: list[tuple[int, int]], count: int, side: int) -> int:
        """Ten updates: where a window begins between native cells differs from one to the next."""
        return sum(sum(ours(kinds, count, side, (k + 1) / 10).bytes.values()) for k in range(10))

    one = ours(every, 1, 64)
    yield Line("3520 channels, 1 x 4096 px: reference / ours bytes",
               theirs[3520, 1] / sum(one.bytes.values()), ">=", 12)  # fmt: skip
    yield Line("3520 channels, 1 x 4096 px: extra peak GB", one.peak / 1e9, "<=", 0.1)
    yield Line("640 channels, 4 x 4096 px: reference / ours bytes",
               theirs[640, 4] / sum(ours(wide, 4, 64).bytes.values()), ">=", 12)  # fmt: skip
    for kinds, channels in ((wide, 640), (every, 3520)):
        together = whole_drag(kinds, 1, 128)
        for count, side in ((4, 64), (16, 32)):
            growth = whole_drag(kinds, count, side) / together
            yield Line(f"{channels} channels: bytes, {count} regions / 1 of equal area", growth, "<=", 1.05)


def flux() -> Lines:
    """One update of DragFlow at 1024x1024: 4096 + 512 tokens, bfloat16."""
    net = models.flux_dev()
    image, shape = Grid(1024, 1024), (1, 16, 128, 128)
    text, pooled = torch.empty(1, 512, 4096, device="meta"), torch.empty(1, 768, device="meta")
    recipe = dragflow(models.task(image, models.squares(256, 1, image)), "released")
    for checkpoint, work, held in ((False, 57.5, 8.1), (True, 82.0, 1.4)):
        name = "with checkpoints" if checkpoint else "plain"
        backbone = DiffusersFlux(net, text.to(BF16), pooled.to(BF16), checkpoint=checkpoint)
        meter, seen = models.measure(backbone, net, recipe, shape, BF16, updates=3)
        one = seen.counts[2]
        yield Line(f"TFLOP an update, {name}", one["flops"] / 1e12, "<=", work)
        yield Line(f"peak activations GB, {name}", meter.peak / 1e9, "<=", held)
        yield Line(f"host syncs an update, {name}", one["syncs"], "==", 0)
        yield Line(f"KB from the host an update, {name}", one["uploads"] / 1e3, "<=", 64)
        yield Line(f"live bytes, update 3 - update 2, {name}", seen.live[2] - seen.live[1], "==", 0)
        yield Line(f"weights that an update reads, GB, {name}", meter.used_weight_bytes() / 1e9, "<=", 8.8)
    backbone = DiffusersFlux(net, text.to(BF16), pooled.to(BF16))
    _, seen = models.measure(backbone, net, recipe, shape, BF16, updates=2, kv=True)
    yield Line("TFLOP an update, injected K/V", seen.counts[1]["flops"] / 1e12, "<=", 55.5)
    yield Line("KB from the host an update, injected K/V", seen.counts[1]["uploads"] / 1e3, "<=", 64)
    backbone.constant = backbone.constant[:1]  # the embedding of time alone
    meter, _ = models.measure(backbone, net, recipe, shape, BF16, updates=3)
    read = meter.used_weight_bytes() / 1e9
    yield Line("weights that an update reads without kept modulations, GB", read, "<=", 13.0)
    yield Line("weight gradient bytes", models.gradient_bytes(net), "==", 0)
    kept = models.kv_bytes(backbone, shape, BF16)
    yield Line("K/V of one evaluation, GB", kept / 1e9, "<=", 0.68)
    size = KVSize(kept // 2, 1)
    yield Line("K/V of one evaluation in 8 bit, GB", size.bytes("fp8") / 1e9, "<=", 0.345)
    yield Line("V of one evaluation in 8 bit, GB", size.bytes("v fp8") / 1e9, "<=", 0.173)
    here = models.kv_bytes(
        backbone, shape, BF16, tuple(b for b in FLUX_KV if Block.parse(b).kind == "double")
    )
    yield Line("K/V on the device while updating, GB", here / 1e9, "<=", 0.31)


def dragflow_loss() -> Lines:
    """DragFlow's loss alone at 1024x1024, four token maps read as 2x2 packed on a 256x256 grid."""
    image, grid = Grid(1024, 1024), Grid(256, 256)
    for count, side, share in ((1, 64, 1 / 20), (4, 128, 1 / 8)):
        tokens = [torch.empty(1, 4096, 3072, device="meta", requires_grad=True) for _ in range(4)]
        theirs = reference.dragflow_loss(tokens, count)
        yield near(f"reference GB, {count} regions", sum(theirs.bytes.values()) / 1e9,
                   reference.DRAGFLOW_GB[count], 0.005)  # fmt: skip
        supervision = Unpacked(RegionSupervision(models.apart(count, 4 * side, image), image, grid))
        maps = models.token_maps(BF16)
        ours = models.region_loss(supervision, maps)
        what = f"{count} x {side}x{side} px"
        yield Line(
            f"{what}: bytes, ours / reference",
            sum(ours.bytes.values()) / sum(theirs.bytes.values()),
            "<=",
            share,
        )
        yield Line(f"{what}: extra memory GB", ours.peak / 1e9, "<=", 0.3)


GROUPS: dict[str, Callable[[], Lines]] = {
    "sd15": sd15,
    "regions": regions,
    "flux": flux,
    "dragflow": dragflow_loss,
    "memory": lambda: (Line(*x) for x in fits.lines()),
    "edit": lambda: (Line(*x) for x in edits.lines()),
    "exact": lambda: (Line(*x) for x in equality.lines()),
}


def main(argv: list[str] | None = None, say: Callable[[str], None] = print) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.counts", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="group", help=", ".join(GROUPS))
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args(argv)
    if unknown := [g for g in args.groups if g not in GROUPS]:
        parser.error(f"{unknown[0]} is none of {', '.join(GROUPS)}")
    began, found = time.perf_counter(), []
    torch.set_num_threads(1)  # nothing here is large enough for two, which would wait for each other
    with flash():
        for name in args.groups or GROUPS:
            for line in GROUPS[name]():
                found.append({"group": name, **asdict(line), "ok": line.ok})
                value, verdict = f"{line.value:.4g}", "ok" if line.ok else "MISSED"
                say(f"{name:9s}{line.metric:62s}{value:>10s} {line.op} {line.limit:<8.4g}{verdict}")
    missed = sum(not f["ok"] for f in found)
    say(f"{len(found)} lines, {missed} missed, {time.perf_counter() - began:.0f} s")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())

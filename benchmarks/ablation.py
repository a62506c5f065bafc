"""python -m benchmarks.ablation [FILE] [--cases N] [--table]

DragFlow's steps one by one on the embedded FLUX, on the held-out scenes whose right answer is known. Every
finished drag is a line of FILE (default out/ablation.jsonl): started again it goes on where it was; --table
only prints what is there. DragFlow's fourth step, an adapter, has no version for so small a model.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from drag_core.backends.load import Model, load_model
from drag_core.bench import lines
from drag_core.bench.cases import KINDS, Case, held_out, in_turn, measure
from drag_core.bench.paired import difference
from drag_core.bench.table import no_edit
from drag_core.edit import run_task
from drag_core.features.descent import NormalisedDescent
from drag_core.features.supervise import PointSupervision
from drag_core.recipes.common import linear
from drag_core.recipes.recipe import Recipe
from drag_core.recipes.released import Cleaner, HalfStepAhead
from drag_core.trajectory.constrain import FreeBackground
from drag_core.types import Task

Change = Callable[[Recipe, Task], Recipe]
KV = ("single.0", "single.1")  # the later half, as of FLUX.1's 57 blocks mostly the later ones


def as_published(r: Recipe, task: Task) -> Recipe:
    """50 moving and 20 resting updates at the noisiest level, from the inverted picture itself; the step is
    the best of 0.02 and 0.06 on other scenes.
    """
    return replace(
        r,
        start=None,
        ramp=(linear(50, hold=20),),
        optimizer=partial(NormalisedDescent, lr=0.06),
        update_mask=None,
        settle=0.0,
        kv_blocks=(),
        kv_of="picture",
    )


def region(r: Recipe, task: Task) -> Recipe:
    return replace(as_published(r, task), constraint=FreeBackground())


def point(r: Recipe, task: Task) -> Recipe:
    """DragFlow's baseline: the same features, schedule and step, pulled at the handle (GoodDrag's loss)."""
    supervision = PointSupervision(
        task.handles, task.image, task.grid(2), radius=4, search=12, stride=4.0, preserve=True, factor=81.0
    )
    return replace(region(r, task), supervision=supervision, ramp=((1.0,) * 70,), track_every=1)


def keys(r: Recipe, task: Task) -> Recipe:
    return replace(as_published(r, task), kv_blocks=KV)


def released(r: Recipe, task: Task) -> Recipe:
    """The released code's background, half a step ahead, and its K/V, one level cleaner and of the prompt."""
    return replace(keys(r, task), kv_view=Cleaner, kv_text=True, background=HalfStepAhead())


def ours(r: Recipe, task: Task) -> Recipe:
    return r


def ours_without_keys(r: Recipe, task: Task) -> Recipe:
    return replace(r, kv_blocks=(), kv_of="picture")


def ours_with_keys(r: Recipe, task: Task) -> Recipe:
    return replace(r, kv_blocks=KV, kv_of="picture")


ROWS: dict[str, Change | None] = {
    "no edit": None,
    "points": point,
    "regions": region,
    "regions, background": as_published,
    "regions, background, K/V": keys,
    "the same as released": released,
    "our start, background": ours_without_keys,
    "our start, background, K/V": ours_with_keys,
    "our start, background, the draft's K/V": ours,
}
# DragFlow's table 3, a step each: what the second row adds to the first
STEPS = (
    ("points", "regions"),
    ("regions", "regions, background"),
    ("regions, background", "regions, background, K/V"),
    ("our start, background", "our start, background, the draft's K/V"),
)
Found = dict[tuple[str, int], dict[str, float]]


def read(file: Path) -> Found:
    return {(d.pop("row"), d.pop("seed")): d for d in lines.read(file)}


def one(model: Model, change: Change | None, case: Case) -> dict[str, float]:
    began = time.perf_counter()
    image = case.source[None]
    if change is None:
        picture = no_edit(model, image)
    else:
        picture = run_task(model, image, case.task, recipe="dragflow", change=change)[1]
    return measure(picture[0], case) | {"seconds": time.perf_counter() - began}


def run(file: Path, cases: list[Case], rows: dict[str, Change | None] = ROWS) -> None:
    model, done = load_model("embedded-flux"), read(file)
    for case in in_turn(cases):
        for row, change in rows.items():
            if (row, case.seed) not in done:
                numbers = one(model, change, case)
                lines.append(file, {"row": row, "seed": case.seed, **numbers})
        print(f"{case.kind} {case.seed}", file=sys.stderr, flush=True)


def mean(found: Found, row: str, cases: list[Case], column: str) -> float:
    values = [found[row, c.seed][column] for c in cases if (row, c.seed) in found]
    values = [v for v in values if not math.isnan(v)]
    return sum(values) / len(values) if values else math.nan


def table(found: Found, drawn: list[Case], say: Callable[[str], None] = print) -> None:
    """Markdown: moves by place and what they leave, turns and stretches by how the object looks, all by their
    background; dB against the exact result. Means over the scenes that every row has.
    """
    cases = [c for c in drawn if all((row, c.seed) in found for row in ROWS)]
    counts = ", ".join(f"{sum(c.kind == k for c in cases)} {k}" for k in KINDS)
    say(f"{len(cases)} of {len(drawn)} scenes ({counts}), finished in every row:\n")
    kind = {k: [c for c in cases if c.kind == k] for k in KINDS}
    say("| | move: px off | move: object dB | move: vacated dB | turn: object dB | stretch: object dB | "
        "background dB |")  # fmt: skip
    say("|---|---|---|---|---|---|---|")
    for row in ROWS:
        cells = [
            mean(found, row, kind["move"], "centroid"),
            mean(found, row, kind["move"], "target"),
            mean(found, row, kind["move"], "vacated"),
            mean(found, row, kind["rotate"], "target"),
            mean(found, row, kind["deform"], "target"),
            mean(found, row, cases, "background"),
        ]
        say(f"| {row} | " + " | ".join("–" if math.isnan(c) else f"{c:.1f}" for c in cells) + " |")
    say("\nWhat a step adds, with its 95 % interval over the scenes, and in how many it rises:\n")
    for before, after in ((a, b) for a, b in STEPS if a in ROWS and b in ROWS):
        parts = list[str]()
        for name, column, over in (
            ("px off", "centroid", kind["move"]),
            ("object dB", "target", cases),
            ("background dB", "background", cases),
        ):
            gained = [found[after, c.seed][column] - found[before, c.seed][column] for c in over]
            parts.append(f"{name} {difference(gained)}")
        say(f"- {before} → {after}: {'; '.join(parts)}")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=Path("out/ablation.jsonl"))
    parser.add_argument("--cases", type=int, default=8, help="scenes of each kind")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    args = parser.parse_args(argv)
    cases = held_out(args.cases)
    if not args.table:
        run(args.file, cases)
    table(read(args.file), cases)
    return 0


if __name__ == "__main__":
    sys.exit(main())

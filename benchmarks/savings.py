"""python -m benchmarks.savings [--cases N]

What saving work costs where the right answer is known: the held-out scenes of `python -m drag_core table` on
the embedded models, with the recipes' ways to be done sooner. Work is counted in FLOPs, inversions included.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch

from benchmarks.meter import Meter
from drag_core.backends.load import Model, load_model
from drag_core.bench.cases import KINDS, Case, held_out, measure
from drag_core.edit import run_task
from drag_core.recipes.fast import fast
from drag_core.recipes.recipe import Recipe
from drag_core.types import Task

Change = Callable[[Recipe, Task], Recipe]


def longer(recipe: Recipe, task: Task, settle: float = 0.0) -> Recipe:
    """Twenty updates a level instead of three or four, so that there is a plateau."""
    return replace(recipe, ramp=((1.0,) * 20,) * len(recipe.ramp), settle=settle)


def as_it_is(recipe: Recipe, task: Task) -> Recipe:
    return recipe


def start_only(recipe: Recipe, task: Task) -> Recipe:
    return replace(recipe, ramp=())


ROWS: tuple[tuple[str, str, str, Change], ...] = tuple(
    (model, recipe, name, change)
    for model, recipe, steps in (("embedded-sd", "dragnext", 10), ("embedded-flux", "dragflow", 8))
    for name, change in (
        ("the recipe", as_it_is),
        ("20 updates a level", longer),
        ("the same, ends when settled (1 %)", partial(longer, settle=0.01)),
        (f"fast: {steps} steps, 12 updates", partial(fast, steps=steps)),
        (f"fast: {steps} steps, 6 updates", partial(fast, steps=steps, updates=6)),
        ("start only", start_only),
    )
)


@dataclass(frozen=True)
class Outcome:
    centroid: float
    vacated: float
    background: float
    gflop: float
    updates: float


def run(model: Model, recipe: str, change: Change, cases: list[Case]) -> Outcome:
    rows = []
    for case in cases:
        meter = Meter("cpu")
        with meter:
            result, picture = run_task(model, case.source[None], case.task, recipe=recipe, change=change)
        m = measure(picture[0], case)
        work = meter.total()["flops"] / 1e9
        rows.append((m["centroid"], m["vacated"], m["background"], work, float(len(result.losses))))
    columns = ([v for v in column if not math.isnan(v)] for column in zip(*rows, strict=True))
    return Outcome(*(sum(c) / len(c) if c else math.nan for c in columns))


def table(
    cases: list[Case],
    say: Callable[[str], None] = print,
    rows: tuple[tuple[str, str, str, Change], ...] = ROWS,
) -> None:
    say("| model | way | centroid error px | vacated dB | background dB | updates | GFLOP | work |")
    say("|---|---|---|---|---|---|---|---|")
    whole: dict[str, float] = {}
    for name, recipe, way, change in rows:
        o = run(load_model(name), recipe, change, cases)
        share = o.gflop / whole.setdefault(name, o.gflop)
        say(
            f"| {name} | {way} | {o.centroid:.2f} | {o.vacated:.1f} | {o.background:.1f} | {o.updates:.0f} | "
            f"{o.gflop:.0f} | {share:.2f} |"
        )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.savings", description=__doc__)
    parser.add_argument("--cases", type=int, default=2, help="scenes of each kind")
    parser.add_argument("--kinds", default=",".join(KINDS))
    args = parser.parse_args(argv)
    torch.manual_seed(0)
    table([c for c in held_out(args.cases) if c.kind in args.kinds.split(",")])
    return 0


if __name__ == "__main__":
    sys.exit(main())

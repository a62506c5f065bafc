"""python -m benchmarks.presets embedded-sd|embedded-flux [--scenes N] [--steps X ...] [--strengths X ...]

Tunes what the recipes for regions of the embedded models are run with, on development scenes alone: step and
strength are tried against each other, with the preset's number of updates. For each: dB at the target and in
the whole editable area by kind of edit, and the paired difference from the recipe's own start.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from benchmarks.measures import measured
from drag_core.backends.load import load_model
from drag_core.bench.lit.cases import LIT_KINDS, lit_cases
from drag_core.bench.paired import difference
from drag_core.bench.scenes import DEVELOPMENT
from drag_core.edit import run_task
from drag_core.recipes.choice import default_recipe
from drag_core.recipes.presets import PRESETS, Preset
from drag_core.trajectory.schedules import ddim, flow
from drag_core.types import Schedule

COLUMNS = ("target", "edited")


def schedule(name: str, strength: float) -> Schedule:
    """The preset's number of steps, inverted up to `strength` of them."""
    if name == "embedded-sd":
        return ddim(50, strength)
    return flow(25, skip=25 - round(25 * strength), shift=0.5)


@contextmanager
def preset(name: str, step: float, strength: float) -> Iterator[Preset]:
    """Puts another step and strength in the preset's place for the time of a drag."""
    usual = PRESETS[name]
    levels = schedule(name, strength)
    fewer = min(usual.levels, len(levels.t) - 1)
    updates = -(-usual.levels * usual.updates // fewer)  # as many in all, or a few more
    changed = replace(usual, step=step, schedule=levels, levels=fewer, updates=updates)
    PRESETS[name] = changed
    try:
        yield changed
    finally:
        PRESETS[name] = usual


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.presets", description=__doc__)
    parser.add_argument("model", choices=tuple(PRESETS))
    parser.add_argument("--scenes", type=int, default=6, help="of each kind of edit")
    parser.add_argument("--steps", type=float, nargs="+")
    parser.add_argument("--strengths", type=float, nargs="+")
    args = parser.parse_args(argv)
    model, usual = load_model(args.model), PRESETS[args.model]
    recipe, cases = default_recipe(model.family), lit_cases(args.scenes, DEVELOPMENT)
    steps = args.steps or [usual.step * k for k in (1.0, 0.5, 0.25, 0.125)]
    strengths = args.strengths or [0.4 if args.model == "embedded-sd" else 0.36]
    print(f"{recipe} on {args.model}, {len(cases)} development scenes; kinds: {', '.join(LIT_KINDS)}")
    print(
        "| strength | step | updates | target by kind | edited by kind | against the start: target | edited |"
    )
    print("|---|---|---|---|---|---|---|")
    for strength in strengths:
        starts = []
        with preset(args.model, usual.step, strength):
            for case in cases:
                image = case.source[None]
                _, picture = run_task(model, image, case.task, recipe=recipe, updates=False)
                starts.append(measured(picture[0], case))
        for step in steps:
            found = []
            with preset(args.model, step, strength) as p:
                for case in cases:
                    _, picture = run_task(model, case.source[None], case.task, recipe=recipe)
                    found.append(measured(picture[0], case))
            by_kind: dict[str, list[float]] = {c: [] for c in COLUMNS}
            for kind in LIT_KINDS:
                mine = [n for n, case in zip(found, cases, strict=True) if case.kind == kind]
                for c in COLUMNS:
                    by_kind[c].append(sum(n[c] for n in mine) / len(mine))
            shown = [" ".join(f"{v:.2f}" for v in by_kind[c]) for c in COLUMNS]
            gains = [
                str(difference([b[c] - a[c] for a, b in zip(starts, found, strict=True)])) for c in COLUMNS
            ]
            cells = (f"{strength:g}", f"{step:g}", str(p.levels * p.updates), *shown, *gains)
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

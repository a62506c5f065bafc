"""python -m benchmarks.warps [--scenes N] [--first SEED]

Drafts of development lit scenes (N of each kind of edit) against the truth, no model: the shadow that is
found put at the target against one that only leaves; and by which field several points alone carry what may
change.
Mean dB of what may change, and paired differences with their 95 % intervals.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from torch import Tensor

from drag_core.bench.cases import Case
from drag_core.bench.lit.cases import LIT_KINDS, lit_cases
from drag_core.bench.paired import difference
from drag_core.bench.scenes import DEVELOPMENT
from drag_core.metrics.region import psnr
from drag_core.motion.exchange import handles_of
from drag_core.motion.field import Form
from drag_core.motion.shadow import with_shadow
from drag_core.pictures.draft import Field, draft_of
from drag_core.types import Handle

FIELDS: tuple[tuple[Form, float], ...] = (
    ("rigid", 2.0),
    ("rigid", 1.5),
    ("rigid", 1.0),
    ("similarity", 2.0),
    ("similarity", 1.0),
)


def edited(picture: Tensor, case: Case) -> float:
    return psnr(picture, case.truth, case.editable)


def shadows(cases: list[Case]) -> None:
    """Prints what a moved shadow adds: over all scenes, and over those where one is found, by kind."""
    gains: dict[str, list[float]] = {"all": []}
    for case in cases:
        task, _ = with_shadow(case.task, case.source)
        moved, left = (edited(draft_of(case.source, task, shadows=s).picture, case) for s in (True, False))
        gains["all"].append(moved - left)
        if task.shadow is not None:
            gains.setdefault("where one is found", []).append(moved - left)
            gains.setdefault(case.kind, []).append(moved - left)
    for name, values in gains.items():
        print(f"shadow at the target, {name}: {difference(values)}", flush=True)


def points(case: Case) -> tuple[Handle, ...]:
    """Picks the thing's middle and four points of its outline."""
    return tuple(replace(h, region=None) for h in handles_of(case.task.regions[0], 4))


def fields(cases: list[Case]) -> None:
    """Prints how near the truth the points alone bring the picture, by the field between them."""
    first: list[float] = []
    for form, power in FIELDS:
        found = []
        for case in cases:
            task = replace(case.task, regions=(), handles=points(case))
            found.append(edited(draft_of(case.source, task, field=Field(form, power)).picture, case))
        first = first or found
        gain = difference([b - a for a, b in zip(first, found, strict=True)])
        print(f"{form}, power {power}: {sum(found) / len(found):.2f} dB; {gain}", flush=True)


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.warps", description=__doc__)
    parser.add_argument("--scenes", type=int, default=6, help="of each kind of edit")
    parser.add_argument("--first", type=int, default=DEVELOPMENT, help="the first scene's seed")
    args = parser.parse_args(argv)
    cases = lit_cases(args.scenes, args.first)
    print(f"{len(cases)} development scenes, {', '.join(LIT_KINDS)}")
    shadows(cases)
    fields(cases)


if __name__ == "__main__":
    main(sys.argv[1:])

"""python -m benchmarks.orderings [FILE] [--scenes N] [--table] [--readme]

What the papers say is better, on held-out lit scenes (N of each kind) with the embedded models: each claim as
the paired difference of two rows that differ by that part alone, with its 95 % interval. Rows of DragFlow are
those of benchmarks.ablation, of the others those of benchmarks.sd; both set out from the inverted picture. A
finished drag is a line of FILE (default out/orderings.jsonl): started again it goes on; --table only prints;
--readme puts the table into the README, too.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import ablation, sd
from benchmarks.measures import measured
from benchmarks.page import put
from drag_core.backends.load import Model, load_model
from drag_core.bench import lines
from drag_core.bench.cases import Case, in_turn
from drag_core.bench.lit.cases import LIT_KINDS, lit_cases
from drag_core.bench.paired import Difference, difference
from drag_core.edit import run_task
from drag_core.motion.areas import editable_cells
from drag_core.recipes.recipe import Recipe
from drag_core.trajectory.constrain import SoftBackground
from drag_core.types import Task

FILE = Path("out/orderings.jsonl")
COMMAND = "python -m benchmarks.orderings"
WEIGHT = 0.1  # of the soft background: DragDiffusion's, which DragFlow compares with


@dataclass(frozen=True)
class Claim:
    """`first` is better than `second`, says the paper."""

    paper: str
    says: str
    first: str
    second: str


CLAIMS = (
    Claim("DragFlow", "regions over points", "regions", "points"),
    Claim("DragFlow", "hard over soft background", "regions, background", "regions, soft background"),
    Claim("DragFlow", "K/V of the picture over none", "regions, background, K/V", "regions, background"),
    Claim("this pack", "a draft as the start", "our start, background", "regions, background"),
    Claim("GoodDrag", "over DragDiffusion", "gooddrag", "dragdiffusion"),
    Claim("GoodDrag", "alternation", "gooddrag", "gooddrag without alternation"),
    Claim("GoodDrag", "information preservation", "gooddrag", "gooddrag without information preservation"),
    Claim("AdaptiveDrag", "over DragDiffusion", "adaptivedrag", "dragdiffusion"),
    Claim("AdaptiveDrag", "CLoss", "adaptivedrag", "adaptivedrag without CLoss"),
    Claim("DragNeXt", "over GoodDrag", "dragnext", "gooddrag"),
    Claim("DragNeXt", "intermediate states", "dragnext", "dragnext without intermediate states"),
)
# column -> what it is called, and whether less is better
COLUMNS = {
    "centroid": ("place px (moves)", True),
    "target": ("target dB", False),
    "edited": ("edited dB", False),
    "background": ("background dB", False),
}
Found = dict[tuple[str, int], dict[str, float]]


def soft(r: Recipe, task: Task) -> Recipe:
    """DragFlow's regions with the background in the loss, in place of the hard constraint."""
    return replace(ablation.region(r, task), constraint=SoftBackground(editable_cells(task), WEIGHT))


FLUX: dict[str, ablation.Change] = {
    "points": ablation.point,
    "regions": ablation.region,
    "regions, soft background": soft,
    "regions, background": ablation.as_published,
    "regions, background, K/V": ablation.keys,
    "our start, background": ablation.ours_without_keys,
}
ROWS = tuple(dict.fromkeys(row for claim in CLAIMS for row in (claim.first, claim.second)))


def one(row: str, flux: Model, ready: sd.Ready, case: Case) -> dict[str, float]:
    if row in FLUX:
        picture = run_task(flux, case.source[None], case.task, recipe="dragflow", change=FLUX[row])[1][0]
    else:
        picture = sd.dragged(ready, case, row)[0]
    numbers = measured(picture, case)
    return {c: numbers[c] for c in COLUMNS}


def run(file: Path, cases: list[Case]) -> None:
    """Draws what is not drawn yet."""
    done = read(file)
    small, flux = load_model("embedded-sd"), load_model("embedded-flux")
    for case in in_turn(cases):
        left = [row for row in ROWS if (row, case.seed) not in done]
        if not left:
            continue
        ready = sd.prepare(small, case)
        for row in left:
            numbers = one(row, flux, ready, case)
            lines.append(file, {"row": row, "kind": case.kind, "seed": case.seed, **numbers})
        print(f"{case.kind} {case.seed}", file=sys.stderr, flush=True)


def read(file: Path) -> Found:
    return {(d["row"], d["seed"]): d for d in lines.read(file)}


def gain(found: Found, claim: Claim, column: str) -> Difference:
    """By how much `first` is better over the scenes that both have; above 0: the claim holds."""
    better = -1.0 if COLUMNS[column][1] else 1.0
    values = []
    for (row, seed), a in found.items():
        b = found.get((claim.second, seed))
        if row == claim.first and b is not None and (column != "centroid" or a["kind"] == "move"):
            values.append(better * (a[column] - b[column]))
    return difference(values)


def verdict(d: Difference) -> str:
    """Says by the interval whether a claim holds."""
    if math.isnan(d.mean):
        return "not run"
    return "holds" if d.low > 0 else "reversed" if d.high < 0 else "open"


def table(found: Found, say: Callable[[str], None] = print) -> None:
    """Prints each claim's gains and whether it holds, by the target or the background where it is of that."""
    heads = [name for name, _ in COLUMNS.values()]
    say(f"| paper | says | {' | '.join(heads)} | so |")
    say("|---" * (len(COLUMNS) + 3) + "|")
    for claim in CLAIMS:
        gains = {c: gain(found, claim, c) for c in COLUMNS}
        cells = [str(d) for d in gains.values()]
        by = "background" if "background" in claim.says else "target"
        say(f"| {claim.paper} | {claim.says} | {' | '.join(cells)} | {verdict(gains[by])} |")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orderings", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--scenes", type=int, default=8, help=f"of each kind ({', '.join(LIT_KINDS)})")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    parser.add_argument("--readme", action="store_true", help="put it into the README, too")
    args = parser.parse_args(argv)
    if not args.table:
        run(args.file, lit_cases(args.scenes))
    said: list[str] = []
    table(read(args.file), said.append)
    print("\n".join(said))
    if args.readme:
        put(COMMAND, said)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What `benchmarks.sd` found, as a table: means over the scenes, and the papers' orderings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from drag_core.bench.paired import Difference, difference

Records = list[dict[str, Any]]  # a line of benchmarks.sd run each
COLUMNS = ("centroid", "target", "background", "dai", "updates")
# what the papers say: the first is better than the second in the column (True: lower is better)
ORDERINGS = (
    ("gooddrag", "dragdiffusion", "GoodDrag over DragDiffusion"),
    ("gooddrag", "gooddrag without information preservation", "information preservation"),
    ("gooddrag", "gooddrag without alternation", "alternation"),
    ("adaptivedrag", "dragdiffusion", "AdaptiveDrag over DragDiffusion"),
    ("adaptivedrag", "adaptivedrag without CLoss", "CLoss"),
    (
        "adaptivedrag",
        "adaptivedrag without information preservation",
        "AdaptiveDrag's information preservation",
    ),
    ("dragnext", "gooddrag", "DragNeXt over GoodDrag"),
    ("dragnext", "dragnext without intermediate states", "intermediate states"),
    ("dragnext at 3 timesteps", "dragnext at 1 timesteps", "3 timesteps over 1"),
    ("dragnext at 5 timesteps", "dragnext at 3 timesteps", "5 timesteps over 3"),
    ("dragnext at 7 timesteps", "dragnext at 5 timesteps", "7 timesteps over 5"),
)
BETTER = (("centroid", True), ("target", False), ("dai", True))


def averages(records: Records, row: str, lora: bool) -> dict[str, float]:
    """Means over the scenes that count in each column."""
    mine = [r for r in records if r["row"] == row and r["lora"] == lora]
    out = {"scenes": float(len(mine))}
    for column in COLUMNS:
        known = [float(r[column]) for r in mine if counts(r, column)]
        out[column] = sum(known) / len(known) if known else math.nan
    return out


def both(
    records: Records, first: tuple[str, bool], second: tuple[str, bool]
) -> tuple[dict[str, float], dict[str, float]]:
    """The averages of two rows over the scenes that both have."""
    has = [{r["seed"] for r in records if (r["row"], r["lora"]) == key} for key in (first, second)]
    shared = [r for r in records if r["seed"] in has[0] & has[1]]
    return averages(shared, *first), averages(shared, *second)


def wins(
    records: Records,
    first: tuple[str, bool],
    second: tuple[str, bool],
    column: str,
    lower: bool,
) -> list[bool]:
    """For each scene that counts in this column: whether `first` is better there."""
    a, b = (
        {r["seed"]: r[column] for r in records if (r["row"], r["lora"]) == key and counts(r, column)}
        for key in (first, second)
    )
    return [bool(a[k] < b[k]) if lower else bool(a[k] > b[k]) for k in a.keys() & b.keys()]


def gained(records: Records, first: tuple[str, bool], second: tuple[str, bool], column: str) -> Difference:
    """The first minus the second over the scenes that count in both, with its 95 % interval."""
    a, b = (
        {r["seed"]: r[column] for r in records if (r["row"], r["lora"]) == key and counts(r, column)}
        for key in (first, second)
    )
    return difference([a[k] - b[k] for k in a if k in b])


def counts(record: dict[str, Any], column: str) -> bool:
    """The centroid counts in moves alone, where it shows the drag."""
    return record[column] is not None and (column != "centroid" or record["kind"] == "move")


def table(records: Records, rows: Iterable[str], say: Callable[[str], None] = print) -> None:
    """Prints the table and the orderings, from what was found."""
    found = {
        (row, lora): averages(records, row, lora)
        for lora in (False, True)
        for row in rows
        if any(r["row"] == row and r["lora"] == lora for r in records)
    }
    say("| method | LoRA | centroid error px | target dB | background dB | DAI x 1000 | updates | scenes |")
    say("|---|---|---|---|---|---|---|---|")
    for (row, lora), m in found.items():
        say(
            f"| {row} | {'yes' if lora else 'no'} | {m['centroid']:.1f} | {m['target']:.2f} | "
            f"{m['background']:.1f} | {1000 * m['dai']:.0f} | {m['updates']:.0f} | {m['scenes']:.0f} |"
        )
    say("")
    for lora in (False, True):
        for better, worse, what in ORDERINGS:
            if (better, lora) in found and (worse, lora) in found:
                a, b = both(records, (better, lora), (worse, lora))
                parts = []
                for column, lower in BETTER:
                    verdict = "holds" if (a[column] < b[column]) == lower else "does not hold"
                    won = wins(records, (better, lora), (worse, lora), column, lower)
                    parts.append(f"{column} {verdict} ({sum(won)} of {len(won)})")
                say(f"- {what}{' (with LoRA)' if lora else ''}: {', '.join(parts)}")
    say("")
    for better, worse, _ in ORDERINGS:
        if (better, False) in found and (worse, False) in found:
            cells = [f"{c} {gained(records, (better, False), (worse, False), c)}" for c, _ in BETTER]
            say(f"- {better} minus {worse}: {'; '.join(cells)}")
    say("")
    for row in rows:
        if (row, False) in found and (row, True) in found:
            a, b = both(records, (row, True), (row, False))
            won = [wins(records, (row, True), (row, False), c, lower) for c, lower in BETTER]
            scenes = [f"({sum(w)} of {len(w)})" for w in won]
            say(
                f"- LoRA on {row}: centroid {a['centroid'] - b['centroid']:+.1f} px {scenes[0]}, target "
                f"{a['target'] - b['target']:+.2f} dB {scenes[1]}, "
                f"DAI {1000 * (a['dai'] - b['dai']) + 0.0:+.1f} {scenes[2]}"
            )

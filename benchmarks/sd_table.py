"""What `benchmarks.sd` found, as the README's table: means over the scenes, and the papers' orderings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
MARKS = ("<!-- python -m benchmarks.sd readme -->", "<!-- end -->")
COLUMNS = ("centroid", "target", "background", "dai", "updates")
# what the papers say: the first is better than the second in the column (True: lower is better)
ORDERINGS = (
    ("gooddrag", "dragdiffusion", "GoodDrag over DragDiffusion"),
    ("gooddrag", "gooddrag without information preservation", "information preservation"),
    ("gooddrag", "gooddrag without alternation", "alternation"),
    ("adaptivedrag", "dragdiffusion", "AdaptiveDrag over DragDiffusion"),
    ("adaptivedrag", "adaptivedrag without CLoss", "CLoss"),
    ("dragnext", "gooddrag", "DragNeXt over GoodDrag"),
    ("dragnext", "dragnext without intermediate states", "intermediate states"),
)
BETTER = (("centroid", True), ("target", False), ("dai", True))


def averages(records: list[dict[str, object]], row: str, lora: bool) -> dict[str, float]:
    """Means over the scenes; the centroid over the moves alone, where it shows the drag."""
    mine = [r for r in records if r["row"] == row and r["lora"] == lora]
    out = {"scenes": float(len(mine))}
    for column in COLUMNS:
        values = [r[column] for r in mine if column != "centroid" or r["kind"] == "move"]
        known = [float(v) for v in values if isinstance(v, (int, float))]
        out[column] = sum(known) / len(known) if known else math.nan
    return out


def both(
    records: list[dict[str, object]], first: tuple[str, bool], second: tuple[str, bool]
) -> tuple[dict[str, float], dict[str, float]]:
    """The averages of two rows over the scenes that both have."""
    has = [{r["seed"] for r in records if (r["row"], r["lora"]) == key} for key in (first, second)]
    shared = [r for r in records if r["seed"] in has[0] & has[1]]
    return averages(shared, *first), averages(shared, *second)


def table(records: list[dict[str, object]], rows: Iterable[str], say: Callable[[str], None] = print) -> None:
    """The README's table and the orderings, from what was found."""
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
                parts = [
                    f"{c} {'holds' if (a[c] < b[c]) == lower else 'does not hold'}" for c, lower in BETTER
                ]
                say(f"- {what}{' (with LoRA)' if lora else ''}: {', '.join(parts)}")
    for row in rows:
        if (row, False) in found and (row, True) in found:
            a, b = both(records, (row, True), (row, False))
            say(
                f"- LoRA on {row}: centroid {a['centroid'] - b['centroid']:+.1f} px, target "
                f"{a['target'] - b['target']:+.2f} dB, DAI {1000 * (a['dai'] - b['dai']) + 0.0:+.1f}"
            )


def readme(records: list[dict[str, object]], rows: Iterable[str], path: Path = README) -> None:
    """Puts the table between the marks of the README."""
    lines: list[str] = []
    table(records, rows, lines.append)
    text = path.read_text(encoding="utf-8")
    before, after = text.split(MARKS[0])[0], text.split(MARKS[1])[1]
    path.write_text(f"{before}{MARKS[0]}\n" + "\n".join(lines) + f"\n{MARKS[1]}{after}", encoding="utf-8")

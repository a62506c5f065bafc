"""What `benchmarks.quality` drew, as tables by kind, paired differences and bars."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.measures import COLUMNS
from drag_core.bench.paired import Difference, difference

Records = list[dict[str, Any]]
WARP, WARP_AE = "pixel warp + inpainting", "the same through the autoencoder"
# the recipes that "auto" takes for regions -> what they start from
STARTS = {
    "dragnext (embedded-sd)": "start only (embedded-sd)",
    "dragflow (embedded-flux)": "start only (embedded-flux)",
}
HEADS = {
    "target": "target dB",
    "vacated": "vacated dB",
    "edited": "edited dB",
    "background": "background dB",
    "ssim": "SSIM",
    "centroid": "place px",
    "angle": "turn deg",
    "shadow": "shadow left",
    "calls": "calls",
    "seconds": "s",
}
DIGITS = {"ssim": 3, "shadow": 2, "calls": 0}


@dataclass(frozen=True)
class Bar:
    """The least mean that a column must have over the lit scenes of one kind ("": of all)."""

    column: str
    kind: str
    least: float


# The issue's: with the first models and the paste start 20.4, 19.4, 19.2, 15.5 dB at the target
BARS = (
    Bar("target", "move", 26.0),
    Bar("target", "scale", 25.5),
    Bar("target", "turn", 23.5),
    Bar("target", "part", 20.5),
    Bar("background", "", 38.0),
)


def mean(values: list[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else math.nan


def chosen(records: Records, row: str, scenes: str, kind: str = "") -> Records:
    return [r for r in records if (r["row"], r["scenes"]) == (row, scenes) and kind in ("", r["kind"])]


def paired(records: Records, first: str, second: str, column: str, kind: str = "") -> Difference:
    """Second minus first over the lit scenes that both have."""
    a, b = (
        {(r["kind"], r["seed"]): float(r[column]) for r in chosen(records, row, "lit", kind)}
        for row in (first, second)
    )
    return difference([b[k] - a[k] for k in a if k in b])


def names(records: Records) -> list[str]:
    return list(dict.fromkeys(r["row"] for r in records))


def kinds(records: Records) -> list[tuple[str, str]]:
    return list(dict.fromkeys((r["scenes"], r["kind"]) for r in records))


def short(records: Records, say: Callable[[str], None] = print) -> None:
    """Prints the lit scenes in short: dB at the target by kind of edit, and what matters in all of them."""
    lit = [kind for scenes, kind in kinds(records) if scenes == "lit"]
    rest = ("vacated", "edited", "background", "calls", "seconds")
    count = max((len(chosen(records, row, "lit")) for row in names(records)), default=0)
    say(f"| method | target dB: {' | '.join(lit)} | {' | '.join(HEADS[c] for c in rest)} |")
    say("|---" * (len(lit) + len(rest) + 1) + "|")
    for row in names(records):
        values = [("target", chosen(records, row, "lit", kind)) for kind in lit]
        values += [(c, chosen(records, row, "lit")) for c in rest]
        if any(mine for _, mine in values):
            cells = [f"{mean([float(r[c]) for r in mine]):.{DIGITS.get(c, 1)}f}" for c, mine in values]
            few = "" if len(values[-1][1]) == count else f", {len(values[-1][1])} scenes"
            say(f"| {row}{few} | {' | '.join(cells)} |")


def show(records: Records, say: Callable[[str], None] = print) -> list[str]:
    """Prints everything and returns the bars that are missed."""
    columns = (*COLUMNS, "calls", "seconds")
    for scenes, kind in kinds(records):
        count = max(len(chosen(records, row, scenes, kind)) for row in names(records))
        say(f"\n**{scenes} scenes, {kind}** ({count})\n")
        say(f"| method | {' | '.join(HEADS[c] for c in columns)} |")
        say("|---" * (len(columns) + 1) + "|")
        for row in names(records):
            if mine := chosen(records, row, scenes, kind):
                means = [(c, mean([float(r[c]) for r in mine])) for c in columns]
                cells = ["–" if math.isnan(v) else f"{v:.{DIGITS.get(c, 1)}f}" for c, v in means]
                few = "" if len(mine) == count else f", {len(mine)} scenes"
                say(f"| {row}{few} | {' | '.join(cells)} |")
    say("")
    for line in comparisons(records):
        say(line)
    say("")
    missed = []
    for text, holds in checks(records):
        say(f"{text}: {'ok' if holds else 'MISSED'}")
        missed += [] if holds else [text]
    return missed


def comparisons(records: Records) -> list[str]:
    """The paired differences that matter on lit scenes; mean [95 % interval], scenes where it rises."""
    here, out = names(records), ["Paired, lit scenes (second minus first, dB):"]
    lit = [kind for scenes, kind in kinds(records) if scenes == "lit"]
    for recipe, start in STARTS.items():
        of = [(start, c) for c in ("target", "vacated", "edited")]
        of += [(WARP_AE, "target"), (WARP_AE, "edited"), (WARP, "edited")]
        for first, column in of:
            if first in here and recipe in here:
                by_kind = "; ".join(f"{k} {paired(records, first, recipe, column, k)}" for k in lit)
                whole = paired(records, first, recipe, column)
                out.append(f"- {first} -> {recipe}, {column}: {whole} ({by_kind})")
    bare, looking = "dragflow without K/V (embedded-flux)", "dragflow (embedded-flux)"
    if bare in here and looking in here:
        for column in ("target", "edited"):
            out.append(f"- {bare} -> {looking}, {column}: {paired(records, bare, looking, column)}")
    for row in (r for r in here if r.startswith("finish")):
        for column in ("vacated", "edited"):
            by_kind = "; ".join(f"{k} {paired(records, WARP, row, column, k)}" for k in lit)
            out.append(f"- {WARP} -> {row}, {column}: {paired(records, WARP, row, column)} ({by_kind})")
    for row in STARTS.values():
        if row in here and WARP_AE in here:
            for column in ("vacated", "edited"):
                out.append(f"- {WARP_AE} -> {row}, {column}: {paired(records, WARP_AE, row, column)}")
    return out


def checks(records: Records) -> list[tuple[str, bool]]:
    """Each bar as a sentence, and whether it holds."""
    out = []
    for recipe, start in ((r, s) for r, s in STARTS.items() if chosen(records, r, "lit")):
        for bar in BARS:
            if not (mine := chosen(records, recipe, "lit", bar.kind)):
                continue
            value = mean([float(r[bar.column]) for r in mine])
            where = f"{bar.kind}s" if bar.kind else "all lit scenes"
            out.append((f"{recipe}, {where}: {bar.column} {value:.2f} (>= {bar.least})", value >= bar.least))
        if chosen(records, start, "lit"):
            d = paired(records, start, recipe, "vacated")
            out.append((f"{recipe}: vacated not below its start's, {d}", d.high >= 0))
        exact = [r["exact"] for r in records if r["row"] == recipe]
        out.append((f"{recipe}: latents bit-equal outside, {sum(exact)} of {len(exact)}", all(exact)))
    return out

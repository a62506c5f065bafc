"""The tables of `python -m benchmarks.drafts`: means of each row, and differences paired over the scenes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from benchmarks.quality_table import mean
from drag_core.bench.paired import Difference, difference

WARP, WARP_AE = "pixel draft", "draft through the autoencoder"
TELEA = "pixel draft, OpenCV's fill"
FINISHED = "hole redrawn from"
PASTE = "start paste, updates"
Record = dict[str, Any]
Say = Callable[[str], None]
COMMAND = "python -m benchmarks.drafts page"
HEAD = f"""# Drafts, keys and values, drags without gradients

Written by `{COMMAND}`. Held-out scenes, 256 px, embedded models, paired over the
scenes: mean difference in dB, its 95 % interval, and in how many scenes it rises. The *draft* is the picture
warped in pixels, its hole filled smoothly; *OpenCV's fill*: by Telea's inpainting, as drafts were first.
*hole redrawn*: the draft's own pixels, and the model's where the thing was, four passes without gradients;
*core*: the strength with which the moved thing is redrawn too; *all*: with everything that may change.
*start*: what the recipe for regions (dragnext, dragflow) starts from; *paste*: the thing's latent cells, with
the step of then."""


def _groups(found: list[Record]) -> dict[tuple[str, str, str], list[Record]]:
    out: dict[tuple[str, str, str], list[Record]] = {}
    for d in found:
        out.setdefault((d["model"], d["draft"], d["scenes"]), []).append(d)
    return out


def _kinds(mine: list[Record]) -> list[str]:
    wanted = ("move", "turn", "rotate", "scale", "stretch", "deform", "part")
    return [k for k in wanted if any(d["kind"] == k for d in mine)]


def over(mine: list[Record], row: str, base: str, column: str, kind: str | None = None) -> Difference:
    """By how much `row` is better than `base` in a column, over the scenes (of a kind) that both have."""
    by = {d["seed"]: d[column] for d in mine if d["row"] == base}
    here = [d for d in mine if d["row"] == row and d["seed"] in by and kind in (None, d["kind"])]
    return difference([d[column] - by[d["seed"]] for d in here])


def table(found: list[Record], say: Say = print) -> None:
    """Each row's means, and its paired difference in the edited area from the draft and its latent."""
    for group, mine in _groups(found).items():
        kinds = _kinds(mine)
        say(f"\n**{group[0]}, draft {group[1]}, {group[2]} scenes**\n")
        say(f"| row | scenes | target: {' | '.join(kinds)} | vacated | edited | edited over the draft | "
            "over its latent |")  # fmt: skip
        say("|---" * (len(kinds) + 6) + "|")
        for row in dict.fromkeys(d["row"] for d in mine):
            here = [d for d in mine if d["row"] == row]
            targets = [mean([d["target"] for d in here if d["kind"] == k]) for k in kinds]
            means = [*targets, mean([d["vacated"] for d in here]), mean([d["edited"] for d in here])]
            ends = [str(over(mine, row, base, "edited")) for base in (WARP, WARP_AE)]
            say(f"| {row} | {len(here)} | {' | '.join(f'{m:.1f}' for m in means)} | {' | '.join(ends)} |")


COMPARED = (
    (f"{FINISHED} 0.5", TELEA, "edited"),
    (f"{FINISHED} 0.5", TELEA, "vacated"),
    (f"{FINISHED} 0.5", WARP, "edited"),
    (f"{FINISHED} 0.5", WARP, "vacated"),
    ("hole from 0.5, core 0.25", WARP_AE, "edited"),
    ("start draft, updates, K/V none", PASTE, "target"),
    ("start draft, updates, K/V none", PASTE, "centroid"),
    ("start draft, updates, K/V none", "start draft", "edited"),
    ("start draft, updates, K/V draft", "start draft, updates, K/V none", "target"),
    ("start draft, updates, K/V picture", "start draft, updates, K/V none", "target"),
    ("start noised", "start draft", "target"),
    ("all from 0.5, core 0.5", PASTE, "edited"),
)


def by_kind(found: list[Record], say: Say = print) -> None:
    """The differences that claims are about, by kind of edit; centroid: px, less is better."""
    for group, mine in _groups(found).items():
        rows = {d["row"] for d in mine}
        asked = [c for c in COMPARED if c[0] in rows and c[1] in rows]
        if not asked:
            continue
        kinds = _kinds(mine)
        say(f"\n**{group[0]}, draft {group[1]}, {group[2]} scenes: by kind**\n")
        say(f"| row | against | column | all | {' | '.join(kinds)} |")
        say("|---" * (len(kinds) + 4) + "|")
        for row, base, column in asked:
            cells = [str(over(mine, row, base, column, kind)) for kind in (None, *kinds)]
            say(f"| {row} | {base} | {column} | {' | '.join(cells)} |")


def page(found: list[Record], before: str = "") -> list[str]:
    """The whole page, clean drafts first; tables of the page `before` stay where no line is for them."""
    made: list[str] = []
    by_kind(found, made.append)
    table(found, made.append)
    tables = _tables(before) | _tables("\n".join(made))
    first = sorted(
        tables, key=lambda t: (", lit " not in t, ", draft clean" not in t, not t.endswith(": by kind"))
    )
    return [HEAD, *(f"\n**{title}**\n\n{tables[title]}" for title in first)]


def _tables(page: str) -> dict[str, str]:
    """Title -> table, of a page."""
    parts = re.split(r"^\*\*(.+)\*\*$", page, flags=re.M)[1:]
    return {title: body.strip() for title, body in zip(parts[::2], parts[1::2], strict=True)}

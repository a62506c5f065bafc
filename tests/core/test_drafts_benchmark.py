"""The benchmark of drafts: which rows, that a run goes on where it was stopped, and what the table says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import drafts, drafts_table
from benchmarks.drafts_table import FINISHED, WARP, page
from drag_core.bench import held, lines
from drag_core.bench.lit.cases import lit_cases
from drag_core.types import DragError


def test_rows_by_model() -> None:
    unet, flux = drafts.rows("embedded-sd"), drafts.rows("embedded-flux")
    assert [r for r in unet if "K/V" in r] == [f"start draft, updates, K/V {k}" for k in drafts.WHOSE]
    assert set(unet) < set(flux) and "hole redrawn from 0.5, K/V of the draft" in flux


def test_scenes_come_in_turn_and_are_those_of_the_list() -> None:
    assert held.scenes(2, 1)[:5] == [
        *(("lit", kind, 0) for kind in ("move", "turn", "scale", "part")),
        ("lit", "move", 1),
    ]
    with pytest.raises(DragError, match="9 plain scenes of each kind; at most 8"):
        held.scenes(0, 9)
    of_kind = lit_cases(2, kinds=("turn",))
    got = held.case_of(("lit", "turn", 1))
    assert got.seed == of_kind[1].seed and torch.equal(got.source, of_kind[1].source)


def test_a_spoilt_draft_is_another_and_only_where_it_should() -> None:
    case = held.case_of(("lit", "move", 0))
    clean = drafts.spoilt(case, "clean")
    for how in drafts.DRAFTS[1:]:
        other = drafts.spoilt(case, how)
        changed = (other - clean).abs().amax(0) > 1e-6
        assert bool(changed.any()) and float(changed.float().mean()) < 0.5, how


def test_a_run_goes_on_and_two_processes_find_the_same(tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    places = held.scenes(1, 0)[:2]
    for scenes in (places[:1], places):
        drafts.run(one, scenes, ["embedded-sd"], ["clean"], ["pixel", "through"])
    drafts.run(two, places, ["embedded-sd"], ["clean"], ["pixel", "through"], workers=2)
    first, second = lines.read(one), lines.read(two)
    names = [drafts_table.WARP, drafts_table.TELEA, drafts_table.WARP_AE]
    assert len(first) == 6 and [r["row"] for r in first[:3]] == names
    key = lambda r: (r["row"], r["seed"])  # noqa: E731
    assert [r["kind"] for r in sorted(first, key=key)] == [r["kind"] for r in sorted(second, key=key)]
    for a, b in zip(sorted(first, key=key), sorted(second, key=key), strict=True):
        assert abs(a["edited"] - b["edited"]) < 0.01
    said: list[str] = []
    drafts_table.table(first, said.append)
    assert any(
        line.startswith("| pixel draft | 2 |") and "+0.00 [+0.00, +0.00], 0/2" in line for line in said
    )


def test_a_table_that_the_log_has_nothing_of_stays(tmp_path: Path) -> None:
    """The log of a long run need not be kept to add rows of other drafts to the page."""

    def lines(draft: str, edited: float) -> list[dict[str, Any]]:
        numbers = {"target": 30.0, "vacated": 20.0, "edited": edited, "background": 40.0, "centroid": 1.0}
        one = {"model": "embedded-sd", "draft": draft, "scenes": "lit", "seed": 1, "kind": "move"} | numbers
        return [one | {"row": WARP}, one | {"row": f"{FINISHED} 0.5"}]

    first = "\n".join(page(lines("clean", 25.0) + lines("blurred", 21.0)))
    again = "\n".join(page(lines("blurred", 22.0), first))
    assert "| 25.0 |" in again and "| 22.0 |" in again and "| 21.0 |" not in again
    assert again.index("draft clean") < again.index("draft blurred")
    assert "\n".join(page([], again)) == again

"""A benchmark's means, intervals and papers' tables, from records that are worked out by hand."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import pytest

from drag_core.bench.paired import difference
from drag_core.bench.published import TABLES, tables_for
from drag_core.bench.rows import NO_EDIT, WARP
from drag_core.bench.sheets import table_csv, table_md
from drag_core.bench.summary import cell, coverage, notes_in, paired, values
from drag_core.metrics.protocols import PROTOCOLS, column_of


def record(row: str, sample: str, base: int = 0, status: str = "ok", **metrics: Any) -> dict[str, Any]:
    """A line of results.jsonl; a metric is a value, or a value and its count."""
    told = {k: v if isinstance(v, tuple) else (v, 1) for k, v in metrics.items()}
    return {
        "row": row,
        "sample": sample,
        "base": base,
        "category": sample[0],
        "format": "red",
        "recipe": "",
        "variant": "",
        "model": "",
        "status": status,
        "reason": "" if status == "ok" else "no picture",
        "notes": ["odd"] if sample == "a2" else [],
        "composited": None,
        "metrics": {
            k: {"value": v, "count": n, "reason": "", "name": k, "comparable_to_paper": True}
            for k, (v, n) in told.items()
        },
    }


def test_md_is_pooled_over_points_and_fidelity_over_pictures() -> None:
    records = [
        record("x", "a1", md=(10.0, 1), if_bg=0.9),
        record("x", "a2", md=(2.0, 3), if_bg=0.5),
    ]
    assert column_of("md") and cell(records, "x", "md").mean == pytest.approx((10 + 3 * 2) / 4)
    assert cell(records, "x", "if_bg").mean == pytest.approx(0.7)
    assert cell(records, "x", "md").median == 6


def test_each_pictures_value_is_rounded_as_the_script_does() -> None:
    column = column_of("if_bg")
    assert column is not None and column.rounded == 3
    records = [record("x", "a1", if_bg=0.90449), record("x", "a2", if_bg=0.90449)]
    assert cell(records, "x", "if_bg").mean == 0.904


def test_what_has_no_value_is_left_out_and_counted() -> None:
    records = [
        record("x", "a1", moved_psnr=20.0),
        record("x", "a2", moved_psnr=None),
        record("x", "a3", status="failed"),
    ]
    found = cell(records, "x", "moved_psnr")
    assert (found.mean, found.count) == (20.0, 1) and coverage(records, "x") == (2, 3)
    assert math.isnan(cell(records, "x", "if_bg").mean) and cell(records, "y", "moved_psnr").count == 0
    assert "20.0 of 1" in table_md(records, "t")
    sheet = next(csv.DictReader(io.StringIO(table_csv(records))))
    assert (sheet["samples"], sheet["whole"], sheet["moved_psnr"], sheet["moved_psnr n"]) == (
        "3",
        "2",
        "20.0",
        "1",
    )


def test_seeds_are_averaged_within_a_sample_first() -> None:
    records = [record("x", "a1", b, moved_psnr=v) for b, v in enumerate((10.0, 14.0))]
    records += [record("x", "a2", b, moved_psnr=v) for b, v in enumerate((20.0, 20.0))]
    found = cell(records, "x", "moved_psnr")
    assert found.mean == 16 and found.count == 2
    assert found.deviation == pytest.approx(math.sqrt(2))  # of 15 and 17
    assert found.low == 12 and found.high == 20


def test_rows_are_compared_over_the_samples_that_both_have() -> None:
    records = [record(NO_EDIT, s, moved_psnr=v) for s, v in (("a1", 10.0), ("a2", 12.0), ("a3", 30.0))]
    records += [
        record("x", s, b, moved_psnr=v) for s, b, v in (("a1", 0, 13.0), ("a1", 1, 15.0), ("a2", 0, 11.0))
    ]
    found = paired(records, NO_EDIT, "x", "moved_psnr")
    assert (found.mean, found.rises, found.count) == (1.5, 1, 2)  # 4 and -1
    assert found == difference([4.0, -1.0])
    seeded = [record("y", "a1", b, moved_psnr=v) for b, v in ((0, 1.0), (1, 2.0))]
    both = [*records, *seeded]
    assert paired(both, "y", "x", "moved_psnr").mean == 12.5  # 13 - 1 and 15 - 2: the same seed's
    assert values(both, "y", "moved_psnr") == {("a1", 0): (1.0, 1), ("a1", 1): (2.0, 1)}


def test_notes_are_counted_by_sample() -> None:
    records = [record("x", "a2", moved_psnr=1.0), record("y", "a2", moved_psnr=1.0), record("x", "a1")]
    assert notes_in(records) == [("odd", ["a2"])]


def test_published_rows_stand_marked_in_the_table_of_their_own_set_and_protocol() -> None:
    records = [record(r, "a1", if_bg=0.9, md1=20.0, moved_psnr=9.0) for r in (NO_EDIT, WARP, "dragflow")]
    text = table_md(records, "ReD Bench")
    assert "## As dragflow/1" in text and "| row | IF_bg ↑ | IF_s2t ↑ | IF_s2s ↓ | MD1 ↓ | MD2 ↓ |" in text
    line = next(x for x in text.splitlines() if x.startswith("| *DragFlow, published"))
    assert "(DragFlow Tab. 2, ReD Bench)" in line and "| 0.992 | 0.958 | 0.934 | 19.46 | 4.48 |" in line
    assert "31.59" not in text  # DragBench-DR's
    assert "| dragflow | no edit | +0.0 [+0.0, +0.0], 0/1 |" in text
    assert not tables_for({"scenes"}) and not tables_for({"red", "drag100"})


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.source)
def test_published_tables_fit_their_protocol(table: Any) -> None:
    known = {c.key for c in PROTOCOLS[table.protocol].columns}
    assert set(table.keys) <= known
    assert all(len(numbers) == len(table.keys) for _, numbers in table.rows)


def test_seconds_are_told_by_stage_without_the_first_edit_of_a_process() -> None:
    def timed(sample: str, warm_up: bool, **seconds: float) -> dict[str, Any]:
        return record("x", sample, seconds=sum(seconds.values())) | {"seconds": seconds, "warm_up": warm_up}

    records = [timed("a1", True, identity=90.0, drag=9.0), timed("a2", False, identity=4.0, drag=2.0)]
    text = table_md([*records, timed("a3", False, identity=6.0, drag=4.0)], "t")
    assert "| row | identity | drag | all | all but identity (LoRA) | of edits |" in text
    assert "| x | 5.00 | 3.00 | 8.00 | 3.00 | 2 |" in text
    assert "| x | 90.00 | 9.00 | 99.00 | 9.00 | 1 |" in table_md(records[:1], "t")


def test_a_cell_can_not_break_the_table() -> None:
    text = table_md([record("a|b\nc", "a1", moved_psnr=1.0)], "t")
    assert "a\\|b c" in text

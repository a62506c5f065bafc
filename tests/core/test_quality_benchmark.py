"""benchmarks.quality: its measures by hand, intervals, bars, and a run that goes on where it was stopped."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks import quality, quality_table
from benchmarks.measures import angle_error, measured, shadow_left
from drag_core.bench import lines
from drag_core.bench.cases import Case
from drag_core.bench.lit.cases import lit_cases
from drag_core.bench.paired import difference
from drag_core.bench.table import is_same
from drag_core.motion.masks import grow


@cache
def case(kind: str) -> Case:
    return lit_cases(1, kinds=(kind,))[0]


def test_the_truth_measures_as_the_truth() -> None:
    found = measured(case("turn").truth, case("turn"))
    assert min(found[c] for c in ("target", "edited")) >= 99 and found["ssim"] == pytest.approx(1)
    assert (
        found["centroid"] <= 0.01 and found["angle"] <= 3
    )  # light stays: the turned source is not the truth


def test_a_thing_that_has_not_turned_is_off_by_the_whole_turn() -> None:
    c = case("turn")
    error = angle_error(c.source, c, grow(c.truth_mask, 2))
    assert error == pytest.approx(abs(math.degrees(c.motion.angle)), abs=3)
    assert math.isnan(angle_error(case("move").source, case("move"), torch.ones(256, 256)))


def flat(value: float) -> Tensor:
    return torch.full((3, 40, 40), value)


@pytest.mark.parametrize("left", [0.0, 0.25, 1.0])
def test_how_much_of_a_shadow_is_left(left: float) -> None:
    """A shadow of .2 beside a thing that moves away; a picture has kept a share of it."""
    c = case("move")
    mask, shadow = torch.zeros(40, 40), torch.zeros(40, 40)
    mask[5:10, 5:10] = 1
    shadow[20:35, 20:35] = 1
    source = flat(0.6) - 0.2 * shadow
    drawn = replace(
        c,
        source=source,
        truth=flat(0.6),
        mask=mask,
        truth_mask=mask,
        with_shadow=(mask + shadow).clamp(max=1),
    )
    assert shadow_left(flat(0.6) - 0.2 * left * shadow, drawn) == pytest.approx(left, abs=1e-5)
    assert math.isnan(shadow_left(source, replace(drawn, with_shadow=None)))
    assert math.isnan(shadow_left(source, replace(drawn, with_shadow=mask)))


def test_latents_are_compared_outside_the_cells() -> None:
    a, cells = torch.zeros(1, 4, 6, 6), torch.zeros(1, 1, 6, 6)
    cells[..., 2, 3] = 1
    b = a.clone()
    b[..., 2, 3] = 1
    assert is_same(a, b, cells)
    b[0, 0, 0, 0] = 1e-7
    assert not is_same(a, b, cells)


def test_an_interval_of_paired_differences() -> None:
    g = np.random.default_rng(3)
    x = g.normal(0.5, 1.0, 400)
    d = difference([*x, math.nan])
    assert (d.count, d.rises) == (400, int((x > 0).sum())) and d.mean == pytest.approx(x.mean())
    half = 1.96 * x.std() / 20
    assert d.low == pytest.approx(x.mean() - half, abs=0.01)
    assert d.high == pytest.approx(x.mean() + half, abs=0.01)
    assert str(difference([1.0, 1.0])) == "+1.00 [+1.00, +1.00], 2/2"
    assert math.isnan(difference([math.nan]).mean)


def record(row: str, kind: str, seed: int, **values: Any) -> dict[str, Any]:
    usual = dict.fromkeys(("target", "vacated", "edited", "ssim", "centroid", "angle", "shadow"), 25.0)
    fixed = {"background": 40.0, "calls": 4, "seconds": 1.0, "exact": True}
    return {"row": row, "scenes": "lit", "kind": kind, "seed": seed, **usual, **fixed, **values}


def test_bars_and_what_is_missed() -> None:
    recipe, start = "dragnext (embedded-sd)", "start only (embedded-sd)"
    records = []
    for kind, target in (("move", 27.0), ("turn", 20.0), ("scale", 26.0), ("part", 21.0)):
        for seed in range(3):
            records.append(record(start, kind, seed))
            records.append(record(recipe, kind, seed, target=target, vacated=25.0 if seed else 25.5))
    said: list[str] = []
    missed = quality_table.show(records, said.append)
    assert missed == [f"{recipe}, turns: target 20.00 (>= 23.5)"]
    assert any(f"{start} -> {recipe}, target: -1.50 " in line for line in said)
    worse = [r | {"vacated": 20.0 + 0.1 * r["seed"]} if r["row"] == recipe else r for r in records]
    assert any("vacated not below its start's" in text for text in quality_table.show(worse, lambda s: None))
    touched = [r | {"exact": r["seed"] != 1} for r in records]
    assert f"{recipe}: latents bit-equal outside, 8 of 12" in quality_table.show(touched, lambda s: None)


def test_the_page_and_the_short_table(tmp_path: Path) -> None:
    rows = ("start only (embedded-sd)", "dragnext (embedded-sd)")
    records = [record(row, k, i, target=20.0 + i) for row in rows for i, k in enumerate(("move", "turn"))]
    docs, readme = tmp_path / "quality.md", tmp_path / "README.md"
    readme.write_text(f"above\n<!-- {quality.COMMAND} -->\n<!-- end -->\nbelow\n")
    for _ in range(2):
        quality.page(records, docs, readme)
    text = readme.read_text()
    assert text.startswith("above\n") and text.endswith("\n<!-- end -->\nbelow\n")
    assert "| dragnext (embedded-sd) | 20.0 | 21.0 | 25.0 | 25.0 | 40.0 | 4 | 1.0 |" in text.splitlines()
    assert len(text.splitlines()) == 8
    page = docs.read_text()
    assert quality.HEAD in page and "**lit scenes, turn** (1)" in page and "MISSED" in page


def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only = [r for r in quality.rows() if r.name == quality_table.WARP_AE]
    monkeypatch.setattr(quality, "rows", lambda: tuple(only))
    quality.run(tmp_path, 1, 0)
    log = tmp_path / "drags.jsonl"
    first = log.read_text(encoding="utf-8").splitlines()
    assert [json.loads(x)["kind"] for x in first] == ["move", "turn", "scale", "part"]
    assert json.loads(first[0])["calls"] == 0
    log.write_text("\n".join([*first[:2], first[2][:40]]) + "\n", encoding="utf-8")  # cut in the third
    quality.run(tmp_path, 1, 0)
    again = lines.read(log)
    same = {(r["kind"], r["target"]) for r in again} == {
        (r["kind"], r["target"]) for r in map(json.loads, first)
    }
    assert len(again) == 4 and same

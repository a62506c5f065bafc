"""benchmarks.orderings: who is better and by how much, by hand; rows that exist; a run that goes on."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from benchmarks import ablation, orderings, sd
from drag_core.bench import lines
from drag_core.bench.cases import Case, in_turn
from drag_core.bench.lit.cases import lit_cases
from drag_core.bench.paired import difference
from drag_core.recipes.assemble import Choice, assemble
from drag_core.trajectory.constrain import SoftBackground

CLAIM = orderings.Claim("a paper", "a over b", "a", "b")


def found(**rows: list[float]) -> orderings.Found:
    out = {}
    for row, values in rows.items():
        for seed, value in enumerate(values):
            kind = ("move", "turn")[seed % 2]
            out[row, seed] = {"kind": kind, "target": value, "centroid": value}
    return out  # type: ignore[return-value]


def test_gains_are_of_the_scenes_that_both_have_and_less_px_is_better() -> None:
    both = found(a=[3.0, 5.0, 9.0], b=[1.0, 2.0])
    assert (orderings.gain(both, CLAIM, "target").mean, orderings.gain(both, CLAIM, "target").count) == (
        2.5,
        2,
    )
    place = orderings.gain(both, CLAIM, "centroid")
    assert (place.mean, place.count, place.rises) == (-2.0, 1, 0)  # of moves alone


def test_verdicts() -> None:
    assert orderings.verdict(difference([1.0, 2.0, 3.0])) == "holds"
    assert orderings.verdict(difference([-1.0, -2.0, -3.0])) == "reversed"
    assert orderings.verdict(difference([-1.0, 1.0, 0.5])) == "open"
    assert orderings.verdict(difference([math.nan])) == "not run"


def test_the_table_says_each_claim_by_its_own_column() -> None:
    claim = next(c for c in orderings.CLAIMS if "background" in c.says)
    rows = {}
    for row, background, target in ((claim.first, 40.0, 10.0), (claim.second, 38.0, 12.0)):
        for seed in range(3):
            numbers = dict.fromkeys(orderings.COLUMNS, target) | {"background": background}
            rows[row, seed] = {"kind": "move", **numbers}
    said: list[str] = []
    orderings.table(rows, said.append)  # type: ignore[arg-type]
    (line,) = (x for x in said if claim.says in x)
    assert line.endswith("| +2.00 [+2.00, +2.00], 3/3 | holds |") and "-2.00 [-2.00, -2.00], 0/3" in line
    assert len(said) == 2 + len(orderings.CLAIMS) and sum("not run" in x for x in said) == len(said) - 3


def test_every_row_is_one_that_can_be_drawn() -> None:
    assert all(row in orderings.FLUX or row in sd.ROWS for row in orderings.ROWS)
    assert all(orderings.FLUX[row] is ablation.ROWS[row] for row in orderings.FLUX if row in ablation.ROWS)
    task, ground = lit_cases(1, kinds=("move",))[0].task, sd.ground_of(sd.load_model("embedded-flux"))
    soft = orderings.soft(assemble(task, ground, Choice("dragflow")), task)
    assert isinstance(soft.constraint, SoftBackground) and soft.constraint.weight == orderings.WEIGHT
    assert set(soft.constraint.editable.unique().tolist()) == {0.0, 1.0}


def test_a_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, drawn, ready = tmp_path / "o.jsonl", list[tuple[str, int]](), list[int]()

    def one(row: str, flux: object, ready: object, case: Case) -> dict[str, float]:
        drawn.append((row, case.seed))
        return dict.fromkeys(orderings.COLUMNS, 1.0)

    monkeypatch.setattr(orderings, "one", one)
    monkeypatch.setattr(sd, "prepare", lambda model, case: ready.append(case.seed))
    cases = lit_cases(1)
    lines.append(file, {"row": orderings.ROWS[0], "kind": "move", "seed": cases[0].seed})
    orderings.run(file, cases[:2])
    assert len(drawn) == 2 * len(orderings.ROWS) - 1 and len(ready) == 2
    orderings.run(file, cases[:2])
    assert len(drawn) == 2 * len(orderings.ROWS) - 1 and len(ready) == 2
    assert len([json.loads(x) for x in file.read_text().splitlines()]) == 2 * len(orderings.ROWS)


def test_kinds_come_in_turn() -> None:
    cases = lit_cases(2)
    kinds = [c.kind for c in in_turn(cases)]
    assert kinds == ["move", "turn", "scale", "part"] * 2
    assert {c.seed for c in in_turn(cases)} == {c.seed for c in cases}
    assert torch.equal(in_turn(cases)[4].source, cases[1].source)  # within a kind as they were

"""The ablation's table: that a stopped run goes on where it was, and what a row is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import ablation
from drag_core.backends.load import load_model
from drag_core.bench.cases import held_out
from drag_core.features.supervise import PointSupervision, RegionSupervision
from drag_core.recipes.dragflow import dragflow
from drag_core.recipes.presets import PRESETS, adapt
from drag_core.recipes.released import Cleaner
from drag_core.trajectory.constrain import FreeBackground, HardBackground

CASES = held_out(1)
NUMBERS = {"centroid": 2.0, "target": 20.0, "vacated": 30.0, "background": 40.0, "seconds": 1.0}


def test_a_stopped_run_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file, made = tmp_path / "a" / "found.jsonl", list[int]()

    def one(model: Any, change: Any, case: Any) -> dict[str, float]:
        if len(made) == 4:
            raise KeyboardInterrupt
        made.append(case.seed)
        return NUMBERS

    monkeypatch.setattr(ablation, "one", one)
    monkeypatch.setattr(ablation, "load_model", lambda name: None)
    rows: dict[str, Any] = {name: ablation.ROWS[name] for name in ("no edit", "points")}
    with pytest.raises(KeyboardInterrupt):
        ablation.run(file, CASES, rows)
    assert made == [CASES[0].seed] * 2 + [CASES[1].seed] * 2
    with file.open("a") as f:
        f.write('{"row": "points", "se')  # cut off by the stop
    monkeypatch.setattr(ablation, "ROWS", rows)
    said: list[str] = []
    ablation.table(ablation.read(file), CASES, said.append)
    assert said[0].startswith("2 of 3 scenes (1 move, 1 rotate, 0 deform), finished in every row")
    assert said[3] == "| no edit | 2.0 | 20.0 | 30.0 | 20.0 | – | 40.0 |" and len(said) == 6
    file.write_text(file.read_text() + "\n")
    made.clear()
    ablation.run(file, CASES, rows)
    assert made == [CASES[2].seed] * 2
    assert ablation.main([str(file), "--cases", "1", "--table"]) == 0


def test_a_step_has_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: regions come 1 px nearer in the one move, and cost 2 and 4 dB of the thing in three scenes."""
    monkeypatch.setattr(ablation, "ROWS", {name: None for name in ("points", "regions")})
    found = {("points", c.seed): dict(NUMBERS) for c in CASES}
    lost = {"move": 2.0, "rotate": 4.0, "deform": 2.0}
    for c in CASES:
        found["regions", c.seed] = NUMBERS | {"centroid": 1.0, "target": 20.0 - lost[c.kind]}
    said: list[str] = []
    ablation.table(found, CASES, said.append)
    assert said[-1].startswith(
        "- points → regions: px off -1.00 [-1.00, -1.00], 0/1; object dB -2.67 [-4.00, -2.00]"
    )


def test_each_row_adds_one_step() -> None:
    model, task = load_model("embedded-flux"), CASES[0].task
    preset = PRESETS[model.name]
    base = adapt(dragflow(task), preset, task)
    made = {name: change(base, task) for name, change in ablation.ROWS.items() if change is not None}
    names = list(made)
    assert isinstance(made[names[0]].supervision, PointSupervision)
    assert all(isinstance(made[n].supervision, RegionSupervision) for n in names[1:])
    assert [isinstance(made[n].constraint, HardBackground) for n in names] == [False, False] + [True] * 6
    assert isinstance(made[names[1]].constraint, FreeBackground)
    assert [bool(made[n].kv_blocks) for n in names] == [False] * 3 + [True, True, False, True, False]
    assert made["the same as released"].kv_view is Cleaner
    assert all(sum(map(len, made[n].ramp)) == 70 for n in names[:5])

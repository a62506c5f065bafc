"""The table of the Stable Diffusion methods: kept lines are not done again, means and orderings by hand."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from benchmarks import sd


def record(
    row: str, seed: int, kind: str = "move", lora: bool = False, **numbers: float | None
) -> dict[str, Any]:
    base = {"centroid": 10.0, "target": 12.0, "background": 40.0, "dai": 0.1, "updates": 72.0}
    return {"row": row, "lora": lora, "kind": kind, "seed": seed, **base, **numbers}


def test_scenes_are_fixed_and_of_all_kinds_in_turn() -> None:
    cases = sd.scenes(0.1)
    assert [c.kind for c in cases] == ["move", "move", "rotate", "deform"]
    assert [c.seed for c in cases] == [c.seed for c in sd.scenes(0.1)] and cases[0].seed == 1000000


def test_what_is_there_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, asked, taught = tmp_path / "a" / "sd.jsonl", [], []

    def one(ready: object, case: Any, row: str) -> dict[str, float]:
        asked.append((row, case.seed))
        return {"centroid": float("nan"), "updates": 3.0}

    def teach(model: object, image: Any) -> AbstractContextManager[None]:
        taught.append(image.shape)
        return nullcontext()

    monkeypatch.setattr(sd, "run_one", one)
    monkeypatch.setattr(sd, "prepare", lambda model, case: None)
    monkeypatch.setattr(sd, "load_model", lambda name: None)
    for rows in (["gooddrag"], ["gooddrag", "dragnext"]):
        sd.run(file, None, rows, 0.1)
    assert len(asked) == 8 and len(set(asked)) == 8 and not taught
    sd.run(file, teach, ["gooddrag"], 0.1)
    lines = [json.loads(x) for x in file.read_text().splitlines()]
    assert len(lines) == 12 and len(taught) == 4 and lines[0]["centroid"] is None
    assert [x["lora"] for x in lines] == [False] * 8 + [True] * 4


def test_means_and_orderings(tmp_path: Path) -> None:
    """Centroids of the moves alone; the first better in the centroid, worse in the target, as good in DAI."""
    records = [
        record("gooddrag", 1, centroid=4.0, target=11.0),
        record("gooddrag", 2, centroid=6.0, target=None),
        record("gooddrag", 3, "rotate", centroid=90.0, target=11.0),
        record("dragdiffusion", 1),
        record("gooddrag", 1, lora=True, centroid=3.0, target=12.0, dai=0.12),
    ]
    said: list[str] = []
    sd.table(records, sd.ROWS, said.append)
    text = "\n".join(said)
    assert "| gooddrag | no | 5.0 | 11.00 | 40.0 | 100 | 72 | 3 |" in text
    assert (
        "GoodDrag over DragDiffusion: centroid holds (1 of 1), target does not hold (0 of 1), dai does not "
        "hold (0 of 1)\n"
        in text
        and "alternation" not in text
    )
    assert "LoRA on gooddrag: centroid -1.0 px (1 of 1), target +1.00 dB (1 of 1), DAI +20.0 (0 of 1)" in text


def test_differences_have_intervals() -> None:
    """By hand: AdaptiveDrag's preservation gains 2 and 4 dB, of two scenes alike in all else."""
    name = "adaptivedrag without information preservation"
    records = [record("adaptivedrag", s, target=12.0 + 2 * s) for s in (1, 2)]
    records += [record(name, s, target=12.0) for s in (1, 2)]
    said: list[str] = []
    sd.table(records, sd.ROWS, said.append)
    line = (
        f"- adaptivedrag minus {name}: centroid +0.00 [+0.00, +0.00], 0/2; target +3.00 [+2.00, +4.00], 2/2; "
    )
    assert line + "dai +0.00 [+0.00, +0.00], 0/2" in said


def test_rows_take_one_thing_away_or_fewer_timesteps() -> None:
    case, ground = sd.scenes(0.05)[0], sd.ground_of(sd.load_model("embedded-sd"))
    made = {}
    for row in ("adaptivedrag", "adaptivedrag without information preservation"):
        name, change = sd.ROWS[row]
        made[row] = change(sd.assemble(case.task, ground, sd.Choice(name)), case.task).supervision
    assert [s.preserve for s in made.values()] == [True, False]  # type: ignore[attr-defined]
    filled = sd.Given(sd.Trajectory(sd.EMBEDDED_SD.schedule, ()))
    for n in (1, 3, 5, 7):
        name, change = sd.ROWS[f"dragnext at {n} timesteps"]
        ramp = change(sd.assemble(case.task, ground, sd.Choice(name), filled), case.task).ramp
        assert list(map(len, ramp)) == [6] * n and ramp[-1][-1] == 1


def test_every_row_gives_a_recipe() -> None:
    case, ground = sd.scenes(0.05)[0], sd.ground_of(sd.load_model("embedded-sd"))
    for name, change in (r for row, r in sd.ROWS.items() if "timesteps" not in row):
        filled = sd.Trajectory(sd.EMBEDDED_SD.schedule, ())
        recipe = change(sd.assemble(case.task, ground, sd.Choice(name), sd.Given(filled)), case.task)
        assert recipe.ramp == () or 72 <= sum(map(len, recipe.ramp)) <= 120
        assert recipe.ramp == () or recipe.start is not None

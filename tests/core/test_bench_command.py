"""python -m drag_core bench: what it writes, what it refuses before anything is drawn, LPIPS from files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from drag_core.__main__ import main
from drag_core.bench import lines, looks
from drag_core.bench.jobs import measured
from drag_core.bench.rows import NO_EDIT, WARP, Drawn
from drag_core.bench.samples import Entry, read_sample
from drag_core.metrics.lpips_weights import ALEX, sha256_of
from drag_core.types import DragError
from tests.core import layouts
from tests.core.test_lpips import random_weights


def bench(data: Path | str, out: Path, *more: str) -> int:
    return main(["bench", "--data", str(data), "--out", str(out), *more])


def refused(capsys: pytest.CaptureFixture[str], code: int) -> str:
    err = capsys.readouterr().err.strip()
    assert code == 2 and err.startswith("error: ") and len(err.splitlines()) == 1
    return err


def test_a_whole_run_and_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    layouts.red(tmp_path / "data" / "a1")
    arguments = (tmp_path / "data", out, "--workers", "1", "--recipes", "copy_paste")
    assert bench(*arguments) == 0
    assert "3 of 3 edits" in capsys.readouterr().out
    names = {p.name for p in out.iterdir()}
    assert names == {"results.jsonl", "run.json", "table.csv", "table.md", "contact.html", "pictures"}
    with (out / "table.csv").open(encoding="utf-8", newline="") as sheet:
        rows = list(csv.DictReader(sheet))
    assert [r["row"] for r in rows] == [NO_EDIT, WARP, "copy_paste (embedded-sd)"]
    assert all(r["whole"] == r["samples"] == "1" for r in rows) and rows[2]["composited"] == "no"
    record = lines.read(out / "results.jsonl")[2]
    assert (
        record["drawn_at"] == [288, 224] and record["model_sha256"] and set(record["seconds"]) >= {"invert"}
    )
    assert "it was drawn at 288x224 and scaled to 96x72" in record["notes"]
    told = record["metrics"]["dai_paper_20"]
    assert told["protocol"] == "gooddrag/1"
    needs = record["metrics"]["md1"]
    assert needs["value"] is None and "needs" in needs["reason"] and needs["comparable_to_paper"] is False
    text = (out / "table.md").read_text(encoding="utf-8")
    assert ", published (" not in text and "## Not measured" in text  # no column of DragFlow's has a value
    before = (out / "results.jsonl").read_bytes()
    assert "add --resume" in refused(capsys, bench(*arguments))
    assert bench(*arguments, "--resume") == 0 and "0 to do" in capsys.readouterr().err
    assert (out / "results.jsonl").read_bytes() == before
    assert json.loads((out / "run.json").read_text())["models"]["embedded-sd"] == record["model_sha256"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--recipes", "magic"), "no recipe 'magic'"),
        (("--recipes", "auto"), "name the recipes"),
        (("--recipes", "dragflow", "--model", "embedded-sd"), "does not fit"),
        (("--variant", "new"), "no variant 'new'"),
        (("--model", "nowhere"), "neither"),
        (("--seeds", "0"), "use 1 to 1000"),
        (("--workers", "-1"), "-1 workers"),
        (("--device", "tpu"), "can't be used here"),
        (("--score", "theirs"), "NAME=FOLDER"),
        (("--score", "theirs=nowhere"), "NAME=FOLDER"),
        (("--lpips", "a.pth", "b.pth"), "there is no file a.pth"),
        (("--dift", "embedded-sd"), "DIFT looks through a Stable Diffusion 2.1"),
        (("--dift", "embedded-sd", "--protocol", "gooddrag"), "no mean distance"),
    ],
)
def test_what_can_not_be_is_said_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], said: str
) -> None:
    layouts.drag100(tmp_path / "data" / "1")
    assert said in refused(capsys, bench(tmp_path / "data", tmp_path / "out", *more))
    assert not (tmp_path / "out").exists()


def test_data_that_is_none_is_said_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "scenes:N" in refused(capsys, bench(tmp_path / "none", tmp_path / "out"))
    assert "holds no sample" in refused(capsys, bench(tmp_path, tmp_path / "out"))


def test_lpips_fills_its_columns_and_says_whose_weights_they_are(tmp_path: Path) -> None:
    files = tmp_path / "alex.safetensors", tmp_path / "heads.safetensors"
    for path, weights in zip(files, random_weights(ALEX), strict=True):
        save_file(weights, path)
    layouts.red(tmp_path / "a1")
    sample = read_sample(Entry("a1", "", tmp_path / "a1"))
    weights = looks.Weights(*files)
    looks.check(weights, "cpu")
    drawn = Drawn(sample.image[0].flip(-1), (layouts.WIDTH, layouts.HEIGHT))
    told: dict[str, Any] = {x.key: x for x in measured(sample, drawn, weights, "cpu").lines}
    assert 0 < told["if_bg"].edited < 1 and told["if_bg"].origin.sha256 == sha256_of(files[0])
    assert told["if_bg"].origin.comparable is False  # random weights are not the papers'
    with pytest.raises(DragError, match="no heads of LPIPS"):
        looks.check(looks.Weights(files[0], files[0]), "cpu")

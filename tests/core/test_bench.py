"""A benchmark run without a model: odd samples are counted and explained, any stop is gone on from."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from drag_core.bench import engines, lines
from drag_core.bench.contact import write_contact
from drag_core.bench.jobs import noise_seed
from drag_core.bench.loaded import Settings
from drag_core.bench.rows import NO_EDIT, WARP, Drawn, Row, found, no_edit, result_of, rows_of, warped
from drag_core.bench.runner import Plan, failures, run
from drag_core.bench.samples import Entry, Sample, entries, read_sample
from drag_core.bench.sheets import table_csv, table_md
from drag_core.types import DragError
from tests.core import layouts
from tests.core.dying import always_dies, dies_once

ROOT = Path(__file__).resolve().parents[2]
BASE = (Row(NO_EDIT, no_edit, seeded=False), Row(WARP, warped, seeded=False))


def noisy(sample: Sample, seed: int, settings: Settings) -> Drawn:
    """Draws the picture with noise of the seed, so that equal numbers mean equal seeds."""
    noise = torch.randn(sample.image.shape[1:], generator=torch.Generator().manual_seed(seed))
    return Drawn((sample.image[0] + 0.05 * noise).clamp(0, 1), (layouts.WIDTH, layouts.HEIGHT))


def plan(data: Path | str, out: Path, *rows: Row, **more: Any) -> Plan:
    return Plan(str(data), (*BASE, *rows), out, workers=1, **more)


def numbers(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what hangs on the machine."""
    told = {k: v for k, v in record.items() if k not in ("seconds", "warm_up")}
    return told | {
        "metrics": {k: v for k, v in told["metrics"].items() if k not in ("seconds", "peak_memory")}
    }


def quiet(text: str) -> None:
    return None


def odd(root: Path) -> None:
    """The samples that a run must not trip over, and a good one."""
    layouts.drag100(root / "1-good")
    layouts.dragbench(root / "2-border", points=[[95, 0], [40, 30]])
    layouts.drag100(root / "3-rgba")
    (root / "3-rgba" / "original.jpg").unlink()
    layouts.picture(root / "3-rgba" / "original.png", "RGBA")
    layouts.dragbench(root / "4-odd-height")
    layouts.picture(root / "4-odd-height" / "original_image.png", size=(96, 71))
    layouts.drag100(root / "5-empty-mask")
    layouts.save(layouts.EDITABLE * 0, root / "5-empty-mask" / "mask.png")
    layouts.red(root / "6-missing-file")
    (root / "6-missing-file" / "operation.png").unlink()
    layouts.dragbench(root / "7-outside", points=[[20, 20], [96, 30]])


def test_odd_samples_are_counted_and_explained(tmp_path: Path) -> None:
    odd(tmp_path / "data")
    records = run(plan(tmp_path / "data", tmp_path / "out"), say=quiet)
    assert len(records) == 7 * 2
    by_sample = {r["sample"]: r for r in records if r["row"] == NO_EDIT}
    for sample, said in (
        ("2-border", "its pair lies within 20 px of the border: DAI of that radius leaves them out"),
        ("3-rgba", "transparent in places"),
        ("4-odd-height", "the drag was drawn on 96x72 and the picture is 96x71"),
        ("5-empty-mask", "the mask is empty: everything may change"),
    ):
        assert by_sample[sample]["status"] == "ok"
        assert any(said in note for note in by_sample[sample]["notes"]), by_sample[sample]["notes"]
    empty = by_sample["5-empty-mask"]["metrics"]["background_psnr"]
    assert empty["value"] is None and "everything may change" in empty["reason"]
    assert by_sample["2-border"]["metrics"]["dai_paper_20"]["value"] is None
    for sample, said in (("6-missing-file", "operation.png"), ("7-outside", "outside the 96x72 picture")):
        assert by_sample[sample]["status"] == "failed" and said in by_sample[sample]["reason"]
    sheet = list(csv.DictReader(io.StringIO(table_csv(records))))
    assert [r["row"] for r in sheet] == [NO_EDIT, WARP]
    assert all((r["samples"], r["whole"]) == ("7", "5") for r in sheet)
    assert (
        float(sheet[0]["whole_psnr"]) == 100 and sheet[0]["lpips"] == "" and sheet[0]["dai_paper_20 n"] == "4"
    )
    text = table_md(records, "odd")
    assert f"| {NO_EDIT} | 5 | 7 |" in text and "failed: 6-missing-file in 2 rows" in text
    assert "- 1 sample: the mask is empty: everything may change (5-empty-mask)" in text
    write_contact(tmp_path / "out" / "contact.html", "odd", entries(str(tmp_path / "data")), records)
    page = (tmp_path / "out" / "contact.html").read_text(encoding="utf-8")
    assert page.count("<section>") == 7 and "operation.png" in page
    assert page.count("data:image/jpeg;base64,") == 5 * 3  # before, drag, and what the warp drew


def test_the_page_fetches_nothing_and_runs_no_sample_text(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>&'\""
    layouts.drag100(tmp_path / "data" / "a<b>&c")
    row = Row(evil, noisy)
    records = run(plan(tmp_path / "data", tmp_path / "out", row), say=quiet)
    write_contact(tmp_path / "out" / "contact.html", evil, entries(str(tmp_path / "data")), records)
    page = (tmp_path / "out" / "contact.html").read_text(encoding="utf-8")
    assert evil not in page and "<b>" not in page and "a&lt;b&gt;&amp;c" in page
    assert "http" not in page and 'src="/' not in page and "<link" not in page


def test_a_stopped_run_goes_on_without_a_second_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("1", "2", "3"):
        layouts.drag100(tmp_path / "data" / name)
    out, row = tmp_path / "out", Row("noisy", noisy)
    written, append = 0, lines.append

    def stop(file: Path, record: dict[str, Any]) -> str:
        nonlocal written
        if (written := written + 1) == 6:
            raise KeyboardInterrupt
        return append(file, record)

    with monkeypatch.context() as patch:
        patch.setattr(lines, "append", stop)
        with pytest.raises(KeyboardInterrupt):
            run(plan(tmp_path / "data", out, row), say=quiet)
    file = out / "results.jsonl"
    assert len(lines.read(file)) == 5
    with file.open("a") as half:
        half.write('{"key": "cut o')  # as a power cut leaves it
    with pytest.raises(DragError, match="add --resume"):
        run(plan(tmp_path / "data", out, row), say=quiet)
    said: list[str] = []
    records = run(plan(tmp_path / "data", out, row), resume=True, say=said.append)
    assert "9 edits: 5 done before, 4 to do" in said
    kept = lines.read(file)
    assert len(kept) == len({r["key"] for r in kept}) == len(records) == 9
    assert [(r["sample"], r["row"]) for r in records] == [
        (s, r) for s in ("1", "2", "3") for r in (NO_EDIT, WARP, "noisy")
    ]
    again = run(plan(tmp_path / "data", out, row), resume=True, say=said.append)
    assert again == records and "9 edits: 9 done before, 0 to do" in said
    whole = run(plan(tmp_path / "data", tmp_path / "whole", row), say=quiet)
    # what was stopped gives the numbers of what was not
    assert [numbers(r) for r in whole] == [numbers(r) for r in records]
    assert all((out / r["picture"]).is_file() for r in records)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX: run this test on Linux or macOS")
def test_a_killed_run_goes_on_without_a_second_line(tmp_path: Path) -> None:
    for k in range(4):
        layouts.drag100(tmp_path / "data" / str(k))
    script = (
        "import sys; from pathlib import Path; from tests.core.test_bench import *\n"
        "run(plan(Path(sys.argv[1]), Path(sys.argv[2])), resume=True)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "data"), str(tmp_path / "out")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    file, began = tmp_path / "out" / "results.jsonl", time.monotonic()
    while len(lines.read(file)) < 3 and process.poll() is None and time.monotonic() - began < 300:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = len(lines.read(file))
    assert 3 <= before < 8, "it ended before it could be killed"
    records = run(plan(tmp_path / "data", tmp_path / "out"), resume=True, say=quiet)
    kept = lines.read(file)
    assert len(kept) == len({r["key"] for r in kept}) == len(records) == 8


def test_what_failed_is_tried_again(tmp_path: Path) -> None:
    layouts.drag100(tmp_path / "data" / "1")
    layouts.drag100(tmp_path / "data" / "2")
    mask = tmp_path / "data" / "2" / "points.json"
    text = mask.read_text()
    mask.write_text("{")
    first = run(plan(tmp_path / "data", tmp_path / "out"), say=quiet)
    assert [r["sample"] for r in failures(first)] == ["2", "2"] and "not JSON" in failures(first)[0]["reason"]
    mask.write_text(text)
    second = run(plan(tmp_path / "data", tmp_path / "out"), resume=True, say=quiet)
    assert len(second) == 4 and not failures(second)
    assert len(lines.read(tmp_path / "out" / "results.jsonl")) == 4


def test_results_of_other_data_are_never_mixed(tmp_path: Path) -> None:
    layouts.drag100(tmp_path / "data" / "1")
    run(plan(tmp_path / "data", tmp_path / "out"), say=quiet)
    layouts.picture(tmp_path / "data" / "1" / "original.jpg", "L")
    with pytest.raises(DragError, match="of other data, models or settings"):
        run(plan(tmp_path / "data", tmp_path / "out"), resume=True, say=quiet)


def breaks(sample: Sample, seed: int, settings: Settings) -> Drawn:
    raise RuntimeError("the card fell out\nof the machine")


def test_one_broken_edit_does_not_end_the_run(tmp_path: Path) -> None:
    layouts.drag100(tmp_path / "data" / "1")
    records = run(plan(tmp_path / "data", tmp_path / "out", Row("breaks", breaks)), say=quiet)
    assert [r["status"] for r in records] == ["ok", "ok", "failed"]
    assert "unexpected RuntimeError: the card fell out" in records[2]["reason"]


def test_noise_hangs_on_the_sample_and_the_seed_alone(tmp_path: Path) -> None:
    layouts.drag100(tmp_path / "a" / "1")
    layouts.drag100(tmp_path / "a" / "2")
    layouts.drag100(tmp_path / "b" / "2")
    row = Row("noisy", noisy)
    a = run(plan(tmp_path / "a", tmp_path / "out-a", row, seeds=3), say=quiet)
    b = run(plan(tmp_path / "b", tmp_path / "out-b", row, seeds=3), say=quiet)
    mine = [r for r in a if r["row"] == "noisy" and r["sample"] == "2"]
    theirs = [r for r in b if r["row"] == "noisy"]
    assert [r["seed"] for r in mine] == [r["seed"] for r in theirs] == [noise_seed(k, "2") for k in range(3)]
    assert [r["metrics"] for r in mine] == [r["metrics"] for r in theirs] and len(a) == 2 * (2 + 3)
    assert "±" in table_md(a, "seeds")


def test_results_of_others_are_measured(tmp_path: Path) -> None:
    for k in ("1", "2", "3", "4"):
        layouts.drag100(tmp_path / "data" / k)
    there = tmp_path / "theirs"
    layouts.picture(there / "1" / "dragged_image.png")
    layouts.picture(there / "2|DragFlow" / "x_output_dragflow.png", size=(48, 36))
    layouts.picture(there / "3.png")
    assert result_of("a/1", there) == there / "1" / "dragged_image.png"
    row = rows_of((), ("ours",), [("embedded-sd", "sd")], [("theirs", there)])[-1]
    assert row.name == "theirs (foreign)"
    records = [
        r for r in run(plan(tmp_path / "data", tmp_path / "out", row), say=quiet) if r["row"] == row.name
    ]
    assert [r["status"] for r in records] == ["ok", "ok", "ok", "failed"]
    assert "is 48x36 and was scaled to 96x72" in records[1]["notes"][-1]
    assert "holds no result of 4" in records[3]["reason"]
    sample = read_sample(Entry("1", "", tmp_path / "data" / "1"))
    drawn = found(sample, 0, Settings(), folder=there)
    with Image.open(there / "1" / "dragged_image.png") as picture:
        assert np.array_equal(
            (drawn.picture.permute(1, 2, 0) * 255).round().byte().numpy(), np.array(picture)
        )


def test_rows_are_the_baselines_then_the_recipes() -> None:
    models: Any = [("embedded-sd", "sd"), ("embedded-flux", "flux")]
    names = [r.name for r in rows_of(("dragnext", "copy_paste", "dragflow"), ("ours", "paper"), models)]
    assert names == [
        NO_EDIT,
        WARP,
        "copy_paste (embedded-sd)",
        "dragnext (embedded-sd)",
        "dragnext paper (embedded-sd)",
        "dragflow (embedded-flux)",
        "dragflow paper (embedded-flux)",
    ]
    assert [r.name for r in rows_of(("dragflow",), ("ours",), models)][2] == "copy_paste (embedded-flux)"
    for recipe, said in (
        ("nothing", "no recipe"),
        ("auto", "name the recipes"),
        ("dragflow", "does not fit"),
    ):
        with pytest.raises(DragError, match=said):
            rows_of((recipe,), ("ours",), models[:1])


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX: run this test on Linux or macOS")
def test_a_worker_that_dies_loses_nothing(tmp_path: Path) -> None:
    jobs = [(k, str(tmp_path / "marker")) for k in range(6)]
    assert sorted(engines.local(jobs, dies_once, 2)) == [0, 1, 4, 9, 16, 25]
    with pytest.raises(DragError, match="fewer --workers"):
        list(engines.local([1, 2], always_dies, 2))


def test_run_json_says_how_to_run_it_again(tmp_path: Path) -> None:
    layouts.drag100(tmp_path / "data" / "1")
    run(plan(tmp_path / "data", tmp_path / "out"), say=quiet)
    facts = json.loads((tmp_path / "out" / "run.json").read_text())
    assert facts["data"] == str(tmp_path / "data") and facts["rows"] == [NO_EDIT, WARP]
    assert "dragflow/1" in facts["protocols"] and facts["torch"] == torch.__version__

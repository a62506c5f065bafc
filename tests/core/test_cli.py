"""The command line on the embedded models: bad input is one sentence and exit code 2; odd input gives the
sensible result.
"""

from __future__ import annotations

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

from drag_core.__main__ import main
from drag_core.bench.scenes import render, sample_scene
from drag_core.pictures.files import read_picture, to_bytes, write_png

ROOT = Path(__file__).resolve().parents[2]
SQUARE = [[100, 100], [160, 100], [160, 160], [100, 160]]


def drag_json(folder: Path, **region: Any) -> Path:
    data = {
        "version": 1,
        "regions": [{"task": "relocation", "polygons": [SQUARE], "target": [150, 120], **region}],
    }
    path = folder / "drag.json"
    path.write_text(json.dumps(data))
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "in.png"
    write_png(path, to_bytes(render(sample_scene(1_000_001))))
    return path


def edit(image: Path, drag: Path, out: Path, *more: str) -> int:
    return main(["edit", str(image), "--drag", str(drag), "--out", str(out), "--recipe", "copy_paste", *more])


def refused(capsys: pytest.CaptureFixture[str], code: int) -> str:
    """The one sentence of a refusal."""
    err = "\n".join(
        line for line in capsys.readouterr().err.strip().splitlines() if not line.startswith("dragging with")
    )
    assert code == 2 and err.startswith("error: ") and len(err.splitlines()) == 1 and "Traceback" not in err
    return err


def test_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], picture: Path) -> None:
    drag = drag_json(tmp_path)
    assert "no picture" in refused(capsys, edit(tmp_path / "none.png", drag, tmp_path / "o.png"))
    assert "can't be read" in refused(capsys, edit(picture, tmp_path / "none.json", tmp_path / "o.png"))
    assert "does not exist" in refused(capsys, edit(picture, drag, tmp_path / "no" / "o.png"))
    assert ".png" in refused(capsys, edit(picture, drag, tmp_path / "o.bmp"))
    (tmp_path / "text.png").write_text("no picture")
    assert "not a picture" in refused(capsys, edit(tmp_path / "text.png", drag, tmp_path / "o.png"))


def test_nothing_that_is_read_is_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], picture: Path
) -> None:
    drag = drag_json(tmp_path)
    before = picture.read_bytes(), drag.read_bytes()
    assert "in.png would be written over" in refused(capsys, edit(picture, drag, picture))
    assert "drag.json would be written over" in refused(capsys, edit(picture, drag, tmp_path / "drag.png"))
    assert before == (picture.read_bytes(), drag.read_bytes())


def test_a_picture_under_32_px(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_png(tmp_path / "small.png", torch.zeros(3, 40, 31, dtype=torch.uint8))
    assert "31x40" in refused(capsys, edit(tmp_path / "small.png", drag_json(tmp_path), tmp_path / "o.png"))


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ({"polygons": [[[900, 900], [950, 900], [950, 950]]]}, "empty"),
        ({"polygons": []}, "marks nothing"),
        ({"target": [400, 120]}, "outside the 256x256 picture"),
        ({"task": "teleport"}, "teleport"),
        ({"target": None}, "without a target"),
    ],
)
def test_bad_regions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], picture: Path, region: dict[str, Any], words: str
) -> None:
    assert words in refused(capsys, edit(picture, drag_json(tmp_path, **region), tmp_path / "o.png"))
    assert not (tmp_path / "o.png").exists()


@pytest.mark.parametrize(
    "text",
    ['{"regions": [{"target": [NaN, 1]}]}', '{"regions": [{"target": [1e999, 1]}]}', "[" * 100000, "{", "3"],
)
def test_bad_json(tmp_path: Path, capsys: pytest.CaptureFixture[str], picture: Path, text: str) -> None:
    (tmp_path / "drag.json").write_text(text)
    refused(capsys, edit(picture, tmp_path / "drag.json", tmp_path / "o.png"))


def test_bad_recipe_and_model(tmp_path: Path, capsys: pytest.CaptureFixture[str], picture: Path) -> None:
    drag = drag_json(tmp_path)
    args = ["edit", str(picture), "--drag", str(drag), "--out", str(tmp_path / "o.png")]
    assert "does not fit" in refused(capsys, main([*args, "--recipe", "dragflow"]))
    assert "dragnext" in refused(capsys, main([*args, "--recipe", "magic"]))
    assert "neither" in refused(capsys, main([*args, "--model", "nowhere"]))


def test_a_one_pixel_drag_is_done_and_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], picture: Path
) -> None:
    assert edit(picture, drag_json(tmp_path, target=[131, 130]), tmp_path / "o.png") == 0
    assert "hardly differ" in capsys.readouterr().err
    assert json.loads((tmp_path / "o.json").read_text())["notes"]


def test_a_concave_region_whose_centroid_is_outside(tmp_path: Path, picture: Path) -> None:
    ring = [[60, 60], [160, 60], [160, 160], [60, 160], [60, 150], [150, 150], [150, 70], [60, 70]]
    assert edit(picture, drag_json(tmp_path, polygons=[ring], target=[130, 120]), tmp_path / "o.png") == 0


def test_rgba_of_another_size_keeps_alpha_and_every_pixel_outside_the_mask(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scene = render(sample_scene(1_000_001, 200)).permute(1, 2, 0).numpy()
    data = np.concatenate([(scene * 255).astype(np.uint8), rng.integers(0, 256, (200, 200, 1), np.uint8)], 2)[
        :150
    ]
    Image.fromarray(data, "RGBA").save(tmp_path / "in.png")
    drag = drag_json(tmp_path, polygons=[[[60, 60], [90, 60], [90, 90], [60, 90]]], target=[100, 80])
    assert edit(tmp_path / "in.png", drag, tmp_path / "o.png") == 0
    before, after = read_picture(tmp_path / "in.png"), read_picture(tmp_path / "o.png")
    assert after.alpha is not None and before.alpha is not None and torch.equal(after.alpha, before.alpha)
    changed = (after.rgb != before.rgb).any(0)
    assert changed[60:90, 60:90].any() and not changed[:30].any() and not changed[:, 150:].any()


def test_the_same_seed_gives_the_same_bits(tmp_path: Path, picture: Path) -> None:
    drag = drag_json(tmp_path)
    args = ["edit", str(picture), "--drag", str(drag), "--model", "embedded-flux", "--recipe", "dragflow"]
    args += ["--seed", "5", "--out"]
    assert main([*args, str(tmp_path / "a.png")]) == 0 and main([*args, str(tmp_path / "b.png")]) == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    losses = json.loads((tmp_path / "a.json").read_text())["losses"]
    assert losses == json.loads((tmp_path / "b.json").read_text())["losses"] and losses[-1] < losses[0]


@pytest.mark.skipif(
    os.name == "nt", reason="POSIX signals are missing on Windows: run this test on Linux or macOS"
)
def test_ctrl_c_leaves_no_file(tmp_path: Path, picture: Path) -> None:
    drag, out = drag_json(tmp_path), tmp_path / "o.png"
    command = [
        sys.executable,
        "-m",
        "drag_core",
        "edit",
        str(picture),
        "--drag",
        str(drag),
        "--out",
        str(out),
        "--recipe",
        "gooddrag",
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        # as at a terminal: what a script starts in the background ignores it, and passes that on
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None and "dragging" in process.stderr.readline()
    time.sleep(1)
    assert process.poll() is None, "it ended before it could be interrupted"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["drag.json", "in.png"]


def test_a_write_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: Path
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    assert edit(picture, drag_json(tmp_path), tmp_path / "o.png") == 130
    assert sorted(p.name for p in tmp_path.iterdir()) == ["drag.json", "in.png"]

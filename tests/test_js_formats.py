"""The drag editor's files and drag_core's are the same: each reads what the other writes, within a pixel."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from drag_core.bench.formats import read_any
from drag_core.bench.writers import write_drag100, write_dragflow
from drag_core.motion.instruction import DragInstruction, from_dict
from drag_core.motion.task import draw
from drag_core.types import Grid
from tests.core import layouts

ROOT = Path(__file__).resolve().parents[1]
NODE = shutil.which("node")
SIZE = Grid(90, 120)
said = subprocess.run([NODE, "--version"], capture_output=True, text=True).stdout if NODE else ""
pytestmark = pytest.mark.skipif(
    not (found := re.match(r"v(\d+)", said)) or int(found[1]) < 20,
    reason="the JavaScript tests need Node 20 or newer on the path: see https://nodejs.org",
)


def node(script: str, *argv: str, text: str | None = None) -> str:
    path = str(ROOT / "tests" / "js" / script)
    run = subprocess.run([NODE or "", path, *argv], input=text, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One drag, written by the editor in every format it has."""
    out = tmp_path_factory.mktemp("exported")
    node("drag.mjs", str(out))
    return out


def close(a: Any, b: Any, by: float = 1.0) -> bool:
    return bool(np.abs(np.asarray(a, float) - np.asarray(b, float)).max() <= by)


def pixels(x: DragInstruction) -> list[torch.Tensor]:
    return [draw(r.shape, SIZE) for r in x.regions]


def ends(x: DragInstruction) -> list[tuple[Any, Any]]:
    return [(p.start, p.target) for p in x.points]


def test_our_own_file(folders: Path) -> None:
    x, _ = read_any(folders / "json")
    assert [r.task for r in x.regions] == ["relocation", "rotation", "deformation"]
    assert (x.width, x.height, x.editable, x.target_prompt) == (120, 90, "painted", "a cat, sitting")
    assert len(x.regions[1].shape.holes) == 1


def test_drag_core_reads_the_editors_dragflow_folder(folders: Path) -> None:
    ours, _ = read_any(folders / "json")
    x, picture = read_any(folders / "red")
    assert picture and Image.open(picture).size == (120, 90)
    assert Image.open(folders / "red" / "operation.png").mode == "L"
    assert [r.task for r in x.regions] == [r.task for r in ours.regions]
    for a, b in zip(pixels(x), pixels(ours), strict=True):
        assert float((a != b).sum()) <= 4  # the stroke's edge
    for i in (0, 2):
        assert close(x.regions[i].target, ours.regions[i].target)
    assert close(x.regions[1].anchor, ours.regions[1].anchor)
    assert close(ends(x), ends(ours))
    assert (x.source_prompt, x.target_prompt) == (ours.source_prompt, ours.target_prompt)


def test_drag_core_reads_the_editors_drag100_folder(folders: Path) -> None:
    ours, _ = read_any(folders / "json")
    x, _ = read_any(folders / "drag100")
    assert close(ends(x), ends(ours))
    assert x.editable == "painted" and torch.equal(draw(x.painted, SIZE), draw(ours.painted, SIZE))


def test_drag_core_reads_the_editors_dragnext_folder(folders: Path) -> None:
    ours, _ = read_any(folders / "json")
    x, _ = read_any(folders / "dragnext")
    assert [r.task for r in x.regions] == ["relocation", "relocation", "rotation"]
    assert close([r.target for r in x.regions[:2]], [ours.regions[0].target, ours.regions[2].target])
    turned = x.regions[2]
    assert close(turned.anchor, ours.regions[1].anchor) and close(turned.angle, 40, 0.1)
    assert torch.equal(pixels(x)[2], pixels(ours)[1])


@pytest.mark.parametrize("kind", ["json", "red", "drag100", "dragnext"])
def test_the_zip_holds_the_same_files(folders: Path, kind: str) -> None:
    with zipfile.ZipFile(folders / f"{kind}.zip") as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            assert archive.read(name) == (folders / kind / name).read_bytes()
        assert len(archive.namelist()) == len(list((folders / kind).iterdir()))


def imported(folder: Path) -> DragInstruction:
    """What the editor reads from a folder."""
    files: dict[str, Any] = {}
    for path in folder.iterdir():
        if path.suffix == ".json":
            files[path.name] = path.read_text(encoding="utf-8")
        else:
            image = Image.open(path)
            data = np.asarray(image).ravel().tolist()
            files[path.name] = {"width": image.width, "height": image.height, "data": data}
    out = json.loads(node("read_drag.mjs", text=json.dumps(files)))
    assert out["error"] is None
    return from_dict(out["document"])


@pytest.mark.parametrize("kind", ["red", "drag100"])
def test_the_editor_reads_drag_cores_folders(folders: Path, tmp_path: Path, kind: str) -> None:
    ours, _ = read_any(folders / "json")
    (write_dragflow if kind == "red" else write_drag100)(ours, tmp_path, SIZE)
    x, want = imported(tmp_path), read_any(tmp_path)[0]
    assert len(x.regions) == len(want.regions) and (x.width, x.height) == (want.width, want.height)
    for a, b in zip(pixels(x), pixels(want), strict=True):
        assert torch.equal(a, b)
    for r, q in zip(x.regions, want.regions, strict=True):
        assert (r.task, r.target, r.anchor) == (q.task, q.target, q.anchor)
    assert ends(x) == ends(want) and x.editable == want.editable
    assert torch.equal(draw(x.painted, SIZE), draw(want.painted, SIZE))
    assert (x.source_prompt, x.target_prompt) == (want.source_prompt, want.target_prompt)


def test_the_editor_reads_dragnext_as_drag_core_does(folders: Path) -> None:
    x, want = imported(folders / "dragnext"), read_any(folders / "dragnext")[0]
    assert [r.task for r in x.regions] == [r.task for r in want.regions]
    for a, b in zip(pixels(x), pixels(want), strict=True):
        assert torch.equal(a, b)
    places = [[r.target or r.anchor for r in found.regions] for found in (x, want)]
    assert close(*places, 1e-9)
    assert x.regions[2].angle == pytest.approx(want.regions[2].angle)


@pytest.mark.parametrize("kind", ["red", "nextbench"])
def test_the_editor_reads_a_benchmarks_mask_and_intention(tmp_path: Path, kind: str) -> None:
    getattr(layouts, kind)(tmp_path)
    shutil.rmtree(tmp_path / "temp", ignore_errors=True)
    x, want = imported(tmp_path), read_any(tmp_path)[0]
    assert x.editable == want.editable == "painted" and x.target_prompt == want.target_prompt != ""
    size = Grid(layouts.HEIGHT, layouts.WIDTH)
    assert torch.equal(draw(x.painted, size), draw(want.painted, size))

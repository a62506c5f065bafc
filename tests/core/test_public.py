"""The public names, and the package as a wheel installs it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import drag_core
from drag_core.backends.load import EMBEDDED, EMBEDDED_VAE, MODELS, load_model
from drag_core.edit import ground_of
from drag_core.recipes.presets import EMBEDDED_FLUX, EMBEDDED_SD
from drag_core.types import DragError

ROOT = Path(__file__).resolve().parents[2]


def test_every_public_name_is_there_and_typed() -> None:
    text = (ROOT / "drag_core/__init__.py").read_text(encoding="utf-8")
    for name in drag_core.__all__:
        assert getattr(drag_core, name) is not None
        assert name == "__version__" or f" import {name} as {name}\n" in text
    assert 12 <= len(drag_core.__all__) <= 20 and dir(drag_core) == sorted(drag_core.__all__)
    with pytest.raises(AttributeError, match="module 'drag_core' has no attribute 'edit_pictures'"):
        drag_core.edit_pictures  # noqa: B018


def test_importing_the_package_loads_no_torch() -> None:
    ask = "import sys, drag_core; print(drag_core.__version__, 'torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.split() == [drag_core.__version__, "False"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib")
def test_one_version() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == drag_core.__version__
    folders = {f.parent for f in (ROOT / "drag_core").rglob("*.py")}
    named = {".".join(f.relative_to(ROOT).parts) for f in folders}
    assert set(project["tool"]["setuptools"]["packages"]) == named | {"drag_core.models"}


@pytest.mark.parametrize(("name", "preset"), [("embedded-sd", EMBEDDED_SD), ("embedded-flux", EMBEDDED_FLUX)])
def test_an_embedded_model_is_told_by_its_file(name: str, preset: object) -> None:
    """Given by its path it is what it is by name; nothing else is taken for one."""
    by_path = load_model(str(MODELS / EMBEDDED[name]))
    by_name = load_model(name)
    assert ground_of(by_path).preset is preset and ground_of(by_name).preset is preset
    assert (by_path.side, by_path.multiple, by_path.family) == (
        by_name.side,
        by_name.multiple,
        by_name.family,
    )
    with pytest.raises(DragError, match="neither a Stable Diffusion nor a FLUX model"):
        load_model(str(MODELS / EMBEDDED_VAE))


SCRIPT = """
import json, sys
from drag_core import edit_picture, load_model, read_instruction, read_picture, write_picture
picture = read_picture("in.png")
drag = read_instruction("drag.json")
edit = edit_picture(load_model("embedded-sd"), picture.image, drag, recipe="copy_paste")
write_picture("out.png", edit.image)
import drag_core
print(json.dumps([drag_core.__file__, list(edit.image.shape)]))
"""


def test_an_installed_wheel_edits_a_picture(tmp_path: Path) -> None:
    """Built from this checkout and unpacked, with nothing of the checkout on the path."""
    from drag_core.bench.cases import make_case
    from drag_core.pictures.files import write_picture

    pytest.importorskip("setuptools", minversion="77", reason="no setuptools 77: pip install setuptools")
    source = tmp_path / "source"  # a build leaves folders beside pyproject.toml
    for folder in ("drag_core", "models"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", source)
    options = ["--no-deps", "--no-build-isolation", "-q", "-w", str(tmp_path)]
    build = [sys.executable, "-m", "pip", "wheel", str(source), *options]
    made = subprocess.run(build, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-2000:]
    (wheel,) = tmp_path.glob("*.whl")
    site, work = tmp_path / "site", tmp_path / "work"
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        file.extractall(site)
    assert {"drag_core/py.typed", "drag_core/models/vae/drag_tiny_vae.safetensors"} <= names
    assert not [n for n in names if n.startswith(("nodes/", "tests/", "models/"))]
    work.mkdir()
    case = make_case(1_000_000, "move")
    assert case is not None
    write_picture(work / "in.png", case.source)
    (x, y), (dx, dy) = case.handle, case.motion.shift
    region = {
        "polygons": [[[x - 20, y - 20], [x + 20, y - 20], [x + 20, y + 20], [x - 20, y + 20]]],
        "task": "relocation",
        "target": [x + dx, y + dy],
    }
    (work / "drag.json").write_text(json.dumps({"version": 1, "regions": [region]}))
    env = {"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", SCRIPT], cwd=work, env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    where, shape = json.loads(ran.stdout.splitlines()[-1])
    assert where.startswith(str(site)) and shape == [1, 3, 256, 256] and (work / "out.png").exists()

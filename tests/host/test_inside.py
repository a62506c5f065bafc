"""Runs each file of inside/ under pytest in the host's own Python: on the CPU, or in the mode DRAG_MODE, or
under `python dev.py test --host --cuda` in the two modes that users of a card have. Without a card these run
on an imitated one (rehearsal.py).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.host.place import NO_COMPILER, PYTHON, compiler, environment, has_card

INSIDE = Path(__file__).with_name("inside")
SECONDS = 900
MODES = ("normal", "dynamic") if os.environ.get("DRAG_CUDA") else (os.environ.get("DRAG_MODE") or "cpu",)
NO_MODEL = ("test_editor_node.py", "test_example_scene.py", "test_pack.py")  # the same on any device
FILES = sorted(p.name for p in INSIDE.glob("test_*.py"))


@pytest.fixture(scope="module")
def runner() -> list[str]:
    """The host's pytest."""
    asked = subprocess.run([str(PYTHON), "-c", "import pytest"], capture_output=True, env=environment())
    if asked.returncode:
        pytest.skip(f"no pytest in the host's Python: {PYTHON} -m pip install pytest")
    if MODES != ("cpu",) and not has_card() and compiler() is None:
        pytest.skip(NO_COMPILER)
    return [str(PYTHON), "-m", "pytest", "-q"]


@pytest.mark.parametrize(
    ("mode", "file"), [(m, f) for m in MODES for f in FILES if m == "cpu" or f not in NO_MODEL]
)
def test_inside_the_host(runner: list[str], mode: str, file: str, tmp_path: Path) -> None:
    # in an empty folder: -m puts the current one on sys.path, and this repository's `nodes` is not ComfyUI's
    argv = [*runner, str(INSIDE / file), f"--rootdir={INSIDE}", f"--basetemp={tmp_path / 'pytest'}"]
    try:
        done = subprocess.run(
            argv,
            cwd=tmp_path,
            env=environment() | {"DRAG_MODE": mode},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired as e:
        said = e.stdout.decode(errors="replace") if isinstance(e.stdout, bytes) else e.stdout or ""
        pytest.fail(f"{file} ({mode}) ran longer than {SECONDS} s:\n{said[-20000:]}", pytrace=False)
    print(done.stdout[-20000:])
    if done.returncode:
        pytest.fail(
            f"{file} ({mode}) in the host's Python (exit code {done.returncode}), see above", pytrace=False
        )

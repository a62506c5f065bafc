"""Runs each file of inside/ under pytest in the host's own Python."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.host.place import PYTHON, environment

INSIDE = Path(__file__).with_name("inside")
SECONDS = 900


@pytest.fixture(scope="module")
def runner() -> list[str]:
    """The host's pytest."""
    asked = subprocess.run([str(PYTHON), "-c", "import pytest"], capture_output=True, env=environment())
    if asked.returncode:
        pytest.skip(f"no pytest in the host's Python: {PYTHON} -m pip install pytest")
    return [str(PYTHON), "-m", "pytest", "-q"]


@pytest.mark.parametrize("file", sorted(p.name for p in INSIDE.glob("test_*.py")))
def test_inside_the_host(runner: list[str], file: str, tmp_path: Path) -> None:
    # in an empty folder: -m puts the current one on sys.path, and this repository's `nodes` is not ComfyUI's
    argv = [*runner, str(INSIDE / file), f"--rootdir={INSIDE}", f"--basetemp={tmp_path / 'pytest'}"]
    try:
        done = subprocess.run(
            argv,
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired as e:
        said = e.stdout.decode(errors="replace") if isinstance(e.stdout, bytes) else e.stdout or ""
        pytest.fail(f"{file} ran longer than {SECONDS} s:\n{said[-20000:]}", pytrace=False)
    print(done.stdout[-20000:])
    if done.returncode:
        pytest.fail(f"{file} in the host's Python (exit code {done.returncode}), see above", pytrace=False)

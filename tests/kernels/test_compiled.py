"""Every kernel compiles for cards that are not here, without a spill and with the widest loads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("75", "80", "86", "89", "90", "120", "gfx942")


@pytest.mark.parametrize("target", TARGETS)
def test_compiles_without_a_spill(target: str) -> None:
    env = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"} | {"PYTHONPATH": str(ROOT)}
    run = [sys.executable, str(ROOT / "tests/kernels/compiled.py"), target]
    done = subprocess.run(run, env=env, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    rows = [
        line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith(f"| {target}")
    ]
    assert len(rows) == (9 if target == "75" else 12)
    for _, name, registers, spilled, _ in rows:
        assert int(spilled) == 0 and 0 < int(registers) <= 128, name

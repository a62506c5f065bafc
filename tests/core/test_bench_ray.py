"""--engine ray: the same run over a cluster, with the same numbers, and no edit lost with a worker."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from drag_core.bench import engines
from drag_core.bench.rows import Row
from drag_core.bench.runner import run
from drag_core.types import DragError
from tests.core import layouts
from tests.core.dying import dies_once
from tests.core.test_bench import noisy, numbers, plan, quiet


def test_ray_missing_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DragError, match="pip install ray"):
        list(engines.over_ray([1], abs, 1, threads=1, gpus=0))


def test_ray_gives_the_same_numbers_and_outlives_a_worker(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install ray")
    for k in ("1", "2"):
        layouts.drag100(tmp_path / "data" / k)
    row = Row("noisy", noisy)
    here = run(plan(tmp_path / "data", tmp_path / "here", row), say=quiet)
    there = run(plan(tmp_path / "data", tmp_path / "there", row, engine="ray"), say=quiet)
    assert [numbers(r) for r in here] == [numbers(r) for r in there]
    jobs = [(k, str(tmp_path / "marker")) for k in range(6)]
    assert sorted(engines.over_ray(jobs, dies_once, 2, threads=1, gpus=0)) == [0, 1, 4, 9, 16, 25]
    assert (tmp_path / "marker").exists()

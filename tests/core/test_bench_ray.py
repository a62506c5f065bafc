"""--engine ray: the same run over a cluster, with the same numbers, and no edit lost with a worker."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


class StandIn:
    """Ray's calls that we make, in this process: what runs ends in the reverse order."""

    def __init__(self, is_there: bool = False, fails: str = "") -> None:
        self.is_there, self.fails = is_there, fails
        self.started: list[dict[str, Any]] = []
        self.options: dict[str, Any] = {}
        self.most = self.stops = 0

    def is_initialized(self) -> bool:
        return self.is_there

    def init(self, **given: Any) -> None:
        if self.fails:
            raise ConnectionError(self.fails)
        self.started.append(given)

    def remote(self, **options: Any) -> Callable[[Any], Any]:
        self.options = options
        return lambda work: type("Remote", (), {"remote": staticmethod(lambda job: (work, job))})

    def wait(self, running: list[Any]) -> tuple[list[Any], list[Any]]:
        self.most = max(self.most, len(running))
        return running[-1:], running[:-1]

    def get(self, reference: Any) -> Any:
        work, job = reference
        return work(job)

    def shutdown(self) -> None:
        self.stops += 1


def test_jobs_go_to_the_cluster_so_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray = StandIn()
    monkeypatch.setitem(sys.modules, "ray", ray)
    assert sorted(engines.over_ray([-1, -2, -3, -4, -5], abs, 2, threads=3, gpus=1)) == [1, 2, 3, 4, 5]
    assert ray.most == 2 and ray.stops == 1
    assert ray.options == {"num_cpus": 3, "num_gpus": 1, "max_retries": -1}
    assert ray.started[0]["num_cpus"] == 6 and not ray.started[0]["include_dashboard"]
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")  # there the cluster says what it has
    assert list(engines.over_ray([-1], abs, 2, threads=3, gpus=0)) == [1]
    assert "num_cpus" not in ray.started[1]


def test_a_cluster_that_was_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = StandIn(is_there=True)
    monkeypatch.setitem(sys.modules, "ray", ray)
    assert list(engines.over_ray([-1], abs, 1, threads=1, gpus=0)) == [1]
    assert not ray.started and not ray.stops


def test_a_run_that_is_stopped_lets_the_cluster_go(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = StandIn()
    monkeypatch.setitem(sys.modules, "ray", ray)
    running = engines.over_ray([-1, -2], abs, 1, threads=1, gpus=0)
    assert next(running) == 1 and not ray.stops
    running.close()  # type: ignore[attr-defined]
    assert ray.stops == 1


def test_a_cluster_out_of_reach_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", StandIn(fails="no answer\nfrom 10.0.0.1"))
    with pytest.raises(DragError, match="can't be started or reached: no answer$"):
        list(engines.over_ray([1], abs, 1, threads=1, gpus=0))


def test_the_run_is_the_same_over_the_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", StandIn())
    layouts.drag100(tmp_path / "data" / "1")
    row = Row("noisy", noisy)
    here = run(plan(tmp_path / "data", tmp_path / "here", row), say=quiet)
    there = run(plan(tmp_path / "data", tmp_path / "there", row, engine="ray"), say=quiet)
    assert [numbers(r) for r in here] == [numbers(r) for r in there]


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

"""Where the jobs of a benchmark run: in this process, in several, or on a Ray cluster.

All engines call the same function and hand back what it gave; who called them alone writes.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from ..types import DragError

A = TypeVar("A")
B = TypeVar("B")
TRIES = 3  # how often a job may take its worker with it


def local(jobs: Sequence[A], work: Callable[[A], B], workers: int) -> Iterator[B]:
    """Runs jobs in order in this process, or several at once in processes of their own, as they end.

    A worker that dies is replaced and its jobs are run again; DragError after TRIES of the same.
    """
    if workers == 1:
        yield from map(work, jobs)
        return
    left, deaths = list(range(len(jobs))), 0
    while left:
        with ProcessPoolExecutor(min(workers, len(left)), get_context("spawn")) as pool:
            running: dict[Future[B], int] = {pool.submit(work, jobs[i]): i for i in left}
            try:
                for future in as_completed(running):
                    found = future.result()
                    left.remove(running[future])
                    deaths = 0
                    yield found
            except BrokenProcessPool:
                if (deaths := deaths + 1) >= TRIES:
                    raise DragError(
                        f"a worker died {TRIES} times without finishing anything, often for lack of memory: "
                        f"use fewer --workers; what is done is kept (--resume)"
                    ) from None
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def over_ray(
    jobs: Sequence[A], work: Callable[[A], B], workers: int, *, threads: int, gpus: int
) -> Iterator[B]:
    """Runs jobs on the Ray cluster of the environment (RAY_ADDRESS), or on one that starts on this machine.

    workers: at most so many at once.
    threads, gpus: what each takes.
    A worker that dies is replaced and its job is run again. Raises DragError where Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would call home
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # its new way, and no warning of the old
    try:
        ray = importlib.import_module("ray")
    except ImportError:
        raise DragError(
            '--engine ray needs Ray: pip install "region-drag-editing[ray]", or pip install ray'
        ) from None
    ours = not ray.is_initialized()
    if ours:
        alone: dict[str, Any] = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": workers * threads}
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR", **alone)
        except Exception as e:  # of many kinds, with a page of advice each
            first = next(iter(str(e).strip().splitlines()), type(e).__name__)
            raise DragError(f"Ray can't be started or reached: {first}") from None
    try:
        remote = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=-1)(work)
        waiting, running = list(jobs), list[Any]()
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(remote.remote(waiting.pop(0)))
            ended, running = ray.wait(running)
            for reference in ended:
                yield ray.get(reference)
    finally:
        if ours:
            ray.shutdown()

"""A benchmark run: samples by rows by seeds, resumable, and what it leaves in its folder.

results.jsonl has a line for each job that is done and alone counts: tables and contact sheet are made of it
anew at the end. Only the process that was called writes.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from .. import __version__
from ..metrics.protocols import PROTOCOLS
from ..pictures.files import write_json, write_whole
from ..ranges import check_mode
from ..types import DragError
from . import engines, lines
from .jobs import FAILED, OK, VERSION, Done, Job, key_of, noise_seed, unread, work
from .loaded import FAMILIES, Settings, hash_of
from .looks import Weights
from .rows import Row, result_of
from .samples import Entry, entries, read_sample

Engine = Literal["local", "ray"]
RESULTS, RUN, PICTURES = "results.jsonl", "run.json", "pictures"
MOST_WORKERS = 8
UNSAFE = re.compile(r"[^\w.-]+")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is run.

    data: `scenes:N` or a folder.
    seeds: how many; every sample's noise is by the seed's number and its own id.
    workers: how many jobs at once; 0: as many as the cores for embedded models on a CPU, else one.
    """

    data: str
    rows: tuple[Row, ...]
    out: Path
    settings: Settings = Settings()
    weights: Weights = Weights()
    seeds: int = 1
    first_seed: int = 0
    limit: int | None = None
    workers: int = 0
    engine: Engine = "local"

    def __post_init__(self) -> None:
        check_mode("the engine", self.engine, Engine)
        if not 1 <= self.seeds <= 1000:
            raise DragError(f"there are to be {self.seeds} seeds; use 1 to 1000")
        if not 0 <= self.workers <= 1024:
            raise DragError(
                f"there are to be {self.workers} workers; use 1 to 1024, or 0 for the usual number"
            )

    @property
    def at_once(self) -> int:
        if self.workers:
            return self.workers
        small = all(r.model in (*FAMILIES, "") for r in self.rows) and self.settings.device == "cpu"
        return min(os.cpu_count() or 1, MOST_WORKERS) if small else 1

    @property
    def threads(self) -> int:
        """Of each job on a CPU."""
        return max(1, (os.cpu_count() or 1) // self.at_once)


def run(plan: Plan, resume: bool = False, say: Say = print) -> list[lines.Record]:
    """Draws and measures what is not done yet and returns all records of the plan.

    resume: goes on where a run into the same folder was stopped; what failed is tried again. Without it a
    folder that holds results is refused. Raises DragError before anything is drawn.
    """
    listed = entries(plan.data, plan.limit)
    file = plan.out / RESULTS
    earlier = _earlier(file, resume)
    say(f"reading {len(listed)} samples")
    hashes = {name: hash_of(name) for name in dict.fromkeys(r.model for r in plan.rows)}
    jobs, failed = _jobs(plan, listed, hashes)
    keys = [j.key for j in jobs] + [r["key"] for r in failed]
    kept = _kept(plan.out, earlier, jobs, failed)
    plan.out.mkdir(parents=True, exist_ok=True)
    lines.rewrite(file, [*kept, *failed])
    write_json(plan.out / RUN, _facts(plan, hashes))
    have = {r["key"] for r in kept}
    left = [j for j in jobs if j.key not in have]
    say(f"{len(keys)} edits: {len(jobs) - len(left)} done before, {len(left)} to do")
    for count, done in enumerate(_done(plan, left), 1):
        record = done.record
        if done.png is not None:
            record["picture"] = _keep(plan.out, record, done.png)
        lines.append(file, record)
        what = "" if record["status"] == OK else f": {record['reason']}"
        say(f"{count}/{len(left)} {record['sample']}, {record['row']}{what}")
    found = {r["key"]: r for r in lines.read(file)}
    samples = {e.id: i for i, e in enumerate(listed)}
    rows = {r.name: i for i, r in enumerate(plan.rows)}
    mine = [found[k] for k in keys]
    return sorted(mine, key=lambda r: (samples[r["sample"]], rows[r["row"]], r["base"]))


def _earlier(file: Path, resume: bool) -> list[lines.Record]:
    found = {r["key"]: r for r in lines.read(file) if r.get("version") == VERSION}
    if found and not resume:
        raise DragError(
            f"{file} holds {len(found)} results of an earlier run: add --resume to go on with it, or choose "
            f"another --out"
        )
    return list(found.values())


def _kept(
    out: Path, earlier: Sequence[lines.Record], jobs: Sequence[Job], failed: Sequence[lines.Record]
) -> list[lines.Record]:
    """Takes of earlier records those that stay: all but what failed and is tried again.

    Raises DragError where one is of the same edit with other data, models or settings: both would be counted.
    """
    asked = {(j.entry.id, j.row.name, j.base): j.key for j in jobs}
    asked |= {(r["sample"], r["row"], r["base"]): r["key"] for r in failed}
    kept = []
    for r in earlier:
        key = asked.get((r["sample"], r["row"], r["base"]))
        if r["status"] != OK and key is not None:
            continue
        if key not in (None, r["key"]):
            raise DragError(
                f"{out} has {r['sample']}, {r['row']} of other data, models or settings: choose another --out"
            )
        kept.append(r)
    return kept


def _jobs(
    plan: Plan, listed: Sequence[Entry], hashes: Mapping[str, str]
) -> tuple[list[Job], list[lines.Record]]:
    """Lists what to draw, sample by sample, and a failure for every row of a sample that can't be read."""
    jobs, failed = list[Job](), list[lines.Record]()
    for entry in listed:
        try:
            digest, reason = read_sample(entry).digest, ""
        except DragError as e:
            digest, reason = "", str(e)
        if reason:
            keys = [key_of("", entry.id, row, "", 0, plan.settings) for row in plan.rows]
            failed += unread(entry, plan.rows, keys, plan.first_seed, reason)
            continue
        for row in plan.rows:
            for base in range(plan.first_seed, plan.first_seed + (plan.seeds if row.seeded else 1)):
                seed, sha = noise_seed(base, entry.id), hashes[row.model]
                told = digest + _given(row, entry) + str(plan.weights)
                key = key_of(told, entry.id, row, sha, seed, plan.settings)
                jobs.append(Job(key, entry, row, sha, base, seed, plan.settings, plan.weights, plan.threads))
    return jobs, failed


def _given(row: Row, entry: Entry) -> str:
    """Tells the state of a foreign result, so that another file is another job."""
    folder = getattr(row.draw, "keywords", {}).get("folder")
    if folder is None:
        return ""
    try:
        file = result_of(entry.id, folder)
    except DragError:
        return "missing"
    state = file.stat()
    return f"{file} {state.st_size} {state.st_mtime_ns}"


def _done(plan: Plan, jobs: Sequence[Job]) -> Iterator[Done]:
    if plan.engine == "local":
        return engines.local(jobs, work, plan.at_once)
    on_card = torch.device(plan.settings.device).type == "cuda"
    return engines.over_ray(jobs, work, plan.at_once, threads=plan.threads, gpus=int(on_card))


def _keep(out: Path, record: lines.Record, png: bytes) -> str:
    """Writes an edit's picture and returns its place below `out`."""
    row, sample = (UNSAFE.sub("_", record[k]).strip("_") for k in ("row", "sample"))
    name = f"{PICTURES}/{row}/{sample}-{record['key'][:6]}.png"
    (out / name).parent.mkdir(parents=True, exist_ok=True)

    def write(path: Path) -> None:
        path.write_bytes(png)

    write_whole(out / name, write)
    return name


def _facts(plan: Plan, hashes: Mapping[str, str]) -> dict[str, Any]:
    """Collects what a reader needs to know to run it again."""
    device = plan.settings.device
    card = torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else ""
    return {
        "version": VERSION,
        "pack": __version__,
        "torch": torch.__version__,
        "python": sys.version.split()[0],
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "card": card,
        "data": plan.data,
        "limit": plan.limit,
        "rows": [r.name for r in plan.rows],
        "models": {name: sha for name, sha in hashes.items() if name},
        "weights": {k: str(v) for k, v in asdict(plan.weights).items()},
        "settings": {k: str(v) for k, v in asdict(plan.settings).items()},
        "seeds": [plan.first_seed, plan.first_seed + plan.seeds - 1],
        "noise": "the first 31 bits of sha256 of `number of the seed`/`sample id`",
        "protocols": [p.stamp for p in PROTOCOLS.values()],
        "workers": plan.at_once,
        "engine": plan.engine,
    }


def failures(records: Sequence[lines.Record]) -> list[lines.Record]:
    """Returns the records that failed."""
    return [r for r in records if r["status"] == FAILED]


ENGINES: tuple[Engine, ...] = get_args(Engine)

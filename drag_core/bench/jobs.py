"""One job of a benchmark: a sample drawn by a row and measured. The same function on every engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..metrics.report import Report, as_dict, as_saved, measure
from ..pictures.files import png_bytes
from ..types import DragError
from .lines import Record
from .loaded import Settings
from .looks import Weights, looks_for
from .rows import Drawn, Row
from .samples import Entry, Sample, read_sample

VERSION = 1  # of a record: another one is never mixed with it
OK, FAILED = "ok", "failed"


@dataclass(frozen=True)
class Job:
    """A sample for a row: what is drawn, with which seed, and the key of its line.

    base: the number of the seed among those asked for; `seed` is the noise's, of it and the sample's id.
    threads: of the process on a CPU, which numbers hang on in the last bits.
    """

    key: str
    entry: Entry
    row: Row
    model_sha256: str
    base: int
    seed: int
    settings: Settings
    weights: Weights
    threads: int


@dataclass(frozen=True)
class Done:
    """What a job gave: its line, and the picture as a PNG's bytes, where there is one."""

    record: Record
    png: bytes | None


def noise_seed(base: int, sample: str) -> int:
    """Makes the seed of a sample's noise: the same in every order and on every machine."""
    return int.from_bytes(hashlib.sha256(f"{base}/{sample}".encode()).digest()[:4], "big") >> 1


def key_of(digest: str, sample: str, row: Row, model_sha256: str, seed: int, settings: Settings) -> str:
    """Makes the key by which a resumed run knows what is done: sample, row, model, seed and settings."""
    facts = [VERSION, digest, sample, row.name, row.recipe, row.variant, model_sha256, seed]
    told = json.dumps([*facts, {k: str(v) for k, v in asdict(settings).items()}])
    return hashlib.sha256(told.encode()).hexdigest()[:24]


_drawn: set[str] = set()  # rows that this process has drawn: the first edit of each loads and compiles


def work(job: Job) -> Done:
    """Draws and measures; what goes wrong is the record's reason, so that the run goes on."""
    if torch.device(job.settings.device).type == "cpu":
        torch.set_num_threads(job.threads)
    try:
        sample = read_sample(job.entry)
        drawn = job.row.draw(sample, job.seed, job.settings)
        report = measured(sample, drawn, job.weights, job.settings.device)
    except DragError as e:
        return Done(_failed(job, str(e)), None)
    except torch.cuda.OutOfMemoryError:
        return Done(_failed(job, f"{job.settings.device} has too little memory for it: try --offload"), None)
    except Exception as e:  # one sample must not end a night's run; what it was stands in its row
        first_line = next(iter(str(e).splitlines()), "")
        return Done(_failed(job, f"unexpected {type(e).__name__}: {first_line}"), None)
    first = job.row.name not in _drawn
    _drawn.add(job.row.name)
    return Done(_record(job, sample, drawn, report) | {"warm_up": first}, png_bytes(drawn.picture))


def measured(sample: Sample, drawn: Drawn, weights: Weights, device: str) -> Report:
    """Measures an edit of a sample, against the truth where it is known; the mask is the benchmark's own."""
    task = replace(sample.task, editable=sample.editable)
    truth = sample.case.truth if sample.case is not None else None
    looks = looks_for(weights, sample, drawn.picture, device)
    cost = drawn.cost if drawn.cost.seconds else None
    return measure(sample.image[0], drawn.picture, task, truth, looks, cost)


def _base(job: Job) -> Record:
    return {
        "version": VERSION,
        "key": job.key,
        "sample": job.entry.id,
        "category": job.entry.category,
        "row": job.row.name,
        "recipe": job.row.recipe,
        "variant": job.row.variant,
        "model": job.row.model,
        "model_sha256": job.model_sha256,
        "base": job.base,
        "seed": job.seed,
    }


def _failed(job: Job, reason: str) -> Record:
    return _base(job) | {"status": FAILED, "reason": reason, "notes": [], "metrics": {}}


def _record(job: Job, sample: Sample, drawn: Drawn, report: Report) -> Record:
    told = as_dict(report)["metrics"]
    names = {x.key: x.name for x in report.lines}
    metrics = {k: _value(v) | {"name": names[k]} for k, v in told.items()}
    return _base(job) | {
        "status": OK,
        "reason": "",
        "format": sample.format,
        "notes": list(dict.fromkeys((*sample.notes, *drawn.notes))),
        "drawn_at": list(drawn.size),
        "composited": composited(sample, drawn.picture),
        "seconds": drawn.cost.seconds,
        "metrics": metrics,
    }


def _value(told: dict[str, Any]) -> dict[str, Any]:
    """Takes of a metric what belongs to this edit: "no edit" is a row of its own."""
    found = {k: v for k, v in told.items() if k not in ("edited", "no_edit", "hint")}
    why = told["hint"] if told["edited"] is None else ""
    return {"value": told["edited"], **found, "reason": found["reason"] or why}


def composited(sample: Sample, picture: Tensor) -> bool | None:
    """Tells whether the original's own pixels stand outside the mask; None where all may change."""
    if sample.editable is None:
        return None
    outside = sample.editable < 0.5
    a, b = as_saved(sample.image[0])[:, outside], as_saved(picture)[:, outside]
    return bool(torch.equal(a, b))


def unread(entry: Entry, rows: Sequence[Row], keys: Sequence[str], base: int, reason: str) -> list[Record]:
    """Makes the lines of a sample that can't be read: one for every row, with the reason."""
    lines = []
    for row, key in zip(rows, keys, strict=True):
        job = Job(key, entry, row, "", base, 0, Settings(), Weights(), 1)
        lines.append(_failed(job, reason))
    return lines

"""Contact sheets: python -m drag_core.bench.lit.sheet OUT.png FIRST COUNT COLUMNS [EDIT].

Scenes of the seeds from FIRST on; with an edit, source and truth of the first COUNT valid seeds. Prints how
many were drawn in a second of one core.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from ...pictures.files import to_bytes, write_png
from ...pictures.overlay import stack, strip
from .drags import make_cases
from .places.table import PLACES
from .render import render
from .sampling import sample
from .scene import Scenes
from .things.table import NAMES

BATCH = 8


def _captions(s: Scenes) -> list[str]:
    places = tuple(PLACES)
    seeds, kinds = s.seed.tolist(), s.top.kind.tolist()
    return [f"{n}: {NAMES[k]}, {places[p]}" for n, k, p in zip(seeds, kinds, s.place.tolist(), strict=True)]


def scenes(first: int, count: int) -> list[tuple[str, Tensor]]:
    """Draws `count` scenes, with captions."""
    out = []
    for start in range(first, first + count, BATCH):
        s = sample(torch.arange(start, min(start + BATCH, first + count)))
        out += list(zip(_captions(s), render(s), strict=True))
    return out


def pairs(first: int, count: int, edit: str) -> list[tuple[str, Tensor]]:
    """Draws source and truth of `count` cases, with captions."""
    out: list[tuple[str, Tensor]] = []
    start = first
    while len(out) < 2 * count:
        seeds = torch.arange(start, start + BATCH)
        cases = make_cases(seeds, edit)
        captions = _captions(cases.drags.before)
        for i in cases.drags.valid.nonzero()[:, 0].tolist():
            out += [(captions[i], cases.source[i]), (edit, cases.truth[i])]
        start += BATCH
    return out[: 2 * count]


def main(argv: list[str]) -> None:
    """Writes a sheet and prints the speed."""
    out, (first, count, columns), edit = Path(argv[0]), map(int, argv[1:4]), argv[4:]
    began = time.process_time()
    cells = pairs(first, count, edit[0]) if edit else scenes(first, count)
    speed = count / (time.process_time() - began)
    print(f"{speed:.1f} {'cases' if edit else 'scenes'} a second and core")
    cells += [("", torch.ones_like(cells[0][1]))] * (-len(cells) % columns)
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    write_png(out, to_bytes(stack([strip([p for _, p in row], [c for c, _ in row]) for row in rows])))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])

"""python -m benchmarks.readme counts.json [--gpu gpu.json] [--quality quality.md]: the README's section.

Made from what `benchmarks.counts --json`, `benchmarks.gpu --json` and `benchmarks.quality` wrote.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.gpu import Timing, markdown

BEFORE = """## What an update costs

Counted, not timed: `python -m benchmarks.counts` runs the real loop on models of the real size without their
weights (PyTorch's `meta` device) and counts FLOPs, bytes, live memory, host syncs and model calls. It takes
less than a minute on two CPU cores, prints the same numbers on every machine and fails if one leaves its
limit. "Reference" is our own restatement of the published loop, whose counts are pinned to those of the
released code. `python -m benchmarks.quality` states what saving work costs where the right answer is known.
"""


def section(counts: Path, gpu: Path | None = None, quality: Path | None = None) -> str:
    """Markdown of the files' tables."""
    rows = ["| | metric | value | limit | |", "|---|---|---|---|---|"]
    for f in json.loads(counts.read_text()):
        verdict = "ok" if f["ok"] else "**missed**"
        rows.append(
            f"| {f['group']} | {f['metric']} | {f['value']:.4g} | {f['op']} {f['limit']:.4g} | {verdict} |"
        )
    if gpu is None:
        timed = (
            "### On a GPU\n\nNot measured: `python -m benchmarks.gpu`, where there is one, prints the table."
        )
    else:
        found = json.loads(gpu.read_text())
        card = found.pop("card")
        table = markdown(card, {k: [Timing(**r) for r in v] for k, v in found.items()})
        timed = f"### On a GPU\n\n{table}"
    parts = [BEFORE, *rows, ""]
    if quality is not None:
        parts += ["### Work saved, and what it costs", "", quality.read_text().strip(), ""]
    return "\n".join([*parts, timed.strip(), ""])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readme", description=__doc__)
    parser.add_argument("counts", type=Path)
    parser.add_argument("--gpu", type=Path)
    parser.add_argument("--quality", type=Path)
    args = parser.parse_args()
    sys.stdout.write(section(args.counts, args.gpu, args.quality))

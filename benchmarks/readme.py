"""python -m benchmarks.readme counts.json [--gpu gpu.json] [--savings savings.md]: the README's section.

Made from what `benchmarks.counts --json`, `benchmarks.gpu --json` and `benchmarks.savings` wrote; of the
counts the main ones.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import reference
from benchmarks.clock import Timing, markdown

BEFORE = """## What an update costs

Counted, not timed: `python -m benchmarks.counts` runs the real loop on models of the real size without their
weights and counts FLOPs, bytes, live memory, waits for the device and model calls: the same numbers on every
machine, in less than a minute on two CPU cores. It fails if one of its lines leaves its limit. *Published* is
our own restatement of the released loop, its counts pinned to those of the released code. The main lines:
"""

SAVINGS = """
Doing less, and what it costs where the right answer is known, in six scenes that no model was trained on
(`python -m benchmarks.savings`; *work*: FLOPs of a whole edit, inversions included, as a share of the
recipe's). *Fast* and *ends when settled* are Drag Optimize's `effort`. The embedded models' recipes start
from a draft and make few updates: fewer cost nothing on these scenes, more of them only harm, and half of the
work is inversions.
"""

UNTIMED = """
On a card: [docs/card.md](docs/card.md). `python -m benchmarks.gpu` prints updates a second, peak memory
and the share of the card's peak on yours, the published loop and ours in turn.
"""

GIVEN = {  # of the restated loops; sd15 at 12 points
    "work": f"{reference.FORWARD + reference.BACKWARD:.0f}",
    "bytes": f"{reference.ITERATION_GB[12]:.1f}",
    "growth": f"{reference.ITERATION_GB[12] / reference.ITERATION_GB[2]:.2f}",
    "loss": "1",
}
# (group, metric) -> what the table calls it, the published loop's value
ROWS: dict[tuple[str, str], tuple[str, str]] = {
    ("sd15", "GFLOP an update, exact"): ("SD1.5, 512x512: GFLOP an update", GIVEN["work"]),
    ("sd15", "GFLOP an update, hard background"): ("the same, hard background", GIVEN["work"]),
    ("sd15", "GB moved, 12 points"): ("GB moved, 12 points", GIVEN["bytes"]),
    ("sd15", "bytes from 2 to 12 points"): ("bytes, 12 points / 2", GIVEN["growth"]),
    ("sd15", "ops from 2 to 12 points"): ("operations, 12 points / 2", ""),
    ("regions", "640 channels: bytes, 16 regions / 1 of equal area"): ("loss bytes, 16 regions / 1", ""),
    ("sd15", "host syncs an update"): ("waits for the device", ""),
    ("sd15", "KB from the host an update, 12 points"): ("KB from the host", ""),
    ("sd15", "live bytes, update 4 - update 2"): ("growth of memory, bytes", ""),
    ("sd15", "weight gradient bytes"): ("weight gradients, bytes", ""),
    ("sd15", "weights + peak GB, exact, fp16"): ("weights + peak, GB (fp16)", ""),
    ("flux", "TFLOP an update, plain"): ("FLUX-dev, 1024x1024: TFLOP an update", ""),
    ("flux", "TFLOP an update, with checkpoints"): ("the same with checkpoints", ""),
    ("flux", "peak activations GB, plain"): ("activations, GB", ""),
    ("flux", "peak activations GB, with checkpoints"): ("the same with checkpoints", ""),
    ("flux", "weights that an update reads, GB, plain"): ("weights read, GB (bf16)", ""),
    ("dragflow", "1 x 64x64 px: bytes, ours / reference"): ("DragFlow's loss: bytes", GIVEN["loss"]),
    ("dragflow", "1 x 64x64 px: extra memory GB"): ("its memory, GB", ""),
    ("edit", "DragFlow: model calls beside updates"): ("DragFlow edit: model calls beside updates", ""),
    ("edit", "DragNeXt: model calls beside updates, 6 source passes"): ("DragNeXt edit, beside 6 passes", ""),
    ("exact", "lazy sampling - interpolate and index, float64"): ("lazy sampling - plain, float64", ""),
    ("exact", "lazy sampling - interpolate and index, float32"): ("the same, float32", ""),
}  # fmt: skip


def row(found: dict[str, Any]) -> str | None:
    """A line of the table, None if the README leaves it out."""
    if (key := (found["group"], found["metric"])) not in ROWS:
        return None
    what, published = ROWS[key]
    missed = "" if found["ok"] else " **missed**"
    limit = f"{found['op']} {found['limit']:.4g}{missed}"
    return f"| {what} | {published} | {found['value']:.4g} | {limit} |"


def section(counts: Path, gpu: Path | None = None, savings: Path | None = None) -> str:
    """Markdown of the files' tables."""
    lines = {(f["group"], f["metric"]): row(f) for f in json.loads(counts.read_text())}
    rows = ["| | published | ours | limit |", "|---|---|---|---|"]
    rows += [line for key in ROWS if (line := lines.get(key)) is not None]
    parts = [BEFORE, *rows, ""]
    if savings is not None:
        parts += [SAVINGS.lstrip(), savings.read_text().strip(), ""]
    if gpu is None:
        parts.append(UNTIMED.strip())
    else:
        found = json.loads(gpu.read_text())
        card = found.pop("card")
        parts.append(markdown(card, {k: [Timing(**r) for r in v] for k, v in found.items()}).strip())
    return "\n".join([*parts, ""])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readme", description=__doc__)
    parser.add_argument("counts", type=Path)
    parser.add_argument("--gpu", type=Path)
    parser.add_argument("--savings", type=Path)
    args = parser.parse_args()
    sys.stdout.write(section(args.counts, args.gpu, args.savings))

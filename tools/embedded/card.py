"""Writes the model cards and their pictures from a training's log: python -m tools.embedded.card --log
training-log.json [--models models] [--start "what the weights were before"]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from drag_core.backends.load import Model, load_model
from drag_core.metrics.region import psnr
from drag_core.pictures.files import to_bytes, write_png
from drag_core.trajectory.invert import denoise
from drag_core.trajectory.schedules import ddim as ddim_schedule
from drag_core.trajectory.schedules import flow, flux_shift
from drag_core.trajectory.solvers import ddim, euler

from .card_text import card
from .export import PATHS
from .run import held_out_pictures

COLUMNS, SHRINK = 6, 2  # pictures a row; pixels of them that become one


@torch.no_grad()
def samples(model: Model, count: int = 2 * COLUMNS, seed: int = 0) -> Tensor:
    """A grid (3, rows·256, 6·256) of pictures drawn from noise: 50 DDIM or 50 Euler steps."""
    sd = model.family == "sd"
    schedule, solver = (ddim_schedule(50), ddim) if sd else (flow(50, shift=flux_shift(256)), euler)
    out = []
    for k in range(count):
        z = torch.randn(1, 16, 32, 32, generator=torch.Generator().manual_seed(seed + k))
        out.append(model.codec.decode(denoise(model.backbone, z, schedule, solver))[0])
    return torch.cat([torch.cat(out[r : r + COLUMNS], 2) for r in range(0, count, COLUMNS)], 1)


def reconstructions(model: Model) -> tuple[Tensor, dict[str, float]]:
    """Two held-out pictures of each kind over their reconstructions, and the mean dB of each kind."""
    try:
        held = held_out_pictures(2, torch.device("cpu"), photos=True)
    except ValueError as e:  # no scikit-image
        print(f"Going on without photographs: {e}.")
        held = held_out_pictures(3, torch.device("cpu"), photos=False)
    back = {k: [model.codec.decode(model.codec.encode(p[None]))[0] for p in x] for k, x in held.items()}
    quality = {k: sum(psnr(a, b) for a, b in zip(x, back[k], strict=True)) / len(x) for k, x in held.items()}
    rows = ([p for x in held.values() for p in x], [p for x in back.values() for p in x])
    return torch.cat([torch.cat(row, 2) for row in rows], 1), quality


def write_card(name: str, log: dict[str, Any], models: Path, start: str) -> Path:
    """One model's card and picture, beside its file."""
    path = models / PATHS[name]
    model = load_model("embedded-flux" if name == "flux" else "embedded-sd", models=models)
    grid, quality = reconstructions(model) if name == "vae" else (samples(model), {})
    small = torch.nn.functional.avg_pool2d(grid[None], SHRINK)[0]
    write_png(path.with_suffix(".png"), to_bytes(small))
    text = card(name, log, quality, start, path.with_suffix(".png").name)
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    return path.with_suffix(".md")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--log", type=Path, required=True)
    p.add_argument("--models", type=Path, default=Path("models"))
    p.add_argument("--start", default="", help="what the weights were before, where the log doesn't say it")
    a = p.parse_args()
    log = json.loads(a.log.read_text(encoding="utf-8"))
    for name in PATHS:
        print(write_card(name, log, a.models, a.start), flush=True)


if __name__ == "__main__":
    main()

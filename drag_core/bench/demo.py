"""The demo: objects of generated scenes moved, turned and stretched by the embedded models.

It writes strips, a table and a GIF.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor

from ..backends.load import Model, load_model
from ..edit import run_task
from ..pictures.files import to_bytes, write_gif, write_png
from ..pictures.overlay import overlay, stack, strip
from ..recipes.assemble import usual_solver
from ..recipes.choice import default_recipe
from ..recipes.presets import PRESETS
from ..step import Step
from ..trajectory.invert import clean_estimate, invert
from .cases import Case, held_out, measure
from .table import COLUMNS, cells, no_edit


def demo(out: Path) -> None:
    """Writes strips, summary.png and drag.gif to `out`, and prints the table.

    There is one strip a case: before, instruction, after, truth.
    """
    out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    models = [load_model(name) for name in PRESETS]
    cases = held_out(2, kinds=("move",)) + held_out(1, kinds=("rotate", "deform"))
    print(
        "| scene | method | centroid error px | target dB | vacated dB | background dB "
        "|\n|---|---|---|---|---|---|"
    )
    strips = []
    for case in cases:
        pictures, captions = [case.source, overlay(case.source, case.task)], ["before", "instruction"]
        label = f"{case.kind} {case.seed}"
        _row(label, "no edit", no_edit(models[0], case.source[None])[0], case)
        pasted = run_task(models[0], case.source[None], case.task, recipe="copy_paste")[1][0]
        _row(label, "copy-paste", pasted, case)
        for model in models:
            recipe = default_recipe(model.family)
            after = run_task(model, case.source[None], case.task, recipe=recipe)[1][0]
            _row(label, f"{recipe}, {model.name}", after, case)
            pictures.append(after)
            captions.append(f"after: {recipe}, {model.name}")
        strips.append(strip([*pictures, case.truth], [*captions, "truth"]))
        write_png(out / f"{case.kind}_{case.seed}.png", to_bytes(strips[-1]))
    write_png(out / "summary.png", to_bytes(stack(strips)))
    write_gif(out / "drag.gif", film(models[-1], cases[0]))
    print(f"\n{out / 'summary.png'} and {out / 'drag.gif'} written; {time.perf_counter() - began:.0f} s")


def _row(label: str, method: str, picture: Tensor, case: Case) -> None:
    print(f"| {label} | {method} | {cells(measure(picture, case), COLUMNS[:-1])} |", flush=True)


def film(model: Model, case: Case, count: int = 16) -> list[Tensor]:
    """Makes frames (3, H, W) of bytes: the instruction, then the edit as it forms."""
    solver = usual_solver(model.family)
    source = invert(
        model.backbone, model.codec.encode(case.source[None]), PRESETS[model.name].schedule, solver
    )
    seen: list[Tensor] = []

    def keep(step: Step) -> None:
        if step.stage == "drag":
            seen.append(clean_estimate(step.z, source, step.level).clone())

    usual = default_recipe(model.family)
    _, final = run_task(model, case.source[None], case.task, recipe=usual, on_step=keep)
    chosen = [seen[i] for i in torch.linspace(0, len(seen) - 1, count).long().tolist()]
    frames = [case.source] * 5 + [overlay(case.source, case.task)] * 8
    frames += [model.codec.decode(z)[0] for z in chosen] + [final[0]]
    return [to_bytes(f) for f in frames]

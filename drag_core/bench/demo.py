"""The demo: a drawn thing moved, turned, scaled and bent, and a photograph, by the embedded models.

It writes strips, a table and a GIF.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor

from ..backends.load import Model, load_model
from ..edit import edit_picture, run_task
from ..errors import DragError
from ..finishing import finish_task
from ..motion.task import build_task
from ..pictures.files import to_bytes, write_gif, write_png
from ..pictures.overlay import overlay, stack, strip
from ..pictures.paste import put_back
from ..recipes.assemble import usual_solver
from ..recipes.choice import FINISH, default_recipe
from ..recipes.presets import PRESETS
from ..step import Step
from ..trajectory.invert import clean_estimate, invert
from ..types import Grid
from .cases import Case, measure
from .lit.cases import lit_case_number
from .photo import photograph
from .table import COLUMNS, cells, no_edit

# kind of edit, and which of the held-out scenes of that kind: chosen by eye among the first 30 of each, of
# different things, for what "auto" makes of them with every model
SHOWN = (("move", 9), ("turn", 10), ("scale", 6), ("part", 22))


def demo(out: Path) -> None:
    """Writes strips, summary.png, photograph.png and drag.gif to `out`, and prints the table.

    There is one strip a case: before, instruction, what "auto" makes of it with each model, truth. The
    papers' recipes stand in the table.
    """
    out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    models = [load_model(name) for name in PRESETS]
    cases = [lit_case_number(number, kind) for kind, number in SHOWN]
    print(
        "| scene | method | centroid error px | target dB | vacated dB | background dB "
        "|\n|---|---|---|---|---|---|"
    )
    strips = []
    for case in cases:
        pictures, captions = [case.source, overlay(case.source, case.task)], ["before", "instruction"]
        label = f"{case.kind} {case.seed}"
        _row(label, "no edit", no_edit(models[0], case.source[None])[0], case)
        pasted = _edited(models[0], case, "copy_paste")
        _row(label, "copy-paste", pasted, case)
        for model in models:
            recipe = default_recipe(model.family)
            _row(label, f"{recipe}, {model.name}", _edited(model, case, recipe), case)
            after = finish_task(model, case.source[None], case.task)[1][0]
            _row(label, f"{FINISH}, {model.name}", after, case)
            pictures.append(after)
            captions.append(f"after: {FINISH}, {model.name}")
        strips.append(strip([*pictures, case.truth], [*captions, "truth"]))
        write_png(out / f"{case.kind}_{case.seed}.png", to_bytes(strips[-1]))
    write_png(out / "summary.png", to_bytes(stack(strips)))
    write_gif(out / "drag.gif", film(models[-1], cases[0]))
    written = [out / "summary.png", out / "drag.gif"]
    try:
        write_png(out / "photograph.png", to_bytes(photographed(models)))
        written.append(out / "photograph.png")
    except DragError as error:
        print(f"no photograph: {error}")
    print(f"\n{', '.join(map(str, written))} written; {time.perf_counter() - began:.0f} s")


def _edited(model: Model, case: Case, recipe: str) -> Tensor:
    """Edits a case as a user has it: outside what may change stand the picture's own pixels."""
    image = case.source[None]
    after = run_task(model, image, case.task, recipe=recipe)[1]
    return put_back(image, edited=after, editable=case.task.editable)[0]


def _row(label: str, method: str, picture: Tensor, case: Case) -> None:
    print(f"| {label} | {method} | {cells(measure(picture, case), COLUMNS[:-1])} |", flush=True)


def photographed(models: list[Model]) -> Tensor:
    """Draws the photograph's strip: before, instruction, and what each model makes of it.

    Its pixels are finer than what the small models can draw: they stay, only what the thing leaves is drawn.
    """
    image, drag = photograph()
    task, _ = build_task(drag, Grid(*image.shape[-2:]))
    pictures, captions = [image[0], overlay(image[0], task)], ["before", "instruction"]
    for model in models:
        pictures.append(edit_picture(model, image, drag, recipe=FINISH).image[0])
        captions.append(f"after: {FINISH}, {model.name}")
    return strip(pictures, captions)


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

"""The table of held-out scenes: what each recipe does where the right answer is known."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ..backends.load import Model, load_model
from ..edit import run_task
from ..motion.masks import EDITABLE, on_grid
from ..pictures.files import to_bytes, write_json, write_png
from ..pictures.inpaint import pixel_warp
from ..pictures.overlay import overlay, stack, strip
from ..recipes import METHODS
from ..recipes.assemble import usual_solver
from ..recipes.choice import COPY_PASTE, default_recipe
from ..recipes.presets import PRESETS
from ..trajectory.invert import denoise, invert
from ..types import Grid
from .cases import KINDS, Case, held_out, measure

COLUMNS = ("centroid", "target", "vacated", "background", "seconds")
ROWS = (
    ("no edit", "embedded-sd"),
    ("no edit", "embedded-flux"),
    ("copy_paste", "embedded-sd"),
    ("copy_paste", "embedded-flux"),
    ("pixel warp + inpainting", ""),
    ("start only", "embedded-sd"),
    ("start only", "embedded-flux"),
    *((m.name, f"embedded-{m.family}") for m in METHODS.values()),
)
Row = dict[str, float]


def cells(row: Row, columns: tuple[str, ...]) -> str:
    """Formats a table row's numbers; a dash where there is none."""
    return " | ".join("–" if math.isnan(row[c]) else f"{row[c]:.1f}" for c in columns)


def no_edit(model: Model, image: Tensor) -> Tensor:
    """Inverts from the model's own starting level and denoises again."""
    solver, schedule = usual_solver(model.family), PRESETS[model.name].schedule
    source = invert(model.backbone, model.codec.encode(image), schedule, solver)
    return model.codec.decode(denoise(model.backbone, source.z[0], schedule, solver))


def run_row(name: str, model: Model | None, case: Case) -> tuple[Tensor, bool]:
    """Runs one row of the table on one case and returns its picture (3, H, W).

    The second item tells whether latents outside the editable mask are the source's bit for bit.
    """
    image = case.source[None]
    if model is None:
        return pixel_warp(case.source, case.task.regions), True
    if name == "no edit":
        return no_edit(model, image)[0], True
    if name == "start only":
        recipe = default_recipe(model.family)
        result, decoded = run_task(model, image, case.task, recipe=recipe, updates=False)
    else:
        result, decoded = run_task(model, image, case.task, recipe=name)
    return decoded[0], exact_outside(name, model, case, result.z)


def exact_outside(name: str, model: Model, case: Case, z: Tensor) -> bool:
    """Tells whether recipe `name` has left the source's latent as it was where nothing may change."""
    share = EDITABLE if name == COPY_PASTE else PRESETS[model.name].share
    cells = on_grid(case.editable, Grid(*z.shape[-2:]), share)
    return is_same(z, model.codec.encode(case.source[None]), cells)


def is_same(a: Tensor, b: Tensor, cells: Tensor) -> bool:
    """Tells whether two latents are bit-equal outside `cells` (1, 1, h, w)."""
    outside = (cells < 0.5).expand_as(a)
    return torch.equal(a[outside], b[outside])


def mean(rows: list[Row]) -> Row:
    """Averages columns over the cases where a value exists."""
    out = {}
    for key in COLUMNS:
        values = [r[key] for r in rows if not math.isnan(r[key])]
        out[key] = sum(values) / len(values) if values else math.nan
    return out


def table(cases: int, folder: Path | None, say: Callable[[str], None] = print) -> dict[str, dict[str, Row]]:
    """Prints the table (markdown) and the bars for moves.

    folder: where strips and every case's numbers are written (None: nowhere).
    """
    models = {name: load_model(name) for name in PRESETS}
    drawn = held_out(cases)
    say("seeds: " + "; ".join(f"{k} " + " ".join(str(c.seed) for c in drawn if c.kind == k) for k in KINDS))
    found: dict[str, dict[str, list[Row]]] = {}
    kept: dict[int, list[Tensor]] = {c.seed: [c.source, overlay(c.source, c.task)] for c in drawn}
    exact = True
    for name, model_name in ROWS:
        row = f"{name} ({model_name})" if model_name else name
        for case in drawn:
            began = time.perf_counter()
            picture, same = run_row(name, models.get(model_name), case)
            exact = exact and same
            numbers = measure(picture, case) | {"seconds": time.perf_counter() - began}
            found.setdefault(row, {}).setdefault(case.kind, []).append(numbers)
            kept[case.seed].append(picture)
        print(f"{row}: {len(drawn)} scenes", file=sys.stderr, flush=True)
    averages = {row: {kind: mean(v) for kind, v in kinds.items()} for row, kinds in found.items()}
    for kind in KINDS:
        say(
            f"\n**{kind}** ({cases} scenes)\n\n| method | centroid error px | target dB | vacated dB | "
            f"background dB | seconds |\n|---|---|---|---|---|---|"
        )
        for row, kinds in averages.items():
            say(f"| {row} | {cells(kinds[kind], COLUMNS)} |")
    say("")
    for name, model_name, share in (("dragnext", "embedded-sd", 0.25), ("dragflow", "embedded-flux", 0.35)):
        say(bars({row: kinds["move"] for row, kinds in averages.items()}, name, model_name, share))
    say(f"latents outside the editable mask bit-equal to the source's: {'yes' if exact else 'NO'}")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        captions = [
            "source",
            "instruction",
            *(f"{n} {m.removeprefix('embedded-')}".strip() for n, m in ROWS),
            "truth",
        ]
        for kind in KINDS:
            rows = [strip([*kept[c.seed], c.truth], captions) for c in drawn if c.kind == kind]
            write_png(folder / f"{kind}.png", to_bytes(stack(rows)))
        write_json(folder / "table.json", found)
    return averages


def bars(moves: dict[str, Row], name: str, model: str, share: float) -> str:
    """Says in one line what the issue asks of the moves, and whether it holds."""
    ours, none, paste = (moves[f"{n} ({model})"] for n in (name, "no edit", "copy_paste"))
    checks = (
        (
            f"centroid {ours['centroid'] / none['centroid']:.3f} x no edit (<= {share})",
            ours["centroid"] <= share * none["centroid"],
        ),
        (
            f"vacated {ours['vacated'] - none['vacated']:+.1f} dB over no edit (>= 8)",
            ours["vacated"] >= none["vacated"] + 8,
        ),
        (
            f"{ours['vacated'] - paste['vacated']:+.1f} dB over copy-paste (> 0)",
            ours["vacated"] > paste["vacated"],
        ),
        (f"background {ours['background']:.1f} dB (>= 38)", ours["background"] >= 38),
    )
    return f"bars for moves, {name} on {model}: " + "; ".join(
        f"{text} {'ok' if ok else 'MISSED'}" for text, ok in checks
    )

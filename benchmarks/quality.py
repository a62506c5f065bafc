"""python -m benchmarks.quality [run | table | page | sheet] [--scenes N] [--plain N] [--rows TEXT] [--check]

What every recipe draws where the right answer is known: held-out lit scenes (N of each kind of edit; light
stays where it is, so that a warp of the picture is not the truth) and the plain ones of `python -m drag_core
table`. A line of out/quality/drags.jsonl is one drag; a run goes on where it was stopped, with --workers
several scenes at once. --check: exit 1 where a bar is missed. page: writes docs/quality.md and the README's
short table.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks import quality_table
from benchmarks.ablation import ours_without_keys
from benchmarks.measures import measured
from benchmarks.page import README, put
from benchmarks.quality_table import WARP, WARP_AE
from drag_core.backends.load import Model, load_model
from drag_core.bench import lines
from drag_core.bench.cases import Case
from drag_core.bench.held import Scene, case_of, over, scenes
from drag_core.bench.lit.cases import lit_cases
from drag_core.bench.table import exact_outside, no_edit
from drag_core.edit import Change, run_task
from drag_core.finishing import finish_task
from drag_core.pictures.files import to_bytes, write_png
from drag_core.pictures.inpaint import pixel_warp
from drag_core.pictures.overlay import overlay, stack, strip
from drag_core.recipes import METHODS
from drag_core.recipes.choice import COPY_PASTE, FINISH, default_recipe
from drag_core.recipes.presets import PRESETS

OUT = Path("out/quality")
COMMAND = "python -m benchmarks.quality page"
DOCS = README.parent / "docs/quality.md"
HEAD = f"""# What the recipes draw where the right answer is known

Written by `{COMMAND}`. Held-out scenes (no model was trained on them, nothing was tuned on them), 256 px, the
embedded models with their presets, CPU, one thread of a busy machine of two cores (the seconds are for
comparing rows only). A row on fewer scenes than the others says on how many.
*target*: where the thing arrives; *vacated*: what it left; *edited*: all that may change; *background*:
the rest, against the source; *place*: between where the thing is and where it should be; *turn*: by how much
it is turned wrongly; *shadow left*: how much is still there of a shadow that should be gone. *start only*:
the draft (the picture warped in pixels, its hole redrawn), inverted and denoised again: what the recipes of
regions start from."""
Drawn = tuple[Tensor, Tensor | None]  # the picture, and the latent that it is of
model_of = cache(load_model)


@dataclass(frozen=True)
class Row:
    """A row of the table: what it is called, its model, and how it draws a case."""

    name: str
    model: str
    draw: Callable[[Model, Case], Drawn]

    @property
    def label(self) -> str:
        return f"{self.name} ({self.model})" if self.model else self.name


def by_recipe(
    name: str, updates: bool = True, change: Change | None = None
) -> Callable[[Model, Case], Drawn]:
    def draw(model: Model, case: Case) -> Drawn:
        image = case.source[None]
        result, picture = run_task(model, image, case.task, recipe=name, updates=updates, change=change)
        return picture[0], result.z

    return draw


def start_only(model: Model, case: Case) -> Drawn:
    return by_recipe(default_recipe(model.family), updates=False)(model, case)


def rows() -> tuple[Row, ...]:
    """All rows, in the table's order."""
    out = []
    for model in PRESETS:
        out.append(Row("no edit", model, lambda m, c: (no_edit(m, c.source[None])[0], None)))
        out.append(Row(COPY_PASTE, model, by_recipe(COPY_PASTE)))
    out.append(Row(WARP, "", lambda m, c: (pixel_warp(c.source, c.task.regions), None)))
    out.append(Row(WARP_AE, "", through_autoencoder))
    out += [Row("start only", model, start_only) for model in PRESETS]
    out += [Row(FINISH, model, by_finish) for model in PRESETS]
    out.append(Row("dragflow without K/V", "embedded-flux", by_recipe("dragflow", change=ours_without_keys)))
    return (*out, *(Row(m.name, f"embedded-{m.family}", by_recipe(m.name)) for m in METHODS.values()))


def by_finish(model: Model, case: Case) -> Drawn:
    return finish_task(model, case.source[None], case.task)[1][0], None


def through_autoencoder(model: Model, case: Case) -> Drawn:
    z = model.codec.encode(pixel_warp(case.source, case.task.regions)[None])
    return model.codec.decode(z)[0], None


@contextmanager
def counted(model: Model) -> Iterator[list[int]]:
    """Counts the calls of the model's network."""
    calls = [0]

    def add(*_: Any) -> None:
        calls[0] += 1

    handle = model.backbone.net.register_forward_pre_hook(add)  # type: ignore[attr-defined]
    try:
        yield calls
    finally:
        handle.remove()


def drag_once(row: Row, model: Model, case: Case) -> tuple[dict[str, Any], Tensor]:
    began = time.perf_counter()
    with counted(model) as calls:
        picture, z = row.draw(model, case)
    seconds = time.perf_counter() - began
    numbers: dict[str, Any] = dict(measured(picture, case))
    if z is not None:
        numbers["exact"] = exact_outside(row.name, model, case, z)
    return numbers | {"calls": calls[0], "seconds": seconds}, picture


def run(out: Path, lit: int, plain: int, wanted: Sequence[str] = ("",), workers: int = 1) -> None:
    """Draws what is not drawn yet, scene by scene, so that an early stop leaves whole scenes."""
    log = out / "drags.jsonl"
    done = frozenset((r["row"], r["scenes"], r["kind"], r["seed"]) for r in lines.read(log))
    draw = partial(draw_scene, log=log, done=done, wanted=tuple(wanted))
    over(scenes(lit, plain), draw, workers)


def draw_scene(scene: Scene, log: Path, done: frozenset[tuple[Any, ...]], wanted: tuple[str, ...]) -> None:
    """Draws the rows of one scene that are not in the log."""
    case = case_of(scene)
    for row in rows():
        key = (row.label, scene[0], case.kind, case.seed)
        if key in done or not any(text in row.label for text in wanted):
            continue
        numbers, _ = drag_once(row, model_of(row.model or "embedded-sd"), case)
        lines.append(log, dict(zip(("row", "scenes", "kind", "seed"), key, strict=True)) | numbers)
    print(f"{scene[0]} {case.kind} {case.seed}", file=sys.stderr, flush=True)


def sheet(out: Path, per_kind: int = 2) -> Path:
    """Draws a contact sheet: a strip for each of the first scenes, row after row, and the truth."""
    shown = [r for r in rows() if r.name not in ("no edit", COPY_PASTE)]
    strips = []
    captions = ["source", "drag", *(r.label.replace("embedded-", "") for r in shown), "truth"]
    for case in lit_cases(per_kind):
        drawn = [row.draw(model_of(row.model or "embedded-sd"), case)[0] for row in shown]
        pictures = [case.source, overlay(case.source, case.task), *drawn, case.truth]
        strips.append(strip(pictures, captions))
    out.mkdir(parents=True, exist_ok=True)
    write_png(out / "sheet.png", to_bytes(stack(strips)))
    return out / "sheet.png"


def page(records: quality_table.Records, docs: Path = DOCS, readme: Path = README) -> None:
    """Writes the whole table, and the short one into the README."""
    whole, few = [HEAD], list[str]()
    quality_table.show(records, whole.append)
    docs.write_text("\n".join(whole) + "\n", encoding="utf-8")
    quality_table.short(records, few.append)
    put(COMMAND, few, readme)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("run", "table", "page", "sheet"), default="run")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--scenes", type=int, default=30, help="lit scenes of each kind of edit")
    parser.add_argument("--plain", type=int, default=8, help="plain scenes of each kind, at most 8")
    parser.add_argument(
        "--rows", nargs="+", default=[""], help="only rows whose label holds one of these texts"
    )
    parser.add_argument("--workers", type=int, default=1, help="scenes at once, each on one thread")
    parser.add_argument("--check", action="store_true", help="exit 1 where a bar is missed")
    args = parser.parse_args(argv)
    if args.what == "sheet":
        print(sheet(args.out))
        return 0
    if args.what == "run":
        run(args.out, args.scenes, args.plain, args.rows, args.workers)
    order = {row.label: i for i, row in enumerate(rows())}
    records = lines.read(args.out / "drags.jsonl")
    records.sort(key=lambda r: order.get(r["row"], len(order)))
    if args.what == "page":
        page(records)
        return 0
    missed = quality_table.show(records)
    return 1 if args.check and missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""python -m benchmarks.drafts [run | table | page] [--models A] [--scenes N] [--plain N] [--drafts A] ...

Starts, keys and values, and drags without gradients, on held-out lit scenes (N of each kind) and plain ones:
what a drag starts from (the paste of old, the draft inverted or noised), updates under no, the picture's or
the draft's keys and values, and finish() by time, strength of the moved thing and keys and values. --drafts:
clean, or spoilt: its hole grey, its rim rough, the thing blurred or wrongly lit. --rows: only some.
A line of out/drafts/drags.jsonl is one picture; a run goes on where it was stopped, with --workers several
scenes at once. page: writes docs/drafts.md; a table of which the file has no line stays as it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import drafts_table
from benchmarks.drafts_table import FINISHED, TELEA, WARP, WARP_AE
from benchmarks.fills import filled_by_opencv, pasted_on
from benchmarks.measures import measured
from benchmarks.page import README
from drag_core.backends.load import Model, load_model
from drag_core.bench import held, lines
from drag_core.bench.cases import Case
from drag_core.drag import drag
from drag_core.edit import ground_of
from drag_core.features.descent import NormalisedDescent
from drag_core.motion.areas import editable_cells, strength_map
from drag_core.motion.masks import BEYOND, arriving, grow
from drag_core.pictures.inpaint import painted_over, pixel_warp
from drag_core.pictures.paste import kept
from drag_core.recipes.assemble import Choice, Given, assemble
from drag_core.recipes.choice import default_recipe
from drag_core.recipes.presets import PRESETS
from drag_core.recipes.recipe import Recipe
from drag_core.trajectory.finish import STEPS, finish, noise_like
from drag_core.trajectory.invert import invert
from drag_core.trajectory.schedules import evenly
from drag_core.types import Trajectory

FILE = Path("out/drafts/drags.jsonl")
OLD_STEPS = {"embedded-sd": 0.012, "embedded-flux": 0.007}  # of the presets of abf8e35
KEY = ("model", "draft", "row", "scenes", "seed")
COLUMNS = ("target", "vacated", "edited", "background", "centroid")
DOCS = README.parent / "docs/drafts.md"
model_of = cache(load_model)
Keys = Literal["none", "picture", "draft"]  # whose keys and values
WHOSE: tuple[Keys, ...] = ("none", "picture", "draft")


@dataclass(frozen=True)
class Scene:
    """A case on a model, with a draft of its result; what several rows need is made once."""

    model: Model
    case: Case
    draft: Tensor  # (3, H, W)

    @cached_property
    def recipe(self) -> Recipe:
        name = default_recipe(self.model.family)
        return assemble(self.case.task, ground_of(self.model), Choice(name))

    @cached_property
    def picture(self) -> Tensor:
        return self.model.codec.encode(self.case.source[None])

    @cached_property
    def sketch(self) -> Tensor:
        """The draft's latent where something may change, the picture's elsewhere."""
        may = editable_cells(self.case.task) > 0.5
        return torch.where(may, self.model.codec.encode(self.draft[None]), self.picture)

    @cached_property
    def source(self) -> Trajectory:
        return self.inverted(self.picture)

    @cached_property
    def drafted(self) -> Trajectory:
        return self.inverted(self.sketch)

    @cached_property
    def named(self) -> tuple[str, ...]:
        return tuple(self.model.backbone.projections)  # type: ignore[attr-defined]

    def inverted(self, z: Tensor) -> Trajectory:
        r = self.recipe
        return invert(self.model.backbone, z, r.schedule, r.solver, self.named)

    def noised(self) -> Trajectory:
        """The draft's trajectory with a fresh noise in place of its own."""
        s, noise = self.recipe.schedule, noise_like(self.sketch, 0)
        path = (a * self.sketch + b * noise for a, b in zip(s.alpha[:-1], s.sigma[:-1], strict=True))
        return Trajectory(s, (*path, self.sketch))

    def decoded(self, z: Tensor) -> Tensor:
        return self.model.codec.decode(z)[0].clamp(0, 1)


def started(scene: Scene, how: str, updates: bool, kv: Keys = "none") -> Tensor:
    """Draws from a start: "paste", "draft" or "noised"; with the preset's updates, or none."""
    m, task = scene.model, scene.case.task
    if how == "paste":
        empty = painted_over(scene.case.source, scene.case.mask)[None]
        given = Given(filled=scene.inverted(m.codec.encode(empty)), warped=m.codec.encode(scene.draft[None]))
    else:
        given = Given(draft=scene.drafted if how == "draft" else scene.noised())
    recipe = assemble(task, ground_of(m), Choice(default_recipe(m.family)), given)
    if how == "paste":
        recipe = replace(recipe, optimizer=partial(NormalisedDescent, lr=OLD_STEPS[m.name]))
    if not updates:
        recipe = replace(recipe, ramp=())
    if kv == "none":
        return scene.decoded(drag(m.backbone, scene.source, replace(recipe, kv_blocks=())).z)
    recipe = replace(recipe, kv_blocks=scene.named, kv_of=kv)
    return scene.decoded(drag(m.backbone, scene.source, recipe, draft=scene.drafted).z)


def finished(scene: Scene, first: float, core: float = 0.0, rest: float = 0.0, kv: str = "none") -> Tensor:
    """Draws the draft to its end from the flow's time `first`."""
    kind = scene.recipe.schedule.prediction
    cells = strength_map(scene.case.task, core, rest)
    blocks = () if kv == "none" else scene.named
    levels, noise = evenly(first, STEPS, kind), noise_like(scene.sketch, 0)
    return scene.decoded(finish(scene.model.backbone, scene.sketch, cells, levels, noise, kv_blocks=blocks))


def pasted(scene: Scene, first: float, core: float = 0.0, kv: str = "none") -> Tensor:
    """As finished(), with the draft's own pixels where the thing's cells are the draft's."""
    cells = (strength_map(scene.case.task, core) > 0).float()
    return kept(scene.draft[None], finished(scene, first, core, 0.0, kv)[None], cells)[0]


Draw = Callable[[Scene], Tensor]


def rows(model: str) -> dict[str, Draw]:
    """All rows for a model; keys and values of a UNet do nothing (moved-kv.md), so it has none in finish."""
    out: dict[str, Draw] = {
        WARP: lambda s: s.draft,
        TELEA: lambda s: pasted_on(s.case, filled_by_opencv(s.case)),
        WARP_AE: lambda s: s.decoded(s.model.codec.encode(s.draft[None])),
    }
    for how in ("paste", "draft", "noised"):
        out[f"start {how}"] = partial(started, how=how, updates=False)
    out["start paste, updates"] = partial(started, how="paste", updates=True)
    for whose in WHOSE:
        out[f"start draft, updates, K/V {whose}"] = partial(started, how="draft", updates=True, kv=whose)
    for kv in ("none", "draft") if model == "embedded-flux" else ("none",):
        tail = "" if kv == "none" else ", K/V of the draft"
        for first in (0.4, 0.5, 0.6):
            out[f"{FINISHED} {first}{tail}"] = partial(pasted, first=first, kv=kv)
        for core in (0.25, 0.5, 1.0):
            out[f"hole from 0.5, core {core}{tail}"] = partial(pasted, first=0.5, core=core, kv=kv)
        out[f"all from 0.5, core 0.5{tail}"] = partial(finished, first=0.5, core=0.5, rest=1.0, kv=kv)
        out[f"all from 0.78, core 0.5{tail}"] = partial(finished, first=0.78, core=0.5, rest=1.0, kv=kv)
    return out


def spoilt(case: Case, how: str) -> Tensor:
    """A draft of the case: clean, or as a careless hand makes it."""
    regions = case.task.regions
    draft = pixel_warp(case.source, regions)
    there = arriving(regions)
    if how == "grey hole":
        left = grow(case.mask, BEYOND) * (1 - there)
        return draft * (1 - left) + case.source.mean((1, 2), keepdim=True) * left
    if how == "rough rim":
        return pixel_warp(case.source, [replace(r, mask=grow(r.mask, 6)) for r in regions])
    if how == "blurred":
        half = F.interpolate(draft[None], scale_factor=0.5, mode="area")
        soft = F.interpolate(half, draft.shape[-2:], mode="bilinear", align_corners=False)[0]
        return draft * (1 - there) + soft * there
    if how == "wrong light":
        return draft * (1 - 0.3 * there)
    return draft


DRAFTS = ("clean", "grey hole", "rough rim", "blurred", "wrong light")


def run(
    file: Path,
    scenes: list[held.Scene],
    models: list[str],
    drafts: list[str],
    wanted: list[str],
    workers: int = 1,
) -> None:
    """Draws what is not in the file yet; wanted: texts, of which a row's name holds one."""
    done = frozenset(tuple(d[k] for k in KEY) for d in lines.read(file))
    held.over(scenes, partial(_draw, file, done, models, drafts, wanted), workers)


def _draw(
    file: Path,
    done: frozenset[tuple[Any, ...]],
    models: list[str],
    drafts: list[str],
    wanted: list[str],
    place: held.Scene,
) -> None:
    case = held.case_of(place)
    for name in models:
        for how in drafts:
            asked = {r: draw for r, draw in rows(name).items() if any(text in r for text in wanted)}
            left = {(name, how, r, place[0], case.seed): draw for r, draw in asked.items()}
            left = {key: draw for key, draw in left.items() if key not in done}
            if not left:
                continue
            scene = Scene(model_of(name), case, spoilt(case, how))
            for key, draw in left.items():
                numbers = measured(draw(scene), case)
                line = dict(zip(KEY, key, strict=True)) | {"kind": case.kind}
                lines.append(file, line | {c: numbers[c] for c in COLUMNS})
    print(f"{place[0]} {case.kind} {case.seed}", file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drafts", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("run", "table", "page"), default="run")
    parser.add_argument("--file", type=Path, default=FILE)
    parser.add_argument("--models", nargs="+", choices=tuple(PRESETS), default=list(PRESETS))
    parser.add_argument("--scenes", type=int, default=6, help="lit scenes of each kind of edit")
    parser.add_argument("--plain", type=int, default=0, help="plain scenes of each kind, at most 8")
    parser.add_argument("--drafts", nargs="+", choices=DRAFTS, default=["clean"])
    parser.add_argument("--rows", nargs="+", default=[""], help="only rows that hold one of these texts")
    parser.add_argument("--workers", type=int, default=1, help="scenes at once, each on one thread")
    args = parser.parse_args(argv)
    if args.what == "run":
        places = held.scenes(args.scenes, args.plain)
        run(args.file, places, args.models, args.drafts, args.rows, args.workers)
    found = lines.read(args.file)
    if args.what == "page":
        before = DOCS.read_text(encoding="utf-8") if DOCS.exists() else ""
        DOCS.write_text("\n".join(drafts_table.page(found, before)) + "\n", encoding="utf-8")
    else:
        drafts_table.table(found)
        drafts_table.by_kind(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())

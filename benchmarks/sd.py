"""python -m benchmarks.sd run [--lora] | table | parts

The Stable Diffusion methods and their parts taken away, on held-out scenes whose right answer is known, with
the embedded UNet: every row sets out from the same place (the inverted picture, its source emptied), with the
same step length, so that a difference is the part's own. `run` adds one line of JSON a scene and row to
--file and skips what is there; `table` prints the table and which of the papers' orderings hold; `parts`:
what CLoss does to a picture that is merely denoised, and how many updates drags of several lengths take.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.sd_table import table
from drag_core.backends.load import Model, load_model
from drag_core.bench.cases import Case, held_out, measure
from drag_core.bench.lines import append, read
from drag_core.bench.scenes import HELD_OUT
from drag_core.drag import drag
from drag_core.edit import ground_of
from drag_core.features.descent import NormalisedDescent
from drag_core.features.semantic import SemanticSupervision
from drag_core.features.supervise import PointSupervision
from drag_core.metrics.dai import dai
from drag_core.pictures.inpaint import painted_over
from drag_core.recipes.assemble import Choice, Given, assemble
from drag_core.recipes.common import linear, per_level
from drag_core.recipes.presets import EMBEDDED_SD, emptied
from drag_core.recipes.recipe import Recipe
from drag_core.trajectory.invert import invert
from drag_core.trajectory.solvers import ddim
from drag_core.trajectory.start import InOrder, Refill
from drag_core.types import Handle, Task, Trajectory

Change = Callable[[Recipe, Task], Recipe]
# learns a picture (1, 3, H, W); while it is open the model knows it
Identity = Callable[[Model, Tensor], AbstractContextManager[None]]

FILE = Path("out/sd.jsonl")
RADIUS = 10  # DAI's γ, pixels
POINTS = EMBEDDED_SD.points
assert POINTS is not None
UPDATES = EMBEDDED_SD.levels * POINTS.updates


def drift_prone(recipe: Recipe, task: Task) -> Recipe:
    """GoodDrag without information preservation: the reference is the last update's own patch."""
    assert isinstance(recipe.supervision, PointSupervision)
    return replace(recipe, supervision=replace(recipe.supervision, preserve=False))


def last_updates(recipe: Recipe, task: Task) -> Recipe:
    """AdaptiveDrag without our information preservation: compared with the last update, as in the paper."""
    assert isinstance(recipe.supervision, SemanticSupervision)
    return replace(recipe, supervision=replace(recipe.supervision, preserve=False))


def one_level(recipe: Recipe, task: Task) -> Recipe:
    """GoodDrag without alternation: as many updates, all at the noisiest level."""
    return replace(recipe, ramp=((1.0,) * UPDATES,))


def unguided(recipe: Recipe, task: Task) -> Recipe:
    return replace(recipe, guide=None)


def unchanged(recipe: Recipe, task: Task) -> Recipe:
    return recipe


def moving(recipe: Recipe, task: Task, between: bool = True, timesteps: int = EMBEDDED_SD.levels) -> Recipe:
    """DragNeXt from where the points set out, with steps as long, with or without the states between.

    timesteps: that are updated, as often each (the paper's N, its Fig. 10).
    """
    assert POINTS is not None
    updates = timesteps * POINTS.updates
    ramp = linear(updates) if between else (1.0,) * updates
    assert isinstance(recipe.start, InOrder) and isinstance(recipe.start.first, Refill)
    start = emptied(task, recipe.start.first.background)
    step = partial(NormalisedDescent, lr=POINTS.step)
    return replace(recipe, ramp=per_level(ramp, POINTS.updates), start=start, optimizer=step)


def nothing(recipe: Recipe, task: Task) -> Recipe:
    return replace(recipe, ramp=(), start=None)


ROWS: dict[str, tuple[str, Change]] = {
    "no edit": ("gooddrag", nothing),
    "dragdiffusion": ("dragdiffusion", unchanged),
    "gooddrag": ("gooddrag", unchanged),
    "gooddrag without information preservation": ("gooddrag", drift_prone),
    "gooddrag without alternation": ("gooddrag", one_level),
    "adaptivedrag": ("adaptivedrag", unchanged),
    "adaptivedrag without CLoss": ("adaptivedrag", unguided),
    "adaptivedrag without information preservation": ("adaptivedrag", last_updates),
    "dragnext": ("dragnext", moving),
    "dragnext without intermediate states": ("dragnext", partial(moving, between=False)),
    **{f"dragnext at {n} timesteps": ("dragnext", partial(moving, timesteps=n)) for n in (1, 3, 5, 7)},
}


def scenes(share: float = 1.0) -> list[Case]:
    """Twenty moves, ten turns, ten stretches: the first that fit, from fixed seeds never trained on."""
    kinds = (("move", 20, 0), ("rotate", 10, 1000), ("deform", 10, 2000))
    cases = [held_out(max(1, round(n * share)), HELD_OUT + at, (k,)) for k, n, at in kinds]
    # in turn, so that what has been run at any time is of all kinds
    return [c for k in range(len(cases[1])) for c in (*cases[0][2 * k : 2 * k + 2], cases[1][k], cases[2][k])]


@dataclass(frozen=True)
class Ready:
    """A scene inverted by the model that drags it: what all rows share."""

    model: Model
    source: Trajectory
    filled: Trajectory


def prepare(model: Model, case: Case) -> Ready:
    pictures = (case.source[None], painted_over(case.source, case.mask)[None])
    clean = (model.codec.encode(x) for x in pictures)
    source, filled = (invert(model.backbone, z, EMBEDDED_SD.schedule, ddim) for z in clean)
    return Ready(model, source, filled)


def dragged(ready: Ready, case: Case, row: str) -> tuple[Tensor, int]:
    """Returns the picture (3, H, W) that a row draws of a case, and how many updates it took."""
    name, change = ROWS[row]
    recipe = assemble(case.task, ground_of(ready.model), Choice(name), Given(ready.filled))
    result = drag(ready.model.backbone, ready.source, change(recipe, case.task))
    return ready.model.codec.decode(result.z)[0].clamp(0, 1), len(result.losses)


def run_one(ready: Ready, case: Case, row: str) -> dict[str, float]:
    began = time.perf_counter()
    picture, updates = dragged(ready, case, row)
    found = dai(case.source, picture, [(case.handle, case.target)], RADIUS)
    return {
        **measure(picture, case),
        "dai": found.paper,
        "updates": float(updates),
        "seconds": time.perf_counter() - began,
    }


def run(file: Path, identity: Identity | None, rows: list[str], share: float = 1.0) -> None:
    """Every row on every scene, appended to `file` as it is found; what is there is not done again."""
    lora = identity is not None
    done = {(r["row"], r["lora"], r["seed"]) for r in read(file)}
    model = load_model("embedded-sd")
    for case in scenes(share):
        left = [row for row in rows if (row, lora, case.seed) not in done]
        torch.manual_seed(case.seed)
        if not left:
            continue
        with identity(model, case.source[None]) if identity is not None else nullcontext():
            ready = prepare(model, case)
            for row in left:
                found = run_one(ready, case, row)
                record = {"row": row, "lora": lora, "kind": case.kind, "seed": case.seed}
                numbers = {k: None if math.isnan(v) else round(v, 5) for k, v in found.items()}
                print(append(file, record | numbers), file=sys.stderr, flush=True)


def parts(say: Callable[[str], None] = print, lengths: tuple[int, ...] = (6, 24, 48)) -> None:
    """What CLoss does while a picture is merely denoised, and how many updates drags of several
    lengths take.
    """
    model, found = load_model("embedded-sd"), scenes(0.1)[:3]
    for case in found[:2]:
        ready = prepare(model, case)
        recipe = assemble(case.task, ground_of(model), Choice("adaptivedrag"))
        guide = recipe.guide
        assert guide is not None
        plain, guided = (
            drag(model.backbone, ready.source, replace(recipe, ramp=(), guide=g)).z for g in (None, guide)
        )
        before, after = (float(guide.loss(z, ready.source.z[-1])) for z in (plain, guided))
        change = float((plain - guided).abs().max())
        say(
            f"- CLoss, scene {case.seed}: {before:.2f} -> {after:.2f}; the latent changes by up to "
            f"{change:.2f}"
        )
    for case in found[:2]:  # one point, from the inverted picture as it is
        ready, (x, y), way = prepare(model, case), case.handle, math.dist(case.handle, case.target)
        counts = []
        for length in lengths:
            dx, dy = ((b - a) * length / way for a, b in zip(case.handle, case.target, strict=True))
            task = Task(case.task.image, (), (Handle((x, y), (x + dx, y + dy)),), case.editable)
            recipe = assemble(task, ground_of(model), Choice("adaptivedrag"))
            recipe = replace(recipe, guide=None, ramp=((1.0,) * 300,))
            counts.append(f"{length} px: {len(drag(model.backbone, ready.source, recipe).losses)}")
        say(f"- updates (n = 80, at most 300) by the drag's length, scene {case.seed}: {', '.join(counts)}")


def identity() -> Identity:
    """The identity LoRA of 70 steps, learnt anew for every picture and put into the weights."""
    try:
        from drag_core.backends.identity import applied
        from drag_core.edit import identity_lora
    except ImportError:
        raise SystemExit("benchmarks.sd: this build has no identity LoRA: run without --lora") from None

    def knowing(model: Model, image: Tensor) -> AbstractContextManager[None]:
        return applied(model.backbone.net, identity_lora(model, image))

    return knowing


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sd", description=__doc__)
    parser.add_argument("what", choices=["run", "table", "parts"])
    parser.add_argument("--file", type=Path, default=FILE)
    parser.add_argument("--lora", action="store_true", help="teach the model each picture first")
    parser.add_argument("--rows", help="some rows alone, separated by commas")
    parser.add_argument("--share", type=float, default=1.0, help="part of the forty scenes")
    args = parser.parse_args(argv)
    if args.what == "run":
        rows = args.rows.split(",") if args.rows else list(ROWS)
        run(args.file, identity() if args.lora else None, rows, args.share)
    if args.what == "parts":
        parts()
    else:
        table(read(args.file), ROWS)
    return 0


if __name__ == "__main__":
    sys.exit(main())

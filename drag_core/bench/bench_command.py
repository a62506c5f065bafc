"""python -m drag_core bench: its arguments, and what is printed while it runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..types import DragError, Variant

if TYPE_CHECKING:
    from .runner import Plan

VARIANTS: tuple[Variant, ...] = ("ours", "paper", "released")
MODELS = "embedded-sd,embedded-flux"


def add_bench(sub: Any) -> None:
    """Adds the command `bench` to the subcommands of an argparse parser."""
    b = sub.add_parser(
        "bench",
        help="recipes over a whole data set, measured beside no edit, pixel warp and copy-paste; resumable",
    )
    b.add_argument(
        "--data",
        required=True,
        help="scenes:N (drawn scenes with known answers), or a folder of samples: ReD Bench, NextBench, "
        "Drag100, DragBench (also -DR and -SR), SDE-Drag, KJNodes' points, or drag.json beside pictures",
    )
    b.add_argument("--recipes", default="", help="by comma, as dragflow,dragnext; none: the baselines alone")
    b.add_argument("--variant", default="ours", help=f"one or several by comma: {', '.join(VARIANTS)}")
    b.add_argument(
        "--model",
        default=MODELS,
        help="as edit's; several by comma: a recipe takes the first that it fits. Default: the embedded ones",
    )
    b.add_argument("--out", type=Path, required=True, help="folder for results.jsonl, tables, contact.html")
    b.add_argument(
        "--resume", action="store_true", help="go on with a stopped run; failed edits are tried again"
    )
    b.add_argument("--seeds", type=int, default=1, metavar="N", help="so many noises for each sample")
    b.add_argument("--seed", type=int, default=0, help="the first seed's number")
    b.add_argument("--limit", type=int, help="only the first so many samples")
    b.add_argument("--workers", type=int, default=0, help="edits at once (0: one a core on embedded models)")
    b.add_argument(
        "--engine",
        default="local",
        choices=["local", "ray"],
        help="ray: over the Ray cluster of RAY_ADDRESS, or one on this machine (pip install ray)",
    )
    b.add_argument(
        "--score",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="measure results that others have drawn: FOLDER/SAMPLE/dragged_image.png, output_image.png, "
        "*_output_dragflow.png, or FOLDER/SAMPLE.png; may be given several times",
    )
    b.add_argument("--identity", type=int, default=0, metavar="STEPS", help="as edit's, for every sample")
    for name, said in (("vae", "as edit's"), ("text", "as edit's")):
        b.add_argument(f"--{name}", type=Path, help=said)
    b.add_argument("--device", default="cpu", help="as edit's")
    b.add_argument("--dtype", default="auto", help="as edit's")
    b.add_argument("--offload", action="store_true", help="as edit's")
    b.add_argument(
        "--lpips",
        type=Path,
        nargs=2,
        metavar=("BACKBONE", "HEADS"),
        help="as metrics': AlexNet's weights and LPIPS' heads; adds IF_bg, IF_s2t, IF_s2s, LPIPS_ue ...",
    )
    b.add_argument("--dift", metavar="MODEL", help="a Stable Diffusion 2.1: adds MD, MD1, MD2")
    b.add_argument("--protocol", default="all", help="whose mean distances --dift makes (default: all)")


def run_bench(a: argparse.Namespace) -> int:
    """Runs it and returns the exit code: 1 where not one edit was drawn; those that failed are counted."""
    from ..pictures.files import write_text
    from .contact import write_contact
    from .runner import failures, run
    from .samples import entries
    from .sheets import table_csv, table_md

    plan = _plan(a)
    try:
        records = run(plan, a.resume, lambda text: print(text, file=sys.stderr, flush=True))
    except KeyboardInterrupt:
        print(f"stopped; what is done is in {a.out}: go on with --resume", file=sys.stderr)
        return 130
    title = f"drag_core bench: {a.data}"
    written = {"table.csv": table_csv(records), "table.md": table_md(records, title)}
    for name, text in written.items():
        write_text(a.out / name, text)
    write_contact(a.out / "contact.html", title, entries(a.data, a.limit), records)
    drawn = len(records) - len(failures(records))
    print(f"{drawn} of {len(records)} edits are in {a.out}: table.md, contact.html")
    return 0 if drawn else 1


def _plan(a: argparse.Namespace) -> Plan:
    """Makes the plan; raises DragError for whatever can't be, before a sample is drawn."""
    from ..backends.precision import Place
    from . import looks
    from .loaded import Settings, family_of
    from .rows import rows_of
    from .runner import Plan

    Place(a.device, a.dtype, a.offload)
    variants = _listed(a.variant)
    if odd := [v for v in variants if v not in VARIANTS]:
        raise DragError(f"there is no variant {odd[0]!r}; variants: {', '.join(VARIANTS)}")
    if a.identity < 0:
        raise DragError(f"--identity is {a.identity}; it is a number of steps, 0 for none")
    for file in (*(a.lpips or ()), a.vae, a.text):
        if file is not None and not file.exists():
            raise DragError(f"there is no file {file}")
    backbone, heads = a.lpips or (None, None)
    weights = looks.Weights(backbone, heads, a.dift, a.protocol)
    settings = Settings(a.device, a.dtype, a.offload, a.vae, a.text, a.identity)
    models = [(name, family_of(name, settings)) for name in _listed(a.model)]
    if not models:
        raise DragError(f"--model names none: use {MODELS}, or a model of your own")
    looks.check(weights, a.device)
    rows = rows_of(_listed(a.recipes), variants or ("ours",), models, _results(a.score))
    return Plan(
        a.data,
        rows,
        a.out,
        settings,
        weights,
        a.seeds,
        a.seed,
        a.limit,
        a.workers,
        a.engine,
    )


def _listed(text: str) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(x for x in (part.strip() for part in text.split(",")) if x))


def _results(given: list[str]) -> list[tuple[str, Path]]:
    out = []
    for text in given:
        name, _, folder = text.partition("=")
        if not name or not folder or not Path(folder).is_dir():
            raise DragError(f"--score {text!r} should be NAME=FOLDER with a folder that exists")
        out.append((name, Path(folder)))
    return out

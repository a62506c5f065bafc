"""python -m drag_core metrics: every number of an edit from its files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..types import DragError

if TYPE_CHECKING:
    from torch import Tensor

    from ..metrics.matched import Features, Found


def add_metrics(sub: Any) -> None:
    """Adds the command's arguments to the parser's list of commands."""
    from ..metrics.protocols import EVERY, LOOKED

    p: argparse.ArgumentParser = sub.add_parser("metrics", help="measure an edit against its drag.json")
    p.add_argument("original", type=Path)
    p.add_argument("edited", type=Path)
    p.add_argument("--drag", type=Path, required=True, help="drag instruction (JSON, version 1)")
    p.add_argument("--reference", type=Path, help="the right result, if there is one")
    p.add_argument(
        "--lpips",
        type=Path,
        nargs=2,
        metavar=("BACKBONE", "HEADS"),
        help="torchvision's alexnet-owt-7be5be79.pth and lpips/weights/v0.1/alex.pth of the package lpips: "
        "adds IF_bg, IF_s2t, IF_s2s, LPIPS_ue ...",
    )
    p.add_argument(
        "--dift", metavar="MODEL", help="a Stable Diffusion 2.1 (file or folder): adds MD, MD1, MD2"
    )
    p.add_argument(
        "--protocol", choices=[*LOOKED, EVERY], default="dragflow", help="whose mean distances --dift makes"
    )
    p.add_argument("--prompt", help="what the original shows (default: the drag's source prompt)")
    p.add_argument("--seed", type=int, default=42, help="of DIFT's noises")
    p.add_argument("--device", default="cpu", help="cpu, or a card: cuda, cuda:1 ...")
    p.add_argument("--report", type=Path, help="the .json beside the edit: adds its seconds")
    p.add_argument("--json", type=Path, help="file to write the numbers to")
    p.add_argument("--sheet", type=Path, help="PNG to write the table to")
    p.add_argument("--matches", type=Path, help="PNG to write the edit to, with where content was found")


def run_metrics(a: argparse.Namespace) -> None:
    """Measures, prints the table, writes what was asked for."""
    from ..metrics.cost import told
    from ..metrics.lpips_weights import read_lpips
    from ..metrics.report import Looks, as_dict, check_pictures, measure, missing, places, rows, table, title
    from ..motion.instruction import read_instruction
    from ..motion.task import build_task
    from ..pictures.files import read_mask, read_picture, write_json, write_picture
    from ..pictures.sheet import sheet
    from ..types import Grid

    _check_out(a)
    original, edited = (read_picture(p).image for p in (a.original, a.edited))
    reference = None if a.reference is None else read_picture(a.reference).image[0]
    instruction = read_instruction(a.drag)
    size = Grid(*original.shape[-2:])
    task, notes = build_task(instruction, size, lambda name: read_mask(a.drag.parent / name))
    cost = None if a.report is None else told(_text(a.report))
    net = None if a.lpips is None else read_lpips(*a.lpips)
    given = {"original": original[0], "edited": edited[0]}
    given |= {} if reference is None else {"reference": reference}
    check_pictures(given, task.image)  # what can't be compared is said before a model loads
    features: tuple[Features | None, Features | None] = (None, None)
    if a.dift is not None:
        prompt = instruction.source_prompt if a.prompt is None else a.prompt
        features = _features(a, prompt, original, edited)
    looks = Looks(net, *features)
    report = measure(original[0], edited[0], task, reference, looks, cost)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(table(report))
    if a.json is not None:
        write_json(a.json, as_dict(report))
    if a.sheet is not None:
        write_picture(a.sheet, sheet(title(report), rows(report), missing(report)))
    if a.matches is not None:
        write_picture(a.matches, _matches(edited[0], places(original[0], edited[0], task, looks)))


def _check_out(a: argparse.Namespace) -> None:
    """Raises DragError where a file can't be written, or would replace what is read."""
    given = [p for p in (a.original, a.edited, a.drag, a.reference, a.report, *(a.lpips or ())) if p]
    for path, suffix in ((a.json, ".json"), (a.sheet, ".png"), (a.matches, ".png")):
        if path is None:
            continue
        if path.suffix.lower() != suffix:
            raise DragError(f"the output {path.name} must end in {suffix}")
        if not path.parent.is_dir():
            raise DragError(
                f"the folder {path.parent} does not exist: make it, or choose another place for {path.name}"
            )
        if path.exists() and any(p.exists() and path.samefile(p) for p in given):
            raise DragError(f"{path} would be written over and it is what is read: choose another place")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DragError(f"the report {path} can't be read: {error}") from None


def _features(
    a: argparse.Namespace, prompt: str, original: Tensor, edited: Tensor
) -> tuple[Features, Features]:
    """Makes DIFT of both pictures by the model `a.dift`, under the empty prompt and `prompt`."""
    from ..backends.load import load_model
    from ..metrics.lpips_weights import sha256_of
    from ..metrics.protocols import rules_of
    from .looks import features_through, look_through

    model, rules = load_model(a.dift, target_prompt=prompt, device=a.device), rules_of(a.protocol)
    label, look = look_through(model, a.seed)
    path = Path(a.dift).expanduser()
    sha256 = sha256_of(path) if path.is_file() else ""
    made = []
    for which, image in (("original", original), ("edit", edited)):
        print(f"DIFT of the {which} by {model.name}", file=sys.stderr, flush=True)
        made.append(features_through(look, label, image.to(a.device), rules, prompt, sha256, a.seed))
    return made[0], made[1]


def _matches(edited: Tensor, seen: list[tuple[str, tuple[Found, ...]]]) -> Tensor:
    from ..pictures.overlay import match_arrows, strip

    pictures = [match_arrows(edited, [(f.start, f.target, f.found) for f in each]) for _, each in seen]
    return strip(pictures, [label for label, _ in seen])

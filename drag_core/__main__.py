"""The command line: python -m drag_core edit | demo | table | convert | metrics | bench.

Bad input ends in one sentence and exit code 2, Ctrl-C in exit code 130.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .bench.bench_command import add_bench, run_bench
from .bench.metrics_command import add_metrics, run_metrics
from .types import DragError

if TYPE_CHECKING:
    from .edit import Edit


def _parser() -> argparse.ArgumentParser:
    from .beside import add_beside
    from .lora import Training
    from .recipes import METHODS
    from .recipes.choice import COPY_PASTE, FINISH
    from .recipes.record import FAMILY_NAMES

    families = (
        (name, [m.name for m in METHODS.values() if m.family == f]) for f, name in FAMILY_NAMES.items()
    )
    recipes = "; ".join(f"{', '.join(methods)} ({name})" for name, methods in families)
    p = argparse.ArgumentParser(
        prog="python -m drag_core",
        description="Drag editing: mark a region of a picture, drag it, have it re-drawn.",
    )
    sub = p.add_subparsers(dest="command", required=True)
    e = sub.add_parser("edit", help="drag a picture as a drag.json says")
    e.add_argument("image", type=Path)
    e.add_argument("--drag", type=Path, required=True, help="drag instruction (JSON, version 1)")
    e.add_argument(
        "--out",
        type=Path,
        required=True,
        help="PNG to write; a .json with losses and handle traces goes beside it",
    )
    e.add_argument(
        "--recipe",
        help=f"{recipes}; {COPY_PASTE}; {FINISH} (no gradients, only the hole is drawn). Default: auto: "
        f"{FINISH} for regions, and what fits the model for points alone or another variant",
    )
    e.add_argument("--variant", choices=["ours", "paper", "released"], default="ours")
    e.add_argument(
        "--model",
        default="embedded-sd",
        help="embedded-sd, embedded-flux, a diffusers folder, or a .safetensors file",
    )
    e.add_argument("--vae", type=Path, help="autoencoder for a model file that has none")
    e.add_argument(
        "--text",
        type=Path,
        help="safetensors with prompt_embeds (and pooled_prompt_embeds), in place of a text encoder",
    )
    e.add_argument(
        "--identity",
        type=int,
        metavar="STEPS",
        help=f"train a LoRA on the picture first, with so many steps (the papers: {Training().steps} or 80); "
        "0: none. Default: with --variant paper what the recipe's paper does, else none",
    )
    add_beside(e)
    e.add_argument(
        "--shadow", action="store_true", help="the regions' shadow, if one is found, goes with them"
    )
    e.add_argument("--seed", type=int, default=0)
    e.add_argument("--device", default="cpu", help="cpu, or a card: cuda, cuda:1 ...")
    e.add_argument(
        "--dtype",
        default="auto",
        help="precision of the network: float32, float16, bfloat16; auto (the default): the file's own on a "
        "card, float32 on a CPU and for the embedded models. Latents, losses and autoencoder stay in float32",
    )
    e.add_argument(
        "--offload",
        action="store_true",
        help="for a card too small for the model: the network's blocks wait in RAM and come to the card one "
        "by one as they run; slower",
    )
    d = sub.add_parser("demo", help="drag objects of generated scenes: strips, table, GIF")
    d.add_argument("--out", type=Path, default=Path("out/demo"))
    t = sub.add_parser("table", help="the table of held-out scenes that the README shows")
    t.add_argument("--out", type=Path, help="folder for strips and results")
    t.add_argument("--cases", type=int, default=8, help="cases of each kind (move, rotate, deform)")
    _add_convert(sub)
    add_metrics(sub)
    add_bench(sub)
    return p


def _add_convert(sub: Any) -> None:
    c = sub.add_parser("convert", help="another instruction format to ours, or ours to another")
    c.add_argument(
        "source",
        type=Path,
        help="drag.json, KJNodes' points, or a folder of DragFlow/ReD, Drag100/GoodDrag, DragNeXt, DragBench "
        "(also -DR and -SR) or SDE-Drag",
    )
    c.add_argument("target", type=Path, help="a .json file for ours and KJNodes'; a folder for the others")
    formats = ["json", "dragflow", "drag100", "nextbench", "sde", "kjnodes"]
    c.add_argument("--to", choices=formats, default="json")


def _check_out(a: argparse.Namespace, report: Path) -> None:
    """Raises DragError where the picture or its report can't be written, or would replace what is read."""
    if a.out.suffix.lower() != ".png":
        raise DragError(f"the output {a.out.name} must end in .png")
    if not a.out.parent.is_dir():
        raise DragError(
            f"the folder {a.out.parent} does not exist: make it, or choose another place for {a.out.name}"
        )
    for written, given in ((w, g) for w in (a.out, report) for g in (a.image, a.drag)):
        if written.exists() and written.samefile(given):
            raise DragError(f"{written} would be written over and it is what is read: choose another --out")


def _report(a: argparse.Namespace, model: str, seconds: float, edit: Edit) -> dict[str, Any]:
    return {
        "model": model,
        "recipe": edit.recipe,
        "recipe_why": edit.why,
        "variant": a.variant,
        "seed": a.seed,
        "identity": 0 if edit.identity is None else edit.identity.steps,
        "seconds": seconds,
        "notes": list(edit.notes),
        "losses": list(edit.result.losses),
        "handles": [list(map(list, t)) for t in edit.result.traces],
    }


def _edit(a: argparse.Namespace) -> None:
    import torch
    from tqdm import tqdm

    from .backends.load import load_model
    from .beside import adapter_of, seeing
    from .edit import edit_picture
    from .lora import Training
    from .motion.instruction import read_instruction
    from .pictures.files import read_mask, read_picture, to_bytes, write_json, write_png
    from .recipes.choice import AUTO, check_name
    from .step import Step

    identity: Training | Literal["recipe"] | None = "recipe" if a.identity is None else None
    if a.identity:
        identity = Training(steps=a.identity, seed=a.seed)
    if a.recipe is not None:
        check_name(a.recipe)
    picture = read_picture(a.image)
    instruction = read_instruction(a.drag)
    report = a.out.with_suffix(".json")
    _check_out(a, report)
    adapter, see = adapter_of(a), seeing(a.sam2)
    model = load_model(
        a.model,
        prompt=instruction.source_prompt,
        target_prompt=instruction.target_prompt,
        vae=a.vae,
        text=a.text,
        device=a.device,
        dtype=a.dtype,
        offload=a.offload,
    )
    print(f"dragging with {a.recipe or AUTO} on {model.name}", file=sys.stderr, flush=True)
    began = time.perf_counter()
    with tqdm(unit="step", disable=not sys.stderr.isatty()) as bar:

        def show(step: Step) -> None:
            if step.done == 1:
                bar.reset(step.total)
                bar.set_description(step.stage)
            bar.update()

        try:
            edit = edit_picture(
                model,
                picture.image.to(a.device),
                instruction,
                recipe=a.recipe,
                variant=a.variant,
                seed=a.seed,
                on_step=show,
                read_mask=lambda name: read_mask(a.drag.parent / name),
                identity=identity,
                automatic=a.auto_mask or a.sam2 is not None,
                see=see,
                shadow=a.shadow,
                adapter=adapter,
            )
        except torch.cuda.OutOfMemoryError:
            raise DragError(
                f"{a.device} has too little memory for this edit: "
                f"{'use a smaller picture' if a.offload else 'add --offload'}"
            ) from None
    write_png(a.out, to_bytes(edit.image[0].cpu()), picture.alpha)
    seconds = round(time.perf_counter() - began, 2)
    write_json(report, _report(a, model.name, seconds, edit))
    for note in (*([edit.why] if edit.why else []), *edit.notes):
        print(f"note: {note}", file=sys.stderr)
    print(a.out)


def _convert(a: argparse.Namespace) -> None:
    from .bench import formats, writers
    from .motion.instruction import to_json
    from .pictures.files import read_mask, read_picture, write_text
    from .types import Grid

    found = formats.read_noted(a.source)
    notes, instruction = found.notes, found.instruction
    if a.to == "json":
        write_text(a.target, to_json(instruction) + "\n")
    else:
        if instruction.width is not None and instruction.height is not None:
            size = Grid(instruction.height, instruction.width)
        elif found.picture is not None:
            size = Grid(*read_picture(found.picture).rgb.shape[-2:])
        else:
            raise DragError(
                "the instruction does not state its picture's size: add image.width and image.height"
            )
        folder = a.source if a.source.is_dir() else a.source.parent
        write = writers.WRITERS[a.to]
        notes += write(instruction, a.target, size, read_mask=lambda name: read_mask(folder / name))
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(a.target)


def main(argv: Sequence[str] | None = None) -> int:
    a = _parser().parse_args(argv)
    try:
        if a.command == "edit":
            _edit(a)
        elif a.command == "convert":
            _convert(a)
        elif a.command == "metrics":
            run_metrics(a)
        elif a.command == "bench":
            return run_bench(a)
        elif a.command == "demo":
            from .bench.demo import demo

            demo(a.out)
        else:
            from .bench.table import table

            table(a.cases, a.out)
    except DragError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

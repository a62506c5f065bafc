"""python -m benchmarks.fills [--scenes N] [--models]

What stands where a thing was, on development lit scenes (N of each kind of edit): the hole filled by OpenCV's
and scikit-image's inpainting and by ours, with the thing's mask alone and with its shadow (drawn, and found);
--models: then the hole drawn anew by each embedded model from several noise levels. dB of the vacated area.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor

from drag_core.backends.load import load_model
from drag_core.bench.cases import Case, measure
from drag_core.bench.lit.cases import LIT_KINDS, lit_cases
from drag_core.bench.paired import difference
from drag_core.bench.scenes import DEVELOPMENT
from drag_core.motion.areas import hole
from drag_core.motion.geometry import motion_matrix, warp
from drag_core.motion.masks import BEYOND, grow
from drag_core.motion.shadow import shadow_of
from drag_core.pictures.inpaint import membrane, pixel_warp
from drag_core.recipes.presets import PRESETS
from drag_core.trajectory.finish import STEPS, finish, noise_like
from drag_core.trajectory.schedules import evenly

Fill = Callable[[Tensor, Tensor], Tensor]  # picture (3, H, W), hole (H, W) -> picture
LEVELS = (0.3, 0.4, 0.5, 0.6, 0.7)


def opencv(image: Tensor, gap: Tensor, method: int) -> Tensor:
    pixels = np.ascontiguousarray((image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
    filled = cv2.inpaint(pixels, gap.numpy().astype(np.uint8), 5.0, method)
    return torch.from_numpy(filled).permute(2, 0, 1).float() / 255


def biharmonic(image: Tensor, gap: Tensor) -> Tensor:
    from skimage.restoration import inpaint_biharmonic

    filled = inpaint_biharmonic(image.permute(1, 2, 0).numpy(), gap.numpy() > 0.5, channel_axis=-1)
    return torch.from_numpy(filled).permute(2, 0, 1).float().clamp(0, 1)


FILLS: dict[str, Fill] = {
    "OpenCV, Telea": partial(opencv, method=cv2.INPAINT_TELEA),
    "OpenCV, Navier-Stokes": partial(opencv, method=cv2.INPAINT_NS),
    "scikit-image, biharmonic": biharmonic,
    "membrane": membrane,
}


def pasted_on(case: Case, filled: Tensor) -> Tensor:
    """Puts the thing where it goes, on the filled picture."""
    matrix = motion_matrix(case.motion)
    cover = warp(case.mask[None, None], matrix, padding="zeros")[0]
    return filled * (1 - cover) + warp(case.source[None], matrix, padding="border")[0] * cover


def filled_by_opencv(case: Case) -> Tensor:
    """Empties a case's source as the drafts of old were, by Telea's inpainting."""
    return opencv(case.source, grow(case.mask, BEYOND), cv2.INPAINT_TELEA)


def vacated(picture: Tensor, case: Case) -> float:
    return measure(picture, case)["vacated"]


def row(name: str, values: list[float], cases: list[Case], than: list[float] | None = None) -> None:
    by_kind = [
        difference([v for v, c in zip(values, cases, strict=True) if c.kind == kind]).mean
        for kind in LIT_KINDS
    ]
    cells = [f"{v:.2f}" for v in by_kind]
    more = "" if than is None else str(difference([b - a for a, b in zip(than, values, strict=True)]))
    print(f"| {name} | {' | '.join(cells)} | {more} |", flush=True)


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fills", description=__doc__)
    parser.add_argument("--scenes", type=int, default=8, help="of each kind of edit")
    parser.add_argument("--models", action="store_true")
    args = parser.parse_args(argv)
    cases = lit_cases(args.scenes, DEVELOPMENT)
    head = f"\n| vacated dB | {' | '.join(LIT_KINDS)} | against the first |\n|{'---|' * 6}"
    print(f"{len(cases)} development scenes{head}")
    first: list[float] | None = None
    for name, fill in FILLS.items():
        drawn = [pasted_on(c, fill(c.source, grow(c.mask, BEYOND))) for c in cases]
        found = [vacated(picture, c) for picture, c in zip(drawn, cases, strict=True)]
        row(name, found, cases, first)
        first = first or found
    shadows: dict[str, Callable[[Case], Tensor]] = {
        "membrane, the drawn shadow too": lambda c: c.mask if c.with_shadow is None else c.with_shadow,
        "membrane, the shadow that is found too": lambda c: torch.maximum(
            c.mask, shadow_of(c.source, c.mask)
        ),
    }
    for name, area in shadows.items():
        filled = [membrane(c.source, grow(area(c), BEYOND)) for c in cases]
        found = [vacated(pasted_on(c, x), c) for x, c in zip(filled, cases, strict=True)]
        row(name, found, cases, first)
    for name, preset in PRESETS.items() if args.models else ():
        model, kind = load_model(name), preset.schedule.prediction
        drafts = [model.codec.encode(pixel_warp(c.source, c.task.regions)[None]) for c in cases]
        kept = [vacated(model.codec.decode(z)[0], c) for z, c in zip(drafts, cases, strict=True)]
        print(f"\n{name}{head}")
        row("draft through the autoencoder", kept, cases)
        for level in LEVELS:
            found = []
            for z, c in zip(drafts, cases, strict=True):
                levels = evenly(level, STEPS, kind)
                new = finish(model.backbone, z, hole(c.task), levels, noise_like(z, 0))
                found.append(vacated(model.codec.decode(new)[0], c))
            row(f"hole redrawn from {level}", found, cases, kept)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Fits the colours of ComfyUI's latent previews to the autoencoder and writes them into the embedded models'
files: python -m tools.embedded.preview DIR

A preview is one affine map for every cell of the latent: RGB = factors · channels + bias, in [-1, 1] as
ComfyUI's latent formats have it. It is fitted by least squares to the mean colours of the cells' 8x8 pixels,
over training pictures, a third each of lit scenes, plain scenes and photographs; what it prints is measured
on held-out ones. Into the metadata, in the JSON under "drag": latent_rgb_factors (a row of three for each
channel) and latent_rgb_factors_bias.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor

from drag_core.backends.checkpoint import read_weights
from drag_core.backends.single_file import taesd
from drag_core.types import DragError

from .codec import read_linear
from .export import write_as_is
from .photos import TRAINED, read_photos
from .pool import SIDE, lit_scenes, plain_scenes, training_seeds
from .run import held_out_pictures
from .start import find

CELL = 8
SAME = 0.05  # the half-precision file computes the linear encoder to .005
NAMES = {"lit": "lit scenes", "plain": "plain scenes", "photos": "photographs"}


@dataclass(frozen=True)
class Colours:
    """factors (C, 3), bias (3,): from the latent that the denoiser sees to RGB in [-1, 1]."""

    factors: Tensor
    bias: Tensor

    def __call__(self, z: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 3, h, w)."""
        return torch.einsum("bchw,cr->brhw", z, self.factors) + self.bias[:, None, None]


def seen(pictures: Tensor) -> Tensor:
    """What a preview should show: the mean colours of the cells, (B, 3, h, w) in [-1, 1]."""
    return F.avg_pool2d(pictures, CELL) * 2 - 1


def fit(latents: Tensor, colours: Tensor) -> Colours:
    """Least squares over all cells; latents (B, C, h, w), colours (B, 3, h, w)."""
    x = latents.permute(0, 2, 3, 1).flatten(0, 2).double()
    y = colours.permute(0, 2, 3, 1).flatten(0, 2).double()
    found = torch.linalg.lstsq(F.pad(x, (0, 1), value=1.0), y).solution.float()
    return Colours(found[:-1], found[-1])


def explained(found: Colours, latents: Tensor, colours: Tensor) -> list[float]:
    """R² of red, green and blue: the share of the cells' variance that the preview shows."""
    left = (found(latents) - colours).square().sum((0, 2, 3))
    mean = colours.mean((0, 2, 3), keepdim=True)
    values: list[float] = (1 - left / (colours - mean).square().sum((0, 2, 3))).tolist()
    return values


def development(count: int) -> dict[str, Tensor]:
    """Training pictures, `count` of each kind; without scikit-image no photographs, in one sentence."""
    kinds = {
        "lit": torch.cat([lit_scenes(s) for s in training_seeds(0, count).split(16)]).float() / 255,
        "plain": plain_scenes(training_seeds(0, count)).float() / 255,
    }
    try:
        photos = read_photos(TRAINED, torch.device("cpu"))
    except DragError as e:
        print(f"Going on without photographs: {e}.", flush=True)
        return kinds
    return kinds | {"photos": photos.draw(count, SIDE, torch.Generator().manual_seed(6))}


def encoding(folder: Path) -> Callable[[Tensor], Tensor]:
    """Pictures to the latents that the denoiser sees, through the linear encoder: 500 times TAESD's speed.

    It must be the one that the autoencoder's file holds.
    """
    linear, deviation = read_linear(find(folder, "linear"))

    @torch.no_grad()
    def encode(x: Tensor) -> Tensor:
        z: Tensor = linear(x) / deviation
        return z

    one = lit_scenes(training_seeds(0, 1)).float() / 255
    want = taesd(read_weights(find(folder, "vae"))).encode(one)
    if float((encode(one) - want).norm() / want.norm()) > SAME:
        raise DragError(
            f"{find(folder, 'linear')} is not the encoder that {find(folder, 'vae')} holds: put the two of "
            "one training together"
        )
    return encode


def write(path: Path, found: Colours) -> None:
    """Writes the factors into a file's metadata; its tensors stay as they are."""
    with safe_open(path, framework="pt") as f:
        facts = json.loads((f.metadata() or {}).get("drag", "{}"))
    facts["latent_rgb_factors"] = [[round(v, 5) for v in row] for row in found.factors.tolist()]
    facts["latent_rgb_factors_bias"] = [round(v, 5) for v in found.bias.tolist()]
    write_as_is(path, read_weights(path), facts)


def fit_files(folder: Path, count: int) -> dict[str, list[float]]:
    """Fits and writes into the three files of a folder; R² of the three colours by kind of picture."""
    encode, pictures = encoding(folder), development(count)
    every = torch.cat(list(pictures.values()))
    found = fit(encode(every), seen(every))
    for name in ("vae", "unet", "flux"):
        write(find(folder, name), found)
    held = held_out_pictures(count, torch.device("cpu"), "photos" in pictures)
    return {k: explained(found, encode(x), seen(x)) for k, x in held.items()}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=Path, help="a folder that a training wrote, or models")
    p.add_argument("--count", type=int, default=64, help="pictures of each kind")
    a = p.parse_args()
    try:
        shares = fit_files(a.folder, a.count)
    except DragError as e:
        raise SystemExit(str(e)) from None
    for kind, values in shares.items():
        print(f"R2 on held-out {NAMES[kind]}: " + ", ".join(f"{v:.3f}" for v in values))


if __name__ == "__main__":
    main()

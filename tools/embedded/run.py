"""What one run works with: its size, its device, the pictures that it sees and those it is measured on."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from drag_core.bench.scenes import HELD_OUT
from drag_core.types import DragError

from .mix import Mix, bank
from .photos import HELD, TRAINED, Photos, read_photos
from .pool import SIDE, lit_scenes, plain_scenes

# the log's names of the three kinds of held-out pictures, as the first log of these models has them
KEYS = {"lit": "v2", "plain": "v1", "photos": "photos"}
HELD_PLAIN = HELD_OUT + 2000
PLAIN_AT_ONCE = 4096  # by other processes, which take seconds to start; 0.8 GB on the way


@dataclass(frozen=True)
class Size:
    """How large a run is.

    batch: latents a step of a denoiser; crops of `crop` px a step of the autoencoder.
    lit, plain: scenes held at once; `first` lit ones are drawn at the start, `chunk` more every `every`
        steps.
    held: pictures of each kind that it is measured on.
    """

    batch: int
    crops: int
    crop: int
    lit: int
    first: int
    plain: int
    chunk: int
    every: int
    held: int


SIZES = {
    # a large GPU: 14 GB of scenes; the figures of the weights that ship
    "cuda": Size(256, 32, 128, 60_000, 12_800, 12_800, 768, 100, 96),
    # one or two cores: at 37 lit scenes a second and core the pool costs half a minute
    "cpu": Size(24, 16, 64, 2_400, 800, 900, 16, 10, 12),
    # to see the whole command through in a minute; what comes out is no model
    "tiny": Size(2, 2, 64, 12, 8, 6, 2, 2, 2),
}


@dataclass(frozen=True)
class Pictures:
    """What a training sees.

    mix: what it is trained on; held: name -> (B, 3, 256, 256) in [0, 1] that it is measured on.
    first_step: the steps of the run's earlier trainings.
    """

    device: torch.device
    mix: Mix
    held: dict[str, Tensor]
    first_step: int = 0


def computing(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 on a GPU; float32 on a CPU: one without instructions for bfloat16 is 16 times slower in it."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def held_out_pictures(count: int, device: torch.device, photos: bool) -> dict[str, Tensor]:
    """Draws `count` pictures of each kind that no training sees."""
    lit = torch.cat([lit_scenes(s) for s in (HELD_OUT + torch.arange(count)).to(device).split(16)])
    plain = plain_scenes(HELD_PLAIN + torch.arange(count)).to(device)
    held = {"lit": lit.float() / 255, "plain": plain.float() / 255}
    if photos:
        g = torch.Generator().manual_seed(5)
        held["photos"] = read_photos(HELD, device).draw(count, SIDE, g)
    return held


def pictures(size: Size, device: torch.device) -> Pictures:
    """Makes the banks and the held-out pictures; without scikit-image there are no photographs among them."""
    photos: Photos | None = None
    try:
        photos = read_photos(TRAINED, device)
    except DragError as e:
        print(f"Going on without photographs: {e}.", flush=True)
    workers = max(1, (os.cpu_count() or 1) - 1)
    lit = bank(lit_scenes, size.lit, device)
    plain = bank(partial(plain_scenes, workers=workers), size.plain, device, PLAIN_AT_ONCE)
    mix = Mix(lit, plain, photos, size.first, size.chunk, size.every)
    return Pictures(device, mix, held_out_pictures(size.held, device, photos is not None))

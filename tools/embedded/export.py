"""Writes the trained networks as the files that ship.

Half precision, in the names that ComfyUI's own loaders know: TAESD's, Black Forest Labs', CompVis's.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from drag_core.backends.keys import LDM_PREFIX, flux_to_original, rename, taesd_to_original, unet_blocks
from drag_core.backends.load import EMBEDDED, EMBEDDED_VAE
from drag_core.backends.single_file import FLUX_SCALE, FLUX_SHIFT
from drag_core.types import DragError

from .codec import SHIPPED, LinearEncoder, taesd, write_into_taesd
from .models import TEXT

LIMIT = 15_000_000  # bytes that a file may have
PATHS = {
    "vae": EMBEDDED_VAE,
    "unet": EMBEDDED["embedded-sd"],
    "flux": EMBEDDED["embedded-flux"],
}  # in models/
FILES = {name: Path(path).name for name, path in PATHS.items()} | {"linear": SHIPPED.name}
UNET_BLOCKS = (1, (0, 1, 1))  # residual blocks a level, transformer blocks of each level
HEAD_CHANNELS = 32

Weights = dict[str, Tensor]
Facts = dict[str, object]


def write(path: Path, weights: Weights, facts: Facts) -> None:
    """Writes half-precision weights, and `facts` as JSON under "drag" in the metadata."""
    half = {k: v.detach().float().cpu().half().contiguous().clone() for k, v in weights.items()}
    write_as_is(path, half, facts)


def write_as_is(path: Path, weights: Weights, facts: Facts) -> None:
    """Writes weights that already are half precision, through a temporary file."""
    bad = [k for k, v in weights.items() if not bool(torch.isfinite(v).all())]
    if bad:
        raise DragError(f"{len(bad)} weights of {path.name} are not finite, as {bad[0]}: train again")
    about = {"drag": json.dumps(facts), "modelspec.title": path.stem, "modelspec.license": "Apache-2.0"}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    save_file(weights, temporary, metadata=about)
    if (size := temporary.stat().st_size) > LIMIT:
        raise DragError(f"{path.name} would have {size} bytes; at most {LIMIT} may ship")
    temporary.chmod(0o644)
    os.replace(temporary, path)


def autoencoder(linear: LinearEncoder, decoder: Weights, deviation: float) -> Weights:
    """TAESD's names; decoder: the weights of diffusers' decoder.

    ComfyUI: model latent = TAESD latent / vae_scale · 0.3611, that is, divided by its deviation.
    """
    vae = taesd()
    write_into_taesd(linear, vae.encoder)
    vae.decoder.load_state_dict(decoder)
    scale = {"vae_scale": torch.tensor(FLUX_SCALE * deviation), "vae_shift": torch.tensor(FLUX_SHIFT)}
    return taesd_to_original(vae.state_dict()) | scale


def unet(weights: Weights) -> Weights:
    table = {new: old for old, new in unet_blocks(*UNET_BLOCKS).items()}
    return {LDM_PREFIX + k: v for k, v in rename(weights, table).items()}


def flux(net: Any) -> Weights:
    config = net.config
    return flux_to_original(net.state_dict(), config["num_layers"], config["num_single_layers"])


def write_autoencoder(
    folder: Path, linear: LinearEncoder, decoder: Weights, deviation: float, facts: Facts
) -> None:
    """Writes the autoencoder and, in float32, the linear encoder that it holds."""
    write(folder / FILES["vae"], autoencoder(linear, decoder, deviation), facts)
    kept = {k: v.detach().float().cpu().contiguous() for k, v in linear.state_dict().items()}
    save_file(kept | {"deviation": torch.tensor(deviation)}, folder / FILES["linear"])


def write_denoiser(folder: Path, name: str, net: Any, samples: int) -> None:
    facts: Facts = {"text_width": TEXT, "samples": samples}
    if name == "unet":
        write(folder / FILES[name], unet(net.state_dict()), facts | {"head_channels": HEAD_CHANNELS})
    else:
        write(folder / FILES[name], flux(net), facts)

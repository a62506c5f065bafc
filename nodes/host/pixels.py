"""Pictures through the user's VAE."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...drag_core.types import DragError, Grid


def check_vae(patcher: Any, vae: Any) -> None:
    """Refuses a VAE whose latents are not the model's."""
    channels, own = getattr(vae, "latent_channels", None), patcher.model.latent_format.latent_channels
    if channels not in (None, own):
        raise DragError(
            f"the vae has {channels} latent channels and this model works on {own}: connect the VAE that "
            "belongs to the model"
        )


def encoded(vae: Any, picture: Tensor) -> Tensor:
    """Encodes a picture (3, H, W) into LATENT samples that autograd may save."""
    samples = vae.encode(picture.movedim(0, -1)[None].contiguous())
    with torch.inference_mode(False):
        out: Tensor = samples.cpu().clone()
    return out


def check_cells(samples: Tensor, latent: Grid) -> None:
    """Refuses LATENT samples of other cells than the model has of the picture: another model's VAE."""
    here = samples.shape[-2:]
    if here != (latent.height, latent.width):
        raise DragError(
            f"the vae makes {here[1]}x{here[0]} cells of this picture and the model has "
            f"{latent.width}x{latent.height}: connect the VAE that belongs to the model"
        )


def decoded(vae: Any, samples: Tensor) -> Tensor:
    """Decodes LATENT samples of one picture, (3, H, W) in [0, 1] on the CPU."""
    shown = vae.decode(samples)
    pixels: Tensor = shown.reshape(-1, *shown.shape[-3:])[0, ..., :3].float().cpu().clamp(0, 1)
    return pixels.movedim(-1, 0)

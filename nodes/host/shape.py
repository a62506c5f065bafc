"""The core's latents (1, C, h, w) <-> the host's.

The host's have an axis of time in models whose VAE is one of videos (Qwen-Image).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ...drag_core.types import DragError


def core_shape(x: Tensor) -> Tensor:
    """Takes a latent's axis of time away, which is one frame long."""
    return x.squeeze(2) if x.ndim == 5 and x.shape[2] == 1 else x


def frames(model: Any) -> bool:
    """Tells whether latents of `model` have an axis of time.

    model: the host's BaseModel, or what holds its latent format.
    """
    return getattr(model.latent_format, "latent_dimensions", 2) == 3


def host_shape(model: Any, z: Tensor) -> Tensor:
    """Shapes a latent as `model` takes latents."""
    return z.unsqueeze(2) if frames(model) and z.ndim == 4 else z


def one_picture(model: Any, samples: Tensor) -> Tensor:
    """Shapes a LATENT's samples as `model` takes them; refuses all but one picture in its own channels."""
    one = core_shape(samples) if frames(model) else samples
    if one.ndim != 4 or one.shape[0] != 1:
        raise DragError(
            f"the latent has shape {tuple(samples.shape)} and a drag edits one picture: use LatentFromBatch"
        )
    channels = model.latent_format.latent_channels
    if samples.shape[1] != channels:
        raise DragError(
            f"the latent has {samples.shape[1]} channels and this model works on {channels}: encode the "
            "picture with the VAE that belongs to the model"
        )
    return host_shape(model, samples)


def latent_out(model: Any, z: Tensor) -> Tensor:
    """Makes a LATENT's samples of the core's clean latent."""
    out: Tensor = model.process_latent_out(host_shape(model, z))
    return out


def latent_in(model: Any, samples: Tensor) -> Tensor:
    """Makes the core's clean latent of a LATENT's samples."""
    return core_shape(model.process_latent_in(host_shape(model, samples)))


def cell_of(model: Any) -> int:
    """Counts the pixels of the picture along a latent cell."""
    return int(getattr(model.latent_format, "spacial_downscale_ratio", 8))

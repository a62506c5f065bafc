"""The core's latents (1, C, h, w) <-> the host's.

The host's have an axis of time in models whose VAE is one of videos (Qwen-Image).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor


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

"""Pictures to latents and back, over diffusers' autoencoders."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .blocks import brought


class Codec:
    """Picture (1, 3, H, W) in [0, 1] <-> the latent that the denoiser sees: (vae latent - shift) · scale.

    The autoencoder computes in float32 (in bfloat16 the latent is 5 to 21 % off), on the device of what it is
    given, and is there only while it does.
    """

    def __init__(self, vae: Any, shift: float = 0.0, scale: float = 1.0) -> None:
        self.vae, self.shift, self.scale = vae.eval().requires_grad_(False), shift, scale

    @torch.no_grad()
    def encode(self, image: Tensor) -> Tensor:
        with brought(self.vae, image.device, torch.float32):
            out = self.vae.encode(image.float() * 2 - 1)
        latent: Tensor = out.latents if hasattr(out, "latents") else out.latent_dist.mode()
        return (latent - self.shift) * self.scale

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        with brought(self.vae, z.device, torch.float32):
            out: Tensor = self.vae.decode(z.float() / self.scale + self.shift).sample
        return (out.float() / 2 + 0.5).clamp(0, 1)

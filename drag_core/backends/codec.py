"""Pictures to latents and back, over diffusers' autoencoders."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Codec:
    """Picture (1, 3, H, W) in [0, 1] <-> the latent that the denoiser sees: (vae latent - shift) · scale."""

    def __init__(self, vae: Any, shift: float = 0.0, scale: float = 1.0) -> None:
        self.vae, self.shift, self.scale = vae.eval().requires_grad_(False), shift, scale

    @torch.no_grad()
    def encode(self, image: Tensor) -> Tensor:
        out = self.vae.encode(image.to(self.vae.dtype) * 2 - 1)
        latent: Tensor = out.latents if hasattr(out, "latents") else out.latent_dist.mode()
        return (latent - self.shift) * self.scale

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        out: Tensor = self.vae.decode(z.to(self.vae.dtype) / self.scale + self.shift).sample
        return (out.float() / 2 + 0.5).clamp(0, 1)

"""The autoencoder's training: the linear bank of filters and TAESD's decoder together, then, the bank frozen,
the decoder alone.

The loss asks for the picture, for its edges, and that the latent of a moved, turned or scaled picture is the
moved latent: drags move latents.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .codec import LinearEncoder, taesd
from .loop import Rate, Row, Training
from .mix import CUT, noise_like, numbers
from .muon import Muon
from .run import KEYS, Pictures, Size, computing

FROZEN = 0.3  # the share of the steps after which the bank of filters stays as it is
STREAM = 11
PEAK = 1.5e-3
NOISE = 0.03  # on the latents that the decoder learns from: denoisers are never exact


class Autoencoder(nn.Module):
    """encoder: picture in [0, 1] -> latent; decoder: diffusers', latent -> picture in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = LinearEncoder()
        self.decoder: Any = taesd().decoder


@torch.no_grad()
def begin(net: Autoencoder, pictures: Tensor) -> None:
    """Starts from nothing: principal components of `pictures` (B, 3, H, W), residual blocks near zero."""
    net.encoder.start_from_pca(pictures.cpu())
    for key, p in net.decoder.named_parameters():
        if key.endswith("conv.4.weight"):
            p.mul_(0.3)


def moved_by(x: Tensor, theta: list[list[float]], padding: str) -> Tensor:
    grid = F.affine_grid(
        torch.tensor(theta, device=x.device).expand(len(x), 2, 3), list(x.shape), align_corners=False
    )
    out: Tensor = F.grid_sample(x, grid, padding_mode=padding, align_corners=False)
    return out


def equivariance(encoder: LinearEncoder, x: Tensor, z: Tensor, g: torch.Generator) -> Tensor:
    """|Enc(move x) - move Enc(x)| over the inner cells: one shift of up to 7 px, one turn with a zoom."""
    h, w = z.shape[-2:]
    dx, dy = torch.randint(-7, 8, (2,), generator=g).tolist()
    there = moved_by(z, [[1.0, 0.0, -2 * dx / 8 / w], [0.0, 1.0, -2 * dy / 8 / h]], "zeros")
    shift = (encoder(torch.roll(x, (dy, dx), (2, 3))) - there)[:, :, 2:-2, 2:-2].abs().mean()
    u, v = torch.rand(2, generator=g).tolist()
    angle, zoom = (u - 0.5) * 1.6, math.exp((v - 0.5) * 0.5)
    c, s = math.cos(angle) * zoom, math.sin(angle) * zoom
    theta, edge = [[c, -s, 0.0], [s, c, 0.0]], h // 4
    turned = encoder(moved_by(x, theta, "reflection")) - moved_by(z, theta, "reflection")
    total: Tensor = shift + 0.5 * turned[:, :, edge:-edge, edge:-edge].abs().mean()
    return total


def picture_loss(y: Tensor, x: Tensor) -> Tensor:
    d = y - x
    edges = d.diff(dim=3).abs().mean() + d.diff(dim=2).abs().mean()
    return 20 * d.square().mean() + d.abs().mean() + 0.5 * edges


def quality(decoder: nn.Module, encoder: nn.Module, x: Tensor) -> float:
    """Mean dB of the reconstructions of x."""
    y = torch.cat([decoder(z) for z in encoder(x).split(8)]) / 2 + 0.5
    return float((-10 * torch.log10((y - x).square().mean((1, 2, 3)).clamp_min(1e-10))).mean())


@torch.no_grad()
def deviation(encoder: nn.Module, held: dict[str, Tensor]) -> float:
    """The deviation of the latents of held-out lit and plain scenes: what denoisers see is divided by it."""
    n = min(len(held["lit"]), len(held["plain"]))
    return float(torch.cat([encoder(held[k][:n]) for k in ("lit", "plain")]).std())


def training(net: Autoencoder, data: Pictures, size: Size, factor: float = 1.0) -> Training:
    """Makes the training of `net`, which already is on the device; factor: of all learning rates."""
    device = data.device
    encoder, decoder = net.encoder, net.decoder.to(memory_format=torch.channels_last)
    mean = copy.deepcopy(decoder).requires_grad_(False)
    wide = [p for p in decoder.parameters() if p.ndim == 4 and p.shape[0] == 64]
    chosen = {id(p) for p in wide}
    rest = [p for p in decoder.parameters() if id(p) not in chosen]
    groups = [{"params": rest}, {"params": list(encoder.parameters())}]
    peak = factor * PEAK
    adam = torch.optim.AdamW(groups, peak, betas=(0.9, 0.99), weight_decay=1e-4)
    rates = (Rate(peak, 60, 0.7, 1e-6), Rate(0.5 * peak, 100, 0.8, 1e-6, FROZEN), Rate(peak, 60, 0.7, 1e-6))

    def loss(step: int, steps: int) -> Tensor:
        g, free = numbers(STREAM, step), step < FROZEN * steps
        encoder.requires_grad_(free)
        data.mix.at(data.first_step + step)
        x = data.mix.batch(size.crops, CUT, size.crop, g).contiguous(memory_format=torch.channels_last)
        z = encoder(x)
        noisy = z + NOISE * noise_like(z, STREAM, step)
        with computing(device):
            y = decoder(noisy.contiguous(memory_format=torch.channels_last)).float() / 2 + 0.5
        total = picture_loss(y, x) + 1e-3 * F.relu(z.abs() - 2.5).mean()
        return total + 0.05 * equivariance(encoder, x, z, g) if free else total

    @torch.no_grad()
    def measure() -> Row:
        return {f"dB_{KEYS[k]}": round(quality(mean, encoder, x), 5) for k, x in data.held.items()}

    optimisers = (adam, Muon(wide, peak))
    return Training("vae", net, decoder, mean, 0.997, optimisers, rates, loss, measure, size.crops, "crops")

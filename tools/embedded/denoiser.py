"""The two denoisers' trainings: noise on SD1.5's schedule (unet), rectified flow's velocity (flux)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from drag_core.trajectory.schedules import sd_alphas_cumprod

from .loop import Rate, Row, Training
from .mix import WHOLE, noise_like, numbers
from .models import FluxVelocity, UNetNoise, is_inner, out_of_reach
from .muon import Muon
from .pool import SIDE
from .run import KEYS, Pictures, Size, computing

STREAMS = {"unet": 21, "flux": 22}
PEAK = 3e-3
WIDTH = {"unet": None, "flux": 256}  # of FLUX's fused matrices

Encode = Callable[[Tensor], Tensor]


def stratified(count: int, g: torch.Generator) -> Tensor:
    """Draws `count` numbers of [0, 1), one from each count-th, in any order."""
    return (torch.randperm(count, generator=g) + torch.rand(count, generator=g)) / count


def noised(name: str, z: Tensor, noise: Tensor, u: Tensor, levels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the network reads, its time, and what it shall say, for u (B,) in [0, 1); levels: SD1.5's 1000.

    unet: nine tenths of the levels where drags happen, t <= 850; flux: times whose logit is normal.
    """
    if name == "unet":
        t = torch.where(u < 0.9, u / 0.9 * 850, 850 + (u - 0.9) * 1499).long().clamp(0, 999)
        level = levels[t].view(-1, 1, 1, 1)
        return level.sqrt() * z + (1 - level).sqrt() * noise, t, noise
    t = torch.sigmoid(torch.special.ndtri(u.clamp(2e-3, 1 - 2e-3)))
    k = t.view(-1, 1, 1, 1)
    return (1 - k) * z + k * noise, t, noise - z


def optimisers(name: str, net: nn.Module, peak: float) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """AdamW for what is read and written, biases and norms; Muon for the blocks; the rest stays as it is."""
    inner: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for key, p in net.named_parameters():
        if out_of_reach(name, key):
            p.requires_grad_(False)
        else:
            (inner if is_inner(name, key, p) else rest).append(p)
    fused = rest[0].is_cuda
    adam = torch.optim.AdamW(rest, peak, betas=(0.9, 0.99), weight_decay=1e-3, fused=fused)
    return adam, Muon(inner, peak, WIDTH[name])


def training(
    name: str,
    net: Any,
    encode: Encode,
    data: Pictures,
    size: Size,
    factor: float = 1.0,
    compiled: bool = False,
) -> Training:
    """Makes the training of `net`, which already is on the device.

    encode: pictures (B, 3, 256, 256) -> the latents that the denoiser sees.
    factor: of all learning rates.
    """
    device, stream = data.device, STREAMS[name]
    levels = sd_alphas_cumprod().float().to(device)
    layout = torch.channels_last if name == "unet" else torch.contiguous_format
    net.to(memory_format=layout)
    mean = copy.deepcopy(net).requires_grad_(False)
    bind = UNetNoise if name == "unet" else FluxVelocity
    bound, bound_mean = bind(net), bind(mean)
    adam, muon = optimisers(name, net, factor * PEAK)
    rates = (Rate(0.4 * factor * PEAK, 100, 0.65, 1e-7), Rate(factor * PEAK, 100, 0.65, 1e-7))

    def predict(x: Tensor, t: Tensor) -> Tensor:
        with computing(device):
            out: Tensor = bound(x, t)
        return out

    run = torch.compile(predict) if compiled else predict

    def loss(step: int, steps: int) -> Tensor:
        g = numbers(stream, step)
        data.mix.at(data.first_step + step)
        with torch.no_grad():
            z = encode(data.mix.batch(size.batch, WHOLE, SIDE, g))
        u = stratified(size.batch, g).to(device)
        x, t, aim = noised(name, z, noise_like(z, stream, step), u, levels)
        return (run(x.contiguous(memory_format=layout), t).float() - aim).square().mean()

    @torch.no_grad()
    def measure() -> Row:
        row: Row = {}
        for k, pictures in data.held.items():
            z = encode(pictures)
            even = (torch.arange(len(z), device=device) + 0.5) / len(z)
            noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(1)).to(device)
            x, t, aim = noised(name, z, noise, even, levels)
            with computing(device):
                y = bound_mean(x.contiguous(memory_format=layout), t)
            per = (y.float() - aim).square().mean((1, 2, 3))
            row[f"held_{KEYS[k]}"] = round(float(per.mean()), 5)
            if k == "lit" and len(per) >= 5:
                row["fifths"] = [round(float(p.mean()), 4) for p in per.chunk(5)]
        return row

    return Training(name, net, net, mean, 0.998, (adam, muon), rates, loss, measure, size.batch, "samples")

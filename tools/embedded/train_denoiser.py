"""Train an embedded denoiser: python -m tools.embedded.train_denoiser unet|flux --latents FILE --out DIR
--seconds 6000

Noise prediction on SD1.5's schedule (unet: nine tenths of the levels where drags happen, t <= 850) or
rectified-flow velocity with logit-normal times (flux). Resumes from DIR/NAME.pt, logs to DIR/NAME.csv; the
learning rate is flat, then falls to zero over the last part of `--seconds` (wall clock: a shared machine must
still end on time).
"""

from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from drag_core.backends.load import load_model
from drag_core.trajectory.schedules import sd_alphas_cumprod

from .common import Log, ema_update, save
from .models import FluxVelocity, UNetNoise, start, tiny_flux, tiny_unet

HELD = 96


def stratified(n: int) -> Tensor:
    """n draws from [0, 1), one in each n-th."""
    return (torch.arange(n) + torch.rand(n)) / n


def unet_loss(model: nn.Module, z: Tensor, noise: Tensor, u: Tensor) -> Tensor:
    t = torch.where(u < 0.9, u / 0.9 * 850, 850 + (u - 0.9) * 1499).long().clamp(0, 999)
    level = sd_alphas_cumprod().float()[t].view(-1, 1, 1, 1)
    with torch.autocast("cpu", torch.bfloat16):
        out = model(level.sqrt() * z + (1 - level).sqrt() * noise, t)
    return (out.float() - noise).square().mean((1, 2, 3))


def flux_loss(model: nn.Module, z: Tensor, noise: Tensor, u: Tensor) -> Tensor:
    t = torch.sigmoid(torch.special.ndtri(u.clamp(2e-3, 1 - 2e-3))).view(-1, 1, 1, 1)
    with torch.autocast("cpu", torch.bfloat16):
        out = model((1 - t) * z + t * noise, t.flatten())
    return (out.float() - (noise - z)).square().mean((1, 2, 3))


def optimisers(name: str, net: nn.Module, lr: float) -> list[torch.optim.Optimizer]:
    """AdamW; FLUX's block matrices by Muon, which needs fewer samples there."""
    matrices = [p for n, p in net.named_parameters() if name == "flux" and p.ndim == 2 and "blocks." in n]
    chosen = {id(p) for p in matrices}
    rest = [p for p in net.parameters() if id(p) not in chosen]
    out: list[torch.optim.Optimizer] = [torch.optim.AdamW(rest, lr, betas=(0.9, 0.99), weight_decay=1e-3)]
    if matrices:
        out.append(torch.optim.Muon(matrices, lr, weight_decay=1e-3, adjust_lr_fn="match_rms_adamw"))
    return out


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("name", choices=["unet", "flux"])
    p.add_argument("--latents", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--seconds", type=float, default=6000)
    p.add_argument("--decay", type=float, default=0.6, help="the part of the time over which the rate falls")
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--batch", type=int, default=24)
    p.add_argument("--warm", action="store_true", help="start from the shipped weights, not from nothing")
    p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(int(time.time()))
    data = np.load(a.latents, mmap_mode="r")
    held, count = torch.from_numpy(data[-HELD:].astype(np.float32)), len(data) - HELD
    net, loss_of = (tiny_unet(), unet_loss) if a.name == "unet" else (tiny_flux(), flux_loss)
    start(net)
    model = UNetNoise(net) if a.name == "unet" else FluxVelocity(net)
    layout = torch.channels_last if a.name == "unet" else torch.contiguous_format
    model.to(memory_format=layout)
    if a.warm:
        shipped: Any = load_model("embedded-sd" if a.name == "unet" else "embedded-flux").backbone
        net.load_state_dict(shipped.net.state_dict())
    ema = copy.deepcopy(model)
    opts = optimisers(a.name, net, a.lr)
    store, step, spent = a.out / f"{a.name}.pt", 0, 0.0
    if store.exists():
        state = torch.load(store, weights_only=True)
        model.net.load_state_dict(state["raw"])
        ema.net.load_state_dict(state["ema"])
        for k, o in enumerate(opts):
            o.load_state_dict(state[f"optimiser{k}"])
        step, spent = state["step"], state["seconds"]
    log = Log(a.out / f"{a.name}.csv", "samples,seconds,loss,held,fifth1,fifth2,fifth3,fifth4,fifth5")
    fixed = torch.randn(held.shape, generator=torch.Generator().manual_seed(1))
    even = (torch.arange(HELD) + 0.5) / HELD

    def checkpoint(seconds: float) -> None:
        extra = {f"optimiser{k}": o for k, o in enumerate(opts)}
        save(store, ema=ema.net, raw=net, step=step, seconds=spent + seconds, batch=a.batch, **extra)

    begin, shown, local, running = time.time(), 0.0, 0, 0.0
    while (done := (time.time() - begin) / a.seconds) < 1:
        for o in opts:
            for group in o.param_groups:
                group["lr"] = a.lr * min(1, (local + 1) / 100) * min(1, (1 - done) / a.decay)
        pick = np.sort(np.random.randint(0, count, a.batch))
        z = torch.from_numpy(data[pick].astype(np.float32)).contiguous(memory_format=layout)
        loss = loss_of(model, z, torch.randn_like(z), stratified(a.batch)[torch.randperm(a.batch)]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for o in opts:
            o.step()
            o.zero_grad()
        step, local = step + 1, local + 1
        ema_update(ema, model, 0.998, step)
        running = loss.item() if local == 1 else 0.99 * running + 0.01 * loss.item()
        if (now := time.time() - begin) - shown > 180:
            shown = now
            with torch.no_grad():
                per = loss_of(ema, held.contiguous(memory_format=layout), fixed, even)
            fifths = [round(float(x.mean()), 4) for x in per.chunk(5)]
            log.row(step * a.batch, round(spent + now), running, float(per.mean()), *fifths)
            checkpoint(now)
    checkpoint(time.time() - begin)


if __name__ == "__main__":
    main()

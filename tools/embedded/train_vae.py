"""Train the embedded autoencoder: python -m tools.embedded.train_vae --out DIR --seconds 600

Linear encoder and TAESD decoder together on 64x64 crops around objects. Adds an equivariance loss (shifts of
1-7 px: latent of the shifted picture against the shifted latent). Resumes from DIR/vae.pt; logs to
DIR/vae.csv. `--freeze-encoder` trains the decoder only.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from drag_core.bench.scenes import place, sample_scene

from .codec import LinearEncoder, taesd
from .common import Log, ema_update, save

COUNT, HELD, CROP, BATCH = 2400, 64, 64, 16


def crops(
    pictures: Tensor, centres: list[list[tuple[float, float]]], g: torch.Generator, size: int
) -> Tensor:
    """BATCH crops, three quarters of them on an object (its own half extent around the centre)."""
    out = []
    for i in torch.randint(len(pictures), (BATCH,), generator=g).tolist():
        x, y = torch.randint(0, 257 - size, (2,), generator=g).tolist()
        if torch.rand((), generator=g) < 0.75:
            cx, cy = centres[i][int(torch.randint(len(centres[i]), (), generator=g))]
            jx, jy = torch.randint(-48, 49, (2,), generator=g).tolist()
            x, y = (min(max(int(c + j) - size // 2, 0), 256 - size) for c, j in ((cx, jx), (cy, jy)))
        out.append(pictures[i, :, y : y + size, x : x + size])
    return torch.stack(out).float() / 255


def shift_loss(encoder: LinearEncoder, x: Tensor, z: Tensor, g: torch.Generator) -> Tensor:
    """|Enc(shift x) - shift Enc(x)| over the inner cells, for one random shift of up to 7 px each way."""
    dx, dy = torch.randint(-7, 8, (2,), generator=g).tolist()
    moved = encoder(torch.roll(x, (dy, dx), (2, 3)))
    h, w = z.shape[-2:]
    theta = torch.tensor([[1, 0, -2 * dx / 8 / w], [0, 1, -2 * dy / 8 / h]]).expand(len(z), 2, 3)
    warped = F.grid_sample(z, F.affine_grid(theta, list(z.shape), align_corners=False), align_corners=False)
    return (moved - warped)[:, :, 2:-2, 2:-2].abs().mean()


def psnr(a: Tensor, b: Tensor) -> float:
    return float((-10 * torch.log10((a - b).square().mean((1, 2, 3)).clamp_min(1e-10))).mean())


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--seconds", type=float, default=600)
    p.add_argument("--lr", type=float, default=1.5e-3)
    p.add_argument("--crop", type=int, default=CROP)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--freeze-encoder", action="store_true")
    p.add_argument("--equivariance", type=float, default=0.05)
    a = p.parse_args()
    from .data import pictures

    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(int(time.time()))
    train, held = pictures(0, COUNT, a.threads), pictures(2_000_000, HELD, a.threads).float() / 255
    centres = [[place(t) for t in sample_scene(i).things] for i in range(COUNT)]
    encoder, decoder = LinearEncoder(), taesd().decoder.to(memory_format=torch.channels_last)
    store, step, spent = a.out / "vae.pt", 0, 0.0
    if store.exists():
        state = torch.load(store, weights_only=True)
        encoder.load_state_dict(state["encoder"])
        decoder.load_state_dict(state["raw"])
        step, spent = state["step"], state["seconds"]
    else:
        encoder.start_from_pca(train[:400].float() / 255)
        for name, w in decoder.named_parameters():
            if name.endswith("conv.4.weight"):
                w.data.mul_(0.3)  # blocks start near the identity
    ema = taesd().decoder
    ema.load_state_dict(state["decoder"] if step else decoder.state_dict())
    encoder.requires_grad_(not a.freeze_encoder)
    weights = [*decoder.parameters(), *([] if a.freeze_encoder else encoder.parameters())]
    optimizer = torch.optim.AdamW(weights, a.lr, betas=(0.9, 0.99), weight_decay=1e-4)
    log = Log(a.out / "vae.csv", "step,seconds,loss,psnr,equivariance,deviation")
    begin, local, running, shown = time.process_time(), 0, 0.0, 0.0
    while (done := (time.process_time() - begin) / (a.seconds * a.threads)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = a.lr * min(1, (local + 1) / 50) * min(1, (1 - done) / 0.5) + 2e-6
        x = crops(train, centres, g, a.crop).contiguous(memory_format=torch.channels_last)
        z = encoder(x)
        with torch.autocast("cpu", torch.bfloat16):
            y = (
                decoder(
                    (z + 0.03 * torch.randn_like(z)).contiguous(memory_format=torch.channels_last)
                ).float()
                / 2
                + 0.5
            )
        d = y - x
        gx, gy = d.diff(dim=3), d.diff(dim=2)
        equivariance = shift_loss(encoder, x, z, g)
        loss = 20 * d.square().mean() + d.abs().mean() + 0.5 * (gx.abs().mean() + gy.abs().mean())
        (loss + a.equivariance * equivariance + 1e-3 * F.relu(z.abs() - 2.5).mean()).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step, local = step + 1, local + 1
        ema_update(ema, decoder, 0.998, local if spent == 0 else step)
        running = loss.item() if local == 1 else 0.98 * running + 0.02 * loss.item()
        now = time.process_time() - begin
        if now - shown > 60 * a.threads:
            shown = now
            with torch.no_grad():
                zh = encoder(held)
                quality = psnr(torch.cat([ema(z[None]) for z in zh[:16]]) / 2 + 0.5, held[:16])
            log.row(step, round(spent + now), running, quality, equivariance.item(), zh.std().item())
            save(store, encoder=encoder, decoder=ema, raw=decoder, step=step, seconds=spent + now)
    with torch.no_grad():
        deviation = encoder(held).std().item()  # the denoisers see latents divided by this
    seconds = spent + time.process_time() - begin
    save(store, encoder=encoder, decoder=ema, raw=decoder, step=step, seconds=seconds, deviation=deviation)
    with torch.no_grad():
        y = torch.cat([ema(encoder(x[None])) for x in held]) / 2 + 0.5
    print(f"held-out PSNR over {HELD} pictures: {psnr(y, held):.2f} dB")


if __name__ == "__main__":
    main()

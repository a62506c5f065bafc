"""Write the model cards and sample grids: python -m tools.embedded.card --train DIR --hardware "2 cores ..."
[--models models]
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import torch
from torch import Tensor

from drag_core.backends.load import EMBEDDED, EMBEDDED_VAE, Model, load_model
from drag_core.bench.scenes import HELD_OUT, render, sample_scene
from drag_core.metrics.region import psnr
from drag_core.pictures.files import to_bytes, write_png
from drag_core.trajectory.invert import denoise
from drag_core.trajectory.schedules import ddim as ddim_schedule
from drag_core.trajectory.schedules import flow, flux_shift
from drag_core.trajectory.solvers import ddim, euler

SCENES = (
    "generated scenes of drag_core/bench/scenes.py, 256x256, seven object families on four kinds of "
    "background, seeds 0-15999 and mirrors"
)
COMMANDS = {
    "vae": "python -m tools.embedded.train_vae --out DIR --seconds 600",
    "unet": "python -m tools.embedded.data --vae DIR/vae.pt --out DIR/latents.npy --count 16000\n"
    "python -m tools.embedded.train_denoiser unet --latents DIR/latents.npy --out DIR --seconds 6000",
    "flux": "python -m tools.embedded.data --vae DIR/vae.pt --out DIR/latents.npy --count 16000\n"
    "python -m tools.embedded.train_denoiser flux --latents DIR/latents.npy --out DIR --seconds 6300",
}
TITLES = {
    "vae": "drag_tiny_vae: TAESD's architecture, f = 8, 16 channels",
    "unet": "drag_tiny_sd: a UNet of Stable Diffusion's layout, noise prediction, SD1.5's schedule",
    "flux": "drag_tiny_flux: FLUX's double and single blocks, two each, hidden 256, head dimension 128",
}
NOTES = {
    "vae": "The encoder is a linear bank of smooth filters (28x28 px, stride 8) written exactly into "
    "TAESD's convolutions; the decoder is TAESD's, "
    "trained with it on 64x64 crops. Latents seen by the denoisers are divided by their deviation "
    "(vae_scale = 0.3611 x deviation, vae_shift "
    "0.1159, so that ComfyUI's FLUX latent format gives the same numbers).",
    "unet": "32x32x16 latents; 64, 128, 128 channels, attention at 16x16 and 8x8; conditioned on one zero "
    "token. Nine tenths of the training "
    "levels are t <= 850, where drags happen.",
    "flux": "32x32x16 latents in 2x2 tokens; conditioned on one zero token, a zero vector and guidance 1; "
    "logit-normal times, no shift.",
}


@torch.no_grad()
def samples(model: Model, count: int = 12, seed: int = 0) -> Tensor:
    """A grid (3, 2·256, 6·256) of pictures drawn from noise: 50 DDIM or 50 Euler steps."""
    sd = model.family == "sd"
    schedule, solver = (ddim_schedule(50), ddim) if sd else (flow(50, shift=flux_shift(256)), euler)
    out = []
    for k in range(count):
        z = torch.randn(1, 16, 32, 32, generator=torch.Generator().manual_seed(seed + k))
        out.append(model.codec.decode(denoise(model.backbone, z, schedule, solver))[0])
    return torch.cat([torch.cat(out[r : r + 6], 2) for r in range(0, count, 6)], 1)


def reconstructions(model: Model, count: int = 6) -> tuple[Tensor, float]:
    """Pictures over their reconstructions, and the mean dB."""
    pictures = [render(sample_scene(HELD_OUT + 500 + k)) for k in range(count)]
    back = [model.codec.decode(model.codec.encode(x[None]))[0] for x in pictures]
    quality = sum(psnr(a, b) for a, b in zip(pictures, back, strict=True)) / count
    return torch.cat([torch.cat(pictures, 2), torch.cat(back, 2)], 1), quality


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--train", type=Path, required=True)
    p.add_argument("--hardware", required=True)
    p.add_argument("--models", type=Path, default=Path("models"))
    a = p.parse_args()
    paths = {"vae": EMBEDDED_VAE, "unet": EMBEDDED["embedded-sd"], "flux": EMBEDDED["embedded-flux"]}
    for name, relative in paths.items():
        model = load_model("embedded-flux" if name == "flux" else "embedded-sd", models=a.models)
        path = a.models / relative
        grid, quality = reconstructions(model) if name == "vae" else (samples(model), None)
        write_png(path.with_suffix(".png"), to_bytes(torch.nn.functional.avg_pool2d(grid[None], 2)[0]))
        state = torch.load(a.train / f"{name}.pt", weights_only=True)
        with (a.train / f"{name}.csv").open() as f:
            log = list(csv.DictReader(f))
        kept = log[:: max(1, len(log) // 8)] + [log[-1]]
        head = list(log[0])
        table = "\n".join(
            [
                "| " + " | ".join(head) + " |",
                "|" + "---|" * len(head),
                *("| " + " | ".join(r.values()) + " |" for r in kept),
            ]
        )
        clock = "process time of both cores" if name == "vae" else "wall clock, one thread"
        facts = [
            f"- data: {SCENES}; held-out seeds start at {HELD_OUT} and are never trained on",
            f"- steps: {state['step']}"
            + (
                f" of {state['batch']} samples, EMA .998, bf16 autocast"
                if "batch" in state
                else " of 16 crops, EMA .998, bf16 autocast"
            ),
            f"- seconds: {state['seconds']:.0f} ({clock}); hardware: {a.hardware}",
            *(
                [f"- held-out reconstruction: {quality:.1f} dB (mean of 6 pictures, half precision file)"]
                if quality
                else []
            ),
        ]
        seen = (
            "Above, held-out pictures; below, their reconstructions"
            if name == "vae"
            else "Twelve samples from noise, 50 steps, seeds 0-11"
        )
        path.with_suffix(".md").write_text(
            f"# {TITLES[name]}\n\n{NOTES[name]}\n\n"
            + "\n".join(facts)
            + f"\n\nLog:\n\n{table}\n\n{seen}:\n\n![]({path.stem}.png)\n\n"
            f"Reproduce (DIR is any folder; training resumes from its "
            f"checkpoints):\n\n```\n{COMMANDS[name]}\npython -m tools.embedded.export "
            "--train DIR\n```\n\nTo go on from these weights without the checkpoints, give "
            "`train_denoiser` the option `--warm`. Trained on generated pictures only: it knows no "
            "photographs. Licence: Apache-2.0.\n"
        )
        print(path.with_suffix(".md"))


if __name__ == "__main__":
    main()

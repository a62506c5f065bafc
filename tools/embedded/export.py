"""Write the trained checkpoints as the files that ship: python -m tools.embedded.export --train DIR [--models
models]

Half precision, in the names that ComfyUI's own loaders know: TAESD's, Black Forest Labs', CompVis's.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from diffusers import FluxTransformer2DModel
from safetensors.torch import save_file

from drag_core.backends.keys import LDM_PREFIX, flux_to_original, rename, taesd_to_original, unet_blocks
from drag_core.backends.load import EMBEDDED, EMBEDDED_VAE
from drag_core.backends.single_file import FLUX_SCALE, FLUX_SHIFT

from .codec import SHIPPED, LinearEncoder, taesd, write_into_taesd
from .models import TEXT, tiny_flux, tiny_unet

LIMIT = 15_000_000


def write(path: Path, weights: dict[str, torch.Tensor], facts: dict[str, object]) -> None:
    half = {k: v.detach().half().contiguous() for k, v in weights.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        half,
        path,
        metadata={"drag": json.dumps(facts), "modelspec.title": path.stem, "modelspec.license": "Apache-2.0"},
    )
    size = path.stat().st_size
    print(f"{path}: {size / 1e6:.1f} MB")
    if size > LIMIT:
        raise SystemExit(f"{path} is {size} bytes; at most {LIMIT} may ship")


@torch.no_grad()
def fold_guidance(flux: FluxTransformer2DModel) -> None:
    """Make the guidance that it was trained with (1) part of the time embedding, and the embedder mute.

    A host that gives FLUX its usual 3.5 would else be 64 % off; the embedder's keys stay, since they tell dev
    from schnell.
    """
    embed = flux.time_text_embed
    embed.timestep_embedder.linear_2.bias += embed.guidance_embedder(embed.time_proj(torch.tensor([1000.0])))[
        0
    ]
    embed.guidance_embedder.linear_2.weight.zero_()
    embed.guidance_embedder.linear_2.bias.zero_()


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--train", type=Path, required=True)
    p.add_argument("--models", type=Path, default=Path("models"))
    a = p.parse_args()
    state = torch.load(a.train / "vae.pt", weights_only=True)
    linear, vae = LinearEncoder(), taesd()
    linear.load_state_dict(state["encoder"])
    write_into_taesd(linear, vae.encoder)
    vae.decoder.load_state_dict(state["decoder"])
    out = taesd_to_original(vae.state_dict())
    # ComfyUI: model latent = TAESD latent / vae_scale · 0.3611, i.e. divided by its deviation
    out |= {"vae_scale": torch.tensor(FLUX_SCALE * state["deviation"]), "vae_shift": torch.tensor(FLUX_SHIFT)}
    write(a.models / EMBEDDED_VAE, out, {"steps": state["step"]})
    save_file(linear.state_dict() | {"deviation": torch.tensor(state["deviation"])}, SHIPPED)
    state = torch.load(a.train / "unet.pt", weights_only=True)
    unet = tiny_unet()
    unet.load_state_dict(state["ema"])
    table = {new: old for old, new in unet_blocks(1, (0, 1, 1)).items()}
    facts = {"text_width": TEXT, "samples": state["step"] * state["batch"]}
    named = {LDM_PREFIX + k: v for k, v in rename(unet.state_dict(), table).items()}
    write(a.models / EMBEDDED["embedded-sd"], named, facts | {"head_channels": 32})
    state = torch.load(a.train / "flux.pt", weights_only=True)
    flux = tiny_flux()
    flux.load_state_dict(state["ema"])
    fold_guidance(flux)
    facts = {"text_width": TEXT, "samples": state["step"] * state["batch"]}
    write(a.models / EMBEDDED["embedded-flux"], flux_to_original(flux.state_dict(), 2, 2), facts)


if __name__ == "__main__":
    main()

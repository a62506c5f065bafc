"""From a name or a path to a model that drags.

The model is an embedded one, a diffusers folder, or a single file of Stable Diffusion (1.x, 2.x, XL) or FLUX.
Nothing is downloaded and nothing pickled is read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from ..types import Backbone, DragError, Family
from . import single_file
from .blocks import rest_to
from .checkpoint import Checkpoint, Conditioning, read_weights
from .codec import Codec
from .diffusers_flux import DiffusersFlux
from .diffusers_unet import DiffusersUNet, has_added
from .precision import Place
from .room import check_weights

EMBEDDED = {
    "embedded-sd": "checkpoints/drag_tiny_sd.safetensors",
    "embedded-flux": "diffusion_models/drag_tiny_flux.safetensors",
}
EMBEDDED_VAE = "vae/drag_tiny_vae.safetensors"
# Beside the package in a checkout, in it once a wheel is installed.
PLACES = [Path(__file__).resolve().parents[n] / "models" for n in (1, 2)]
MODELS = next((place for place in PLACES if place.is_dir()), PLACES[-1])


EDIT_GUIDANCE = 3.5  # FLUX's own guidance under a target prompt, as DragFlow's release; inversion has 1


@dataclass(frozen=True)
class Model:
    """A backbone bound to the source prompt, with its codec.

    side: pictures of about side² pixels suit it.
    multiple: sides are multiples of this many pixels.
    target: the same network as it edits: under the target prompt if there is one, and with FLUX's own
        guidance. None: as it inverts.
    """

    name: str
    family: Family
    backbone: Backbone
    codec: Codec
    side: int
    multiple: int
    target: Backbone | None = None


def load_model(
    name: str,
    *,
    prompt: str = "",
    target_prompt: str = "",
    vae: Path | None = None,
    text: Path | None = None,
    models: Path = MODELS,
    device: str = "cpu",
    dtype: str = "auto",
    offload: bool = False,
) -> Model:
    """Loads a model that drags.

    name: embedded-sd, embedded-flux, a diffusers folder, or a .safetensors file.
    vae: autoencoder for a file that has none.
    text: safetensors with `prompt_embeds` (1, L, D) (FLUX and SDXL also `pooled_prompt_embeds` (1, P)) in
        place of encoding `prompt`, the same names after `target_` for the target.
    dtype, offload: see precision.Place.
    Text is encoded on the CPU; the autoencoder is on the device only while it runs.
    """
    place = Place(device, dtype, offload)
    if name in EMBEDDED:
        return _embedded(name, models / EMBEDDED[name], name, models / EMBEDDED_VAE, place)
    path = Path(name).expanduser()
    if not path.exists():
        raise DragError(f"model {name!r} is neither {' nor '.join(EMBEDDED)} nor an existing folder or file")
    if path.is_dir():
        from .folder import read_folder

        parts = read_folder(path, place)
    elif own := _own_kind(path):
        return _embedded(own, path, path.name, vae or models / EMBEDDED_VAE, place)
    else:
        parts = single_file.read_file(path, place)
    scale = parts.codec.scale if parts.codec is not None else None
    codec = parts.codec if vae is None else read_vae(vae, parts.family, scale)
    if codec is None:
        raise DragError(f"{path.name} holds no autoencoder: give one with --vae")
    source, target = _conditioning(parts, path.name, prompt, target_prompt, text)
    net = parts.net if offload else _moved(parts.net, path.name, device)

    def bound(c: Conditioning, guidance: float) -> DiffusersUNet | DiffusersFlux:
        if c[1] is None and (parts.family == "flux" or has_added(net)):
            raise DragError(
                f"{'FLUX' if parts.family == 'flux' else 'SDXL'} needs pooled_prompt_embeds beside "
                "prompt_embeds: add them to the --text file"
            )
        if parts.family == "sd":
            pooled = None if c[1] is None else c[1].to(device)
            return DiffusersUNet(net, c[0].to(device), pooled, parts.velocity, offload=offload)
        assert c[1] is not None
        return DiffusersFlux(net, c[0].to(device), c[1].to(device), guidance, offload=offload)

    side, multiple = (parts.side, 64) if parts.family == "sd" else (1024, 16)
    backbone = bound(source, 1.0)
    if offload:
        rest_to(net, backbone.blocks.values(), device)
    if target is None and parts.family == "flux" and net.config.guidance_embeds:
        target = source  # DragFlow edits at its own guidance, under whatever prompt
    edited = None if target is None else bound(target, EDIT_GUIDANCE)
    return Model(path.name, parts.family, backbone, codec, side, multiple, edited)


def _moved(net: Any, name: str, device: str) -> Any:
    check_weights(net, torch.device(device), name)
    return net.to(device)


def _conditioning(
    parts: Checkpoint, name: str, prompt: str, target_prompt: str, text: Path | None
) -> tuple[Conditioning, Conditioning | None]:
    """Makes the source conditioning and, if asked for, the target's.

    From the `text` file, else by the model's own encoders.
    """
    if text is not None:
        w = read_weights(text)
        if "prompt_embeds" not in w:
            has = ", ".join(sorted(w)[:5]) or "none"
            raise DragError(f"{text.name} has no tensor 'prompt_embeds'; it has {has}")
        target = w.get("target_prompt_embeds")
        pooled = w.get("pooled_prompt_embeds")
        return (w["prompt_embeds"], pooled), (
            None if target is None else (target, w.get("target_pooled_prompt_embeds", pooled))
        )
    if parts.encode is None:
        raise DragError(
            f"{name} holds no text encoder: give a diffusers folder, or prompt embeddings with --text"
        )
    return parts.encode(prompt), parts.encode(target_prompt) if target_prompt else None


def read_vae(path: Path, family: Family, scale: float | None = None) -> Codec:
    """Reads an autoencoder: a diffusers folder, a KL file in the original names, or TAESD's.

    scale: the latent factor of the model's own, which a KL file does not say.
    """
    if path.is_dir():
        from .folder import read_vae_folder

        return read_vae_folder(path)
    weights = read_weights(path)
    if any(k.startswith("taesd_decoder.") for k in weights):
        return single_file.taesd(weights)
    codec = single_file.kl_codec(weights, family, scale or single_file.SD_SCALE)
    if codec is None:
        raise DragError(f"{path.name} holds no autoencoder that is known here")
    return codec


def _own_kind(path: Path) -> str | None:
    """Which embedded model a file is: those say so in their metadata. None for any other file."""
    try:
        with safe_open(path, framework="pt") as f:
            first = {k.split(".")[0] for k in f.keys()} if "drag" in (f.metadata() or {}) else set()
    except Exception:  # read_weights says what is wrong with the file
        return None
    kinds = {"double_blocks": "embedded-flux", "model": "embedded-sd"}
    return next((kind for start, kind in kinds.items() if start in first), None)


def _embedded(kind: str, path: Path, name: str, vae: Path, place: Place) -> Model:
    """An embedded model from its file: it reads no text, and small pictures suit it."""
    for file in (path, vae):
        if not file.exists():
            raise DragError(
                f"the embedded model's file {file} is missing: check the repository out whole, or install "
                "the package anew"
            )
    weights = read_weights(path)
    with safe_open(path, framework="pt") as f:
        facts = json.loads((f.metadata() or {}).get("drag", "{}"))
    codec = single_file.taesd(read_weights(vae))
    zeros = torch.zeros(1, 1, facts["text_width"], device=place.device)
    dtype = place.of(torch.float32)  # whatever the file has: small, and its numbers are known in float32
    backbone: DiffusersUNet | DiffusersFlux
    if kind == "embedded-sd":
        net = single_file.sd_unet(weights, facts["head_channels"], dtype)
        backbone = DiffusersUNet(net, zeros, offload=place.offload)
    else:
        backbone = DiffusersFlux(single_file.flux(weights, dtype), zeros, zeros[0], offload=place.offload)
    rest_to(backbone.net, backbone.blocks.values() if place.offload else (), place.device)
    return Model(name, "sd" if kind == "embedded-sd" else "flux", backbone, codec, 256, 32)

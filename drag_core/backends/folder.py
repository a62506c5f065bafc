"""A local diffusers folder of SD1.x, SD2.x, SDXL or FLUX."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..types import DragError
from .checkpoint import Checkpoint
from .codec import Codec
from .precision import HERE, Place, folder_dtype
from .text import folder_clip, folder_t5, folder_xl

PIPELINES = {
    "StableDiffusionPipeline": "sd",
    "StableDiffusionXLPipeline": "sdxl",
    "FluxPipeline": "flux",
}
BETAS = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "rescale_betas_zero_snr": False,
}


def read_folder(path: Path, place: Place = HERE) -> Checkpoint:
    """Reads denoiser, autoencoder, and the folder's text encoders (when a prompt comes), on the CPU."""
    from diffusers import FluxTransformer2DModel, UNet2DConditionModel

    index = path / "model_index.json"
    if not index.exists():
        raise DragError(f"{path} has no model_index.json: it is not a diffusers folder")
    kind = json.loads(index.read_text()).get("_class_name")
    if kind not in PIPELINES:
        raise DragError(f"{path.name} is a {kind}; folders of {' and '.join(PIPELINES)} are read")
    codec = read_vae_folder(path / "vae")
    if PIPELINES[kind] != "flux":
        velocity = _velocity(path)
        net = _read(UNet2DConditionModel, path / "unet", place.of(folder_dtype(path / "unet")))
        side = 8 * (net.config.sample_size or 64)
        if PIPELINES[kind] == "sdxl":
            return Checkpoint("sd", net, codec, lambda prompt: folder_xl(path, prompt), velocity, side)
        return Checkpoint(
            "sd", net, codec, lambda prompt: (folder_clip(path, prompt)[0], None), velocity, side
        )
    net = _read(FluxTransformer2DModel, path / "transformer", place.of(folder_dtype(path / "transformer")))
    wide = place.of(torch.bfloat16) == torch.float32  # T5-XXL: 19 GB in float32, 9.5 in its file's bfloat16

    def encode(prompt: str) -> tuple[Tensor, Tensor]:
        return folder_t5(path, prompt, wide), folder_clip(path, prompt)[1]

    return Checkpoint("flux", net, codec, encode)


def _read(kind: Any, path: Path, dtype: torch.dtype) -> Any:
    """Reads a network in `dtype`; the files' own tensors where they have it, if accelerate is installed."""
    return kind.from_pretrained(path, torch_dtype=dtype, local_files_only=True, use_safetensors=True)


def _velocity(path: Path) -> bool:
    """Tells whether the folder's scheduler says v_prediction.

    Other noise schedules than Stable Diffusion's are refused.
    """
    file = path / "scheduler" / "scheduler_config.json"
    facts = json.loads(file.read_text()) if file.exists() else {}
    if (kind := facts.get("prediction_type", "epsilon")) not in ("epsilon", "v_prediction"):
        raise DragError(f"{path.name} predicts {kind}; models that predict epsilon or v_prediction are read")
    for key, usual in BETAS.items():
        if facts.get(key, usual) != usual:
            raise DragError(f"{path.name} has {key} {facts[key]}; models with {usual} are read")
    return bool(kind == "v_prediction")


def read_vae_folder(path: Path) -> Codec:
    """Reads AutoencoderKL or AutoencoderTiny with its own scale and shift."""
    from diffusers import AutoencoderKL, AutoencoderTiny

    config = path / "config.json"
    if not config.exists():
        raise DragError(f"{path} has no config.json: it is not an autoencoder in diffusers' form")
    kind = (
        AutoencoderTiny
        if json.loads(config.read_text()).get("_class_name") == "AutoencoderTiny"
        else AutoencoderKL
    )
    vae = _read(kind, path, folder_dtype(path))
    return Codec(vae, vae.config.get("shift_factor") or 0.0, vae.config.scaling_factor)

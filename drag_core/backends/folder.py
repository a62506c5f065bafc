"""A local diffusers folder of SD1.5 or FLUX."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..types import DragError
from .codec import Codec
from .single_file import _transformers

if TYPE_CHECKING:
    from .load import Parts

PIPELINES = {"StableDiffusionPipeline": "sd", "FluxPipeline": "flux"}


def read_folder(path: Path) -> Parts:
    """Denoiser, autoencoder, and the folder's text encoders (read when a prompt comes)."""
    from diffusers import FluxTransformer2DModel, UNet2DConditionModel

    from .load import Parts

    index = path / "model_index.json"
    if not index.exists():
        raise DragError(f"{path} has no model_index.json: it is not a diffusers folder")
    kind = json.loads(index.read_text()).get("_class_name")
    if kind not in PIPELINES:
        raise DragError(f"{path.name} is a {kind}; folders of {' and '.join(PIPELINES)} are read")
    codec = read_vae_folder(path / "vae")
    if PIPELINES[kind] == "sd":
        scheduler = path / "scheduler" / "scheduler_config.json"
        prediction = (
            json.loads(scheduler.read_text()).get("prediction_type", "epsilon")
            if scheduler.exists()
            else "epsilon"
        )
        if prediction != "epsilon":
            raise DragError(
                f"{path.name} predicts {prediction}; SD models that predict noise (epsilon) are read"
            )
        net = UNet2DConditionModel.from_pretrained(path / "unet", local_files_only=True, use_safetensors=True)
        return Parts("sd", net, codec, lambda prompt: (_clip(path, prompt)[0], None))
    net = FluxTransformer2DModel.from_pretrained(
        path / "transformer", local_files_only=True, use_safetensors=True
    )
    return Parts("flux", net, codec, lambda prompt: (_t5(path, prompt), _clip(path, prompt)[1]))


def read_vae_folder(path: Path) -> Codec:
    """AutoencoderKL or AutoencoderTiny with its own scale and shift."""
    from diffusers import AutoencoderKL, AutoencoderTiny

    config = path / "config.json"
    if not config.exists():
        raise DragError(f"{path} has no config.json: it is not an autoencoder in diffusers' form")
    kind = (
        AutoencoderTiny
        if json.loads(config.read_text()).get("_class_name") == "AutoencoderTiny"
        else AutoencoderKL
    )
    vae = kind.from_pretrained(path, local_files_only=True, use_safetensors=True)
    return Codec(vae, vae.config.get("shift_factor") or 0.0, vae.config.scaling_factor)


@torch.no_grad()
def _clip(path: Path, prompt: str) -> tuple[Tensor, Tensor]:
    tokenizer_class, model_class = _transformers("CLIPTokenizer", "CLIPTextModel")
    tokenizer = tokenizer_class.from_pretrained(path / "tokenizer", local_files_only=True)
    model = model_class.from_pretrained(path / "text_encoder", local_files_only=True, use_safetensors=True)
    ids = tokenizer(
        prompt,
        padding="max_length",
        max_length=model.config.max_position_embeddings,
        truncation=True,
        return_tensors="pt",
    ).input_ids
    out = model(ids)
    return out.last_hidden_state, out.pooler_output


@torch.no_grad()
def _t5(path: Path, prompt: str) -> Tensor:
    tokenizer_class, model_class = _transformers("AutoTokenizer", "T5EncoderModel")
    tokenizer = tokenizer_class.from_pretrained(path / "tokenizer_2", local_files_only=True)
    model = model_class.from_pretrained(path / "text_encoder_2", local_files_only=True, use_safetensors=True)
    ids = tokenizer(
        prompt, padding="max_length", max_length=512, truncation=True, return_tensors="pt"
    ).input_ids
    out: Tensor = model(ids)[0]
    return out

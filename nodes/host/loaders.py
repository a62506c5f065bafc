"""The embedded models as the host's MODEL and VAE, and where the host's own loaders find them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import comfy.latent_formats
import comfy.model_base
import comfy.model_detection
import comfy.model_management as mm
import comfy.model_patcher
import comfy.sd
import comfy.supported_models_base
import comfy.utils
import folder_paths
import torch
from safetensors import safe_open

from ...drag_core.types import DragError
from .prompts import blank

MODELS = Path(__file__).resolve().parents[2] / "models"
FILES = {
    "embedded-flux": "diffusion_models/drag_tiny_flux.safetensors",
    "embedded-sd": "checkpoints/drag_tiny_sd.safetensors",
}
VAE_FILE = "vae/drag_tiny_vae.safetensors"
PREFIX = "model.diffusion_model."


def list_folders() -> None:
    """Puts the embedded FLUX and autoencoder into the lists of the host's UNETLoader and VAELoader.

    Not the UNet: no class of the host's fits it, so that CheckpointLoaderSimple would only fail on it.
    """
    for kind in ("diffusion_models", "vae"):
        folder_paths.add_model_folder_path(kind, str(MODELS / kind))


class _TinyUNet(comfy.supported_models_base.BASE):
    """SD's noise prediction on FLUX's 16 latent channels."""

    latent_format = comfy.latent_formats.Flux
    memory_usage_factor = 1.0

    def inpaint_model(self) -> bool:
        return False  # the base class takes every model of more than 4 channels for one


def _file(name: str) -> Path:
    path = MODELS / name
    if not path.exists():
        raise DragError(f"the embedded model {path} is missing: install the node pack whole")
    return path


def _facts(path: Path) -> dict[str, Any]:
    """Reads what the training wrote beside the weights."""
    with safe_open(path, framework="pt") as f:
        facts: dict[str, Any] = json.loads((f.metadata() or {})["drag"])
    return facts


def _unet(path: Path, heads: int) -> Any:
    weights = comfy.utils.load_torch_file(str(path), safe_load=True)
    config = _TinyUNet(comfy.model_detection.detect_unet_config(weights, PREFIX))
    config.unet_config |= {"num_heads": -1, "num_head_channels": heads}
    config.set_inference_dtype(torch.float32, None)
    model = comfy.model_base.BaseModel(config)
    model.load_model_weights(weights, PREFIX)
    offload = mm.unet_offload_device()
    return comfy.model_patcher.CoreModelPatcher(
        model, load_device=mm.get_torch_device(), offload_device=offload
    )


def load_vae() -> Any:
    """Loads the host's VAE of the embedded autoencoder, in float32."""
    weights, metadata = comfy.utils.load_torch_file(str(_file(VAE_FILE)), return_metadata=True)
    # said, as the host would take bfloat16 on a card: latents 5 to 7 % off
    vae = comfy.sd.VAE(sd=weights, metadata=metadata, dtype=torch.float32)
    vae.throw_exception_if_invalid()
    return vae


def load_embedded(name: str) -> tuple[Any, Any, Any]:
    """Loads MODEL, CONDITIONING and VAE of an embedded model, in float32.

    The conditioning is the empty one: these models were trained without text.
    """
    path = _file(FILES[name])
    facts = _facts(path)
    if name == "embedded-flux":
        model = comfy.sd.load_diffusion_model(str(path), model_options={"dtype": torch.float32})
    else:
        model = _unet(path, facts["head_channels"])
    vae = load_vae()
    shown = model.model.latent_format  # FLUX's colours and preview decoder are another latent's
    shown.latent_rgb_factors = facts["latent_rgb_factors"]
    shown.latent_rgb_factors_bias = facts["latent_rgb_factors_bias"]
    shown.taesd_decoder_name = None
    return model, blank(facts["text_width"]), vae

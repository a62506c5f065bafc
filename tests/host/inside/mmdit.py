"""Small random models of the host's other joint transformers, each made by its own configuration class."""

from __future__ import annotations

from functools import cache
from typing import Any

import comfy.model_detection
import comfy.model_management as mm
import comfy.model_patcher
import comfy.samplers
import tiny
import torch
from region_drag_editing.nodes.host.shape import host_shape
from torch import Tensor

FLUX_PARTS = {
    "context_in_dim": 16,
    "hidden_size": 128,
    "num_heads": 1,
    "depth": 2,
    "depth_single_blocks": 2,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "FLUX.2": FLUX_PARTS
    | {
        "image_model": "flux2",
        "in_channels": 128,
        "out_channels": 128,
        "vec_in_dim": None,
        "mlp_ratio": 3.0,
        "axes_dim": [32, 32, 32, 32],
        "theta": 2000,
        "patch_size": 1,
        "qkv_bias": False,
        "guidance_embed": True,
        "txt_ids_dims": [3],
        "global_modulation": True,
        "mlp_silu_act": True,
        "ops_bias": False,
        "default_ref_method": "index",
        "ref_index_scale": 10.0,
    },
    "Chroma": FLUX_PARTS
    | {
        "image_model": "chroma",
        "in_channels": 64,
        "out_channels": 64,
        "mlp_ratio": 4.0,
        "axes_dim": [16, 56, 56],
        "theta": 10000,
        "patch_size": 2,
        "qkv_bias": True,
        "in_dim": 64,
        "out_dim": 128,
        "hidden_dim": 32,
        "n_layers": 2,
        "txt_ids_dims": [],
        "vec_in_dim": None,
    },
    "Stable Diffusion 3": {  # 3.5 medium: the first blocks have a second attention
        "in_channels": 16,
        "patch_size": 2,
        "out_channels": 16,
        "depth": 2,
        "num_blocks": 3,
        "input_size": None,
        "adm_in_channels": 16,
        "context_embedder_config": {
            "target": "torch.nn.Linear",
            "params": {"in_features": 16, "out_features": 128},
        },
        "num_patches": 256,
        "pos_embed_max_size": 16,
        "qk_norm": "rms",
        "pos_embed_scaling_factor": None,
        "x_block_self_attn_layers": [0],
    },
    "Qwen-Image": {
        "image_model": "qwen_image",
        "in_channels": 64,
        "num_layers": 3,
        "attention_head_dim": 32,
        "num_attention_heads": 2,
        "joint_attention_dim": 16,
        "axes_dims_rope": (8, 12, 12),
    },
}


def load(name: str, inference: bool = True, config: dict[str, Any] | None = None) -> Any:
    """The patcher, as a loader makes it: inside the executor's inference mode."""
    with torch.inference_mode(inference):
        found = comfy.model_detection.model_config_from_unet_config(dict(config or CONFIGS[name]))
        assert found is not None
        found.set_inference_dtype(torch.float32, None)
        with tiny.on_meta():
            shapes = found.get_model({}, "", device="meta").diffusion_model
        model = found.get_model({}, "")
        model.diffusion_model.load_state_dict(tiny._random(shapes, 4))
        return comfy.model_patcher.CoreModelPatcher(
            model, load_device=mm.get_torch_device(), offload_device=mm.unet_offload_device()
        )


def output(patcher: Any) -> Tensor:
    """Two steps of the host's Euler sampler from a fixed latent."""
    with torch.inference_mode():
        guider = comfy.samplers.CFGGuider(patcher)
        guider.inner_set_conds({"positive": tiny.positive()})
        guider.set_cfg(1.0)
        channels = patcher.model.latent_format.latent_channels
        start = host_shape(patcher.model, tiny.noise(1, channels, *tiny.LATENT, seed=5))
        sampler, sigmas = comfy.samplers.sampler_object("euler"), torch.tensor([0.9, 0.5, 0.0])
        out: Tensor = guider.sample(start, torch.zeros_like(start), sampler, sigmas, disable_pbar=True)
        return out.clone()


NAMES = tuple(CONFIGS)


@cache
def loaded(name: str) -> Any:
    return load(name)


def point(name: str, seed: int) -> Tensor:
    channels = loaded(name).model.latent_format.latent_channels
    return tiny.noise(1, channels, *tiny.LATENT, seed=seed)

"""Small random models of kinds that a drag has no hooks for, and a VAE of pooled colours for any model."""

from __future__ import annotations

from functools import cache
from typing import Any

import comfy.model_detection
import comfy.model_management as mm
import comfy.model_patcher
import tiny
import torch
import torch.nn.functional as F
from region_drag_editing.nodes.host.shape import cell_of, core_shape, host_shape
from torch import Tensor

WIDTH = 2048  # of the prompt
LATENT = (32, 36)  # cells: PixArt divides by zero on much smaller ones
CONFIGS: dict[str, dict[str, Any]] = {
    "AuraFlow": {  # a flow
        "cond_seq_dim": WIDTH,  # by this the host knows it
        "dim": 64,
        "n_layers": 2,
        "n_double_layers": 1,
        "n_heads": 2,
        "global_conddim": 64,
        "max_seq": 400,
    },
    "PixArt": {  # noise, whose levels are not Stable Diffusion's
        "image_model": "pixart_alpha",
        "hidden_size": 96,
        "depth": 2,
        "num_heads": 2,
        "caption_channels": WIDTH,
        "model_max_length": 5,
    },
}


@cache
def loaded(name: str) -> Any:
    """The patcher, as a loader makes it: inside the executor's inference mode."""
    with torch.inference_mode(), tiny.with_weights():
        found = comfy.model_detection.model_config_from_unet_config(dict(CONFIGS[name]))
        assert found is not None
        found.set_inference_dtype(torch.float32, None)
        model = found.get_model({}, "")
        model.diffusion_model.load_state_dict(tiny._random(model.diffusion_model, 4))
        return comfy.model_patcher.CoreModelPatcher(
            model, load_device=mm.get_torch_device(), offload_device=mm.unet_offload_device()
        )


def positive() -> Any:
    with torch.inference_mode():
        return [[tiny.noise(1, 5, WIDTH, seed=11), {}]]


class PooledVae:
    """Cells are the mean colours of their pixels, mixed into the model's channels."""

    def __init__(self, model: Any) -> None:
        self.model, self.cell = model, cell_of(model)
        self.latent_channels = model.latent_format.latent_channels
        self.mix = tiny.noise(self.latent_channels, 3, seed=21)

    def encode(self, pixels: Tensor) -> Tensor:
        cells = F.avg_pool2d(pixels.movedim(-1, 1), self.cell) * 2 - 1
        return host_shape(self.model, torch.einsum("cr,brhw->bchw", self.mix, cells))

    def decode(self, samples: Tensor) -> Tensor:
        cells = torch.einsum("rc,bchw->brhw", torch.linalg.pinv(self.mix), core_shape(samples))
        shown = F.interpolate(cells / 2 + 0.5, scale_factor=self.cell, mode="nearest").movedim(1, -1)
        return shown[:, None] if samples.ndim == 5 else shown

"""Networks of the real kinds, small enough to run."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from drag_core.backends.diffusers_flux import DiffusersFlux
from drag_core.backends.diffusers_unet import DiffusersUNet


def unet() -> DiffusersUNet:
    """SD1.5's blocks and self-attentions (16), narrow."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    net = UNet2DConditionModel(
        sample_size=16, block_out_channels=(8, 8, 16, 16), norm_num_groups=4, cross_attention_dim=8,
        attention_head_dim=2,
    )  # fmt: skip
    return DiffusersUNet(net, torch.randn(1, 3, 8))


def flux(doubles: int = 19, singles: int = 38) -> DiffusersFlux:
    from diffusers import FluxTransformer2DModel

    torch.manual_seed(0)
    net = FluxTransformer2DModel(
        in_channels=16, num_layers=doubles, num_single_layers=singles, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=8, pooled_projection_dim=8, guidance_embeds=True,
        axes_dims_rope=(2, 2, 4),
    )  # fmt: skip
    return DiffusersFlux(net, torch.randn(1, 3, 8), torch.randn(1, 8))


def backbones() -> Iterator[tuple[str, DiffusersUNet | DiffusersFlux, Tensor, float, str]]:
    yield "unet", unet(), torch.randn(1, 4, 16, 16), 500.0, "up.2"
    yield "flux", flux(3, 2), torch.randn(1, 4, 16, 16), 0.6, "double.1"

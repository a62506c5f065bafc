"""The two embedded denoisers, as diffusers modules of the real architectures.

They are trained as the very modules that drag_core runs, so there is no second copy of an architecture; only
their constant conditioning (one zero token, a zero vector, guidance 1) is bound here, for whole batches.
"""

from __future__ import annotations

import torch
from diffusers import FluxTransformer2DModel, UNet2DConditionModel
from torch import Tensor, nn

LATENT = 16
TEXT = 32  # width of the one zero text token


def tiny_unet() -> UNet2DConditionModel:
    """SD layout: noise prediction, cross-attention to one zero token; 32x32 without attention, 16x16 and 8x8
    with.
    """
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=LATENT,
        out_channels=LATENT,
        layers_per_block=1,
        block_out_channels=(64, 128, 128),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT,
        attention_head_dim=(2, 4, 4),  # diffusers' name for the number of heads: 32 channels each
        norm_num_groups=32,
    )


def tiny_flux() -> FluxTransformer2DModel:
    """FLUX.1-dev layout at hidden 256: two double and two single blocks, head dimension 128, guidance
    embedded.
    """
    return FluxTransformer2DModel(
        patch_size=1,
        in_channels=4 * LATENT,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=128,
        num_attention_heads=2,
        joint_attention_dim=TEXT,
        pooled_projection_dim=TEXT,
        guidance_embeds=True,
        axes_dims_rope=(16, 56, 56),
    )


def start(model: nn.Module) -> None:
    """Residual branches start at zero, so that the network starts as the identity."""
    ends = (
        "conv2",
        "conv_out",
        "proj_out",
        "norm.linear",
        "norm1.linear",
        "norm1_context.linear",
        "norm_out.linear",
    )
    for name, module in model.named_modules():
        last = name.endswith(ends) and isinstance(module, (nn.Linear, nn.Conv2d))
        if last and "single_transformer_blocks" not in name.replace(".norm.linear", ""):
            nn.init.zeros_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for name, p in model.named_parameters():
        if "single_transformer_blocks" in name and ".norm.linear" in name:
            nn.init.zeros_(p)
        if "guidance_embedder.linear_2" in name:
            nn.init.zeros_(p)


def out_of_reach(name: str, key: str) -> bool:
    """Whether the constant conditioning leaves a parameter without effect, or it must stay as it is.

    What a zero token's values and keys come from changes nothing. FLUX's guidance embedder is mute (its last
    layer zero), since a host that gives FLUX its usual 3.5 would else be 64 % off; its keys stay in the file,
    as they tell dev from schnell.
    """
    if name == "flux":
        return "guidance_embedder" in key
    in_block = "transformer_blocks." in key
    return in_block and (".norm2." in key or (".attn2." in key and not key.endswith("to_out.0.bias")))


def is_inner(name: str, key: str, p: nn.Parameter) -> bool:
    """Whether a parameter is one of the blocks' matrices or convolutions, which Muon trains.

    Not those of FLUX's text side: one constant token has nothing for them to tell apart.
    """
    text = ("norm1_context", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out", "ff_context")
    if p.ndim < 2 or (name == "flux" and any(part in key for part in text)):
        return False
    return "blocks." in key or key.startswith("mid_block.")


def pack(z: Tensor) -> Tensor:
    """(B, C, h, w) -> FLUX tokens (B, h/2·w/2, 4C), channel-major in the token."""
    b, c, h, w = z.shape
    return z.reshape(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(b, h * w // 4, 4 * c)


def image_ids(h: int, w: int) -> Tensor:
    """(h/2·w/2, 3) position of every token."""
    y, x = torch.meshgrid(torch.arange(h // 2), torch.arange(w // 2), indexing="ij")
    return torch.stack([torch.zeros_like(y), y, x], -1).reshape(-1, 3).float()


class FluxVelocity(nn.Module):
    """The tiny FLUX on packed latents with its constant conditioning: one zero token, zero vector, guidance
    1.
    """

    def __init__(self, net: FluxTransformer2DModel) -> None:
        super().__init__()
        self.net = net

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        n, ids = len(z), image_ids(*z.shape[-2:]).to(z.device)
        text, pooled, guidance = z.new_zeros(n, 1, TEXT), z.new_zeros(n, TEXT), z.new_ones(n)
        out = self.net(
            pack(z), text, pooled, t, ids, z.new_zeros(1, 3), guidance=guidance, return_dict=False
        )[0]
        h, w = z.shape[-2] // 2, z.shape[-1] // 2
        unpacked: Tensor = out.reshape(n, h, w, LATENT, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(z.shape)
        return unpacked


class UNetNoise(nn.Module):
    """The tiny UNet with its constant conditioning: one zero token."""

    def __init__(self, net: UNet2DConditionModel) -> None:
        super().__init__()
        self.net = net

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        out: Tensor = self.net(z, t, z.new_zeros(len(z), 1, TEXT), return_dict=False)[0]
        return out

"""Backbones over diffusers: features, early stop, gradients, K/V.

Tiny random networks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel, UNet2DConditionModel
from safetensors.torch import save_file

from drag_core.backends import keys
from drag_core.backends.diffusers_flux import DiffusersFlux
from drag_core.backends.diffusers_unet import DiffusersUNet
from drag_core.trajectory.kvcache import KVPlain
from drag_core.types import DragError, FeatureTap, KVInject, KVRecord


def tiny_unet(**other: Any) -> UNet2DConditionModel:
    torch.manual_seed(0)
    config: dict[str, Any] = dict(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        layers_per_block=2,
        block_out_channels=(32, 64),
        norm_num_groups=32,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=24,
        attention_head_dim=8,
    )
    return UNet2DConditionModel(**(config | other))


def tiny_flux() -> FluxTransformer2DModel:
    torch.manual_seed(0)
    net = FluxTransformer2DModel(
        in_channels=16,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=128,
        num_attention_heads=1,
        joint_attention_dim=24,
        pooled_projection_dim=20,
        guidance_embeds=True,
        axes_dims_rope=(16, 56, 56),
    )
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.05)
    return net


def unet_backbone() -> tuple[DiffusersUNet, torch.Tensor]:
    return DiffusersUNet(tiny_unet(), torch.randn(1, 3, 24)), torch.randn(1, 4, 8, 12)


def flux_backbone() -> tuple[DiffusersFlux, torch.Tensor]:
    return DiffusersFlux(tiny_flux(), torch.randn(1, 3, 24), torch.randn(1, 20)), torch.randn(1, 4, 8, 12)


BACKBONES = {
    "unet": (unet_backbone, ("up.0", "up.1"), "attn.1", 500.0),
    "flux": (flux_backbone, ("double.1", "single.0"), "single.0", 0.6),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_early_stop_gives_the_same_features_and_runs_nothing_later(name: str) -> None:
    make, blocks, _, t = BACKBONES[name]
    backbone, z = make()
    taps = (FeatureTap(blocks[0]),)
    later = backbone.blocks[blocks[1]]
    calls: list[int] = []
    later.register_forward_hook(lambda *_: calls.append(1))
    stopped, nothing = backbone.features(z, t, taps)
    assert nothing is None and not calls
    whole, prediction = backbone.features(z, t, taps, stop=False)
    assert prediction is not None and calls
    assert torch.equal(stopped[0], whole[0])
    assert torch.equal(prediction, backbone.predict(z, t))


@pytest.mark.parametrize("name", BACKBONES)
def test_taps_come_in_the_order_asked_for_and_gradients_reach_only_the_latent(name: str) -> None:
    make, blocks, _, t = BACKBONES[name]
    backbone, z = make()
    z.requires_grad_()
    a, b = (backbone.features(z, t, (FeatureTap(x),))[0][0] for x in blocks)
    both, _ = backbone.features(z, t, tuple(FeatureTap(x) for x in reversed(blocks)))
    assert torch.equal(both[0], b) and torch.equal(both[1], a)
    assert torch.autograd.grad(both[0].square().mean(), z)[0].abs().max() > 0
    assert all(p.grad is None and not p.requires_grad for p in backbone.net.parameters())


@pytest.mark.parametrize("name", BACKBONES)
def test_own_keys_and_values_are_the_identity_and_foreign_ones_are_not(name: str) -> None:
    make, _, block, t = BACKBONES[name]
    backbone, z = make()
    cache = KVPlain()
    with torch.no_grad():
        plain = backbone.predict(z, t)
        assert torch.equal(backbone.predict(z, t, KVRecord(cache, (block,))), plain)
        torch.testing.assert_close(
            backbone.predict(z, t, KVInject(cache, (block,))), plain, rtol=1e-5, atol=1e-6
        )
        other = torch.randn_like(z)
        injected = backbone.predict(other, t, KVInject(cache, (block,)))
        assert (injected - backbone.predict(other, t)).abs().max() > 1e-5
        assert torch.equal(backbone.predict(z, t), plain), "a hook was left behind"
    assert cache.levels == (t,) and cache.bytes > 0


@pytest.mark.parametrize("name", BACKBONES)
def test_unknown_names_say_what_there_is(name: str) -> None:
    make, _, _, t = BACKBONES[name]
    backbone, z = make()
    with pytest.raises(DragError, match="it has"):
        backbone.features(z, t, (FeatureTap("up.9"),))
    with pytest.raises(DragError, match="it has"):
        backbone.predict(z, t, KVRecord(KVPlain(), ("attn.99",)))


def test_flux_norm1_is_the_modulated_attention_input() -> None:
    backbone, z = flux_backbone()
    seen: list[torch.Tensor] = []
    backbone.net.transformer_blocks[1].attn.to_q.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    maps, _ = backbone.features(z, 0.5, (FeatureTap("double.1", "norm1"), FeatureTap("double.1")))
    assert torch.equal(maps[0].flatten(2).mT, seen[0]) and maps[1].shape == (1, 128, 4, 6)
    single, _ = backbone.features(z, 0.5, (FeatureTap("single.0", "norm1"),))
    assert single[0].shape == (1, 128, 4, 6)


def test_odd_flux_latent_is_one_sentence() -> None:
    backbone, _ = flux_backbone()
    with pytest.raises(DragError, match="divisible by 16"):
        backbone.predict(torch.randn(1, 4, 7, 8), 0.5)


def sd_file(path: Path) -> tuple[UNet2DConditionModel, AutoencoderKL]:
    """A whole SD checkpoint with the original names: UNet, autoencoder, CLIP text model; random, small."""
    unet = tiny_unet(cross_attention_dim=64)
    table = {new: old for old, new in keys.unet_blocks(2, (1, 0)).items()}
    weights = {keys.LDM_PREFIX + k: v for k, v in keys.rename(unet.state_dict(), table).items()}
    assert len(weights) == len(unet.state_dict())
    vae = save_with_vae(weights, path)
    return unet, vae


def save_with_vae(weights: dict[str, torch.Tensor], path: Path) -> AutoencoderKL:
    """A checkpoint of `weights` and of a small random autoencoder, which is given back."""
    vae = AutoencoderKL(
        block_out_channels=(32, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
    )
    both = weights | {"first_stage_model." + k: v for k, v in original_vae(vae.state_dict(), 2).items()}
    save_file({k: v.contiguous() for k, v in both.items()}, path)
    return vae


def original_vae(weights: dict[str, torch.Tensor], levels: int) -> dict[str, torch.Tensor]:
    """diffusers' AutoencoderKL names -> the original ones."""
    out = {}
    for key, value in weights.items():
        k = key.replace("mid_block.resnets.0", "mid.block_1").replace("mid_block.resnets.1", "mid.block_2")
        k = (
            k.replace("mid_block.attentions.0", "mid.attn_1")
            .replace("group_norm", "norm")
            .replace("conv_norm_out", "norm_out")
        )
        for new, old in (("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")):
            k = k.replace(f"attn_1.{new}", f"attn_1.{old}")
        k = (
            k.replace("conv_shortcut", "nin_shortcut")
            .replace("downsamplers.0", "downsample")
            .replace("upsamplers.0", "upsample")
        )
        for i in range(levels):
            k = k.replace(f"down_blocks.{i}.", f"down.{i}.").replace(
                f"up_blocks.{i}.", f"up.{levels - 1 - i}."
            )
        k = k.replace(".resnets.", ".block.")
        if "attn_1" in k and value.ndim == 2:
            value = value[:, :, None, None]
        out[k] = value
    return out

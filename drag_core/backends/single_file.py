"""Single files in their original names: configuration read from the weights' shapes, then diffusers' own
modules.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from ..types import DragError
from .codec import Codec
from .keys import LDM_PREFIX, Weights, flux_from_original, rename, taesd_from_original, unet_blocks

if TYPE_CHECKING:
    from .load import Family, Parts

FLUX_SCALE, FLUX_SHIFT, SD_SCALE = 0.3611, 0.1159, 0.18215
CLIP_PREFIX = "cond_stage_model.transformer."


def read_file(path: Path) -> Parts:
    """The parts of a single .safetensors file of SD1.5 (whole checkpoint) or FLUX (transformer, perhaps with
    autoencoder).
    """
    from .load import Parts, read_weights

    weights = read_weights(path)
    inner = {k.removeprefix(LDM_PREFIX): v for k, v in weights.items() if k.startswith(LDM_PREFIX)} or weights
    if any(k.startswith("double_blocks.") for k in inner):
        return Parts("flux", flux(inner), kl_codec(weights, "flux"), None)
    if "input_blocks.0.0.weight" in inner:
        has_text = any(k.startswith(CLIP_PREFIX) for k in weights)
        encode = (lambda prompt: (clip_text(weights, prompt, path.name), None)) if has_text else None
        return Parts("sd", sd_unet(weights), kl_codec(weights, "sd"), encode)
    first = ", ".join(sorted(weights)[:3])
    raise DragError(
        f"{path.name} is neither an SD1.5 nor a FLUX model in its original names; first tensors: {first}"
    )


def _fill(module: nn.Module, weights: Weights, what: str) -> nn.Module:
    """Load strictly; say what is missing or has another shape in one sentence."""
    own = module.state_dict()
    missing = [k for k in own if k not in weights]
    odd = [k for k in own if k in weights and own[k].shape != weights[k].shape]
    if missing or odd:
        raise DragError(
            f"the {what} is not of a known layout: {len(missing)} weights missing, {len(odd)} of another "
            f"shape, e.g. {(missing + odd)[0]}"
        )
    module.load_state_dict({k: weights[k].float() for k in own})
    return module.eval()


def _count(weights: Weights, start: str) -> int:
    return len({k.removeprefix(start).split(".")[0] for k in weights if k.startswith(start)})


def sd_unet(weights: Weights, head_channels: int | None = None) -> nn.Module:
    """UNet2DConditionModel of an SD file. SD1.5 has 8 heads at every width; `head_channels` fixes their
    width instead.
    """
    from diffusers import UNet2DConditionModel

    w = {k.removeprefix(LDM_PREFIX): v for k, v in weights.items()}
    widths: list[int] = []
    attention: list[int] = []
    layers, run, n = 0, 0, 1
    last = _count(w, "input_blocks.") - 1
    while n <= last:
        if f"input_blocks.{n}.0.op.weight" in w:
            layers, run = run, 0
        else:
            if run == 0:
                widths.append(w[f"input_blocks.{n}.0.out_layers.3.weight"].shape[0])
                attention.append(_count(w, f"input_blocks.{n}.1.transformer_blocks."))
            run += 1
        n += 1
    layers = layers or run
    context = next(v.shape[1] for k, v in w.items() if k.endswith("attn2.to_k.weight"))
    if context == 2048 or max(attention) > 1:
        raise DragError("this is an SDXL model; the command line reads SD1.5 and FLUX")
    if context == 1024 and head_channels is None:
        raise DragError(
            "this is an SD2 model, which predicts velocity in its own way; the command line reads SD1.5 "
            "and FLUX"
        )
    net = UNet2DConditionModel(
        in_channels=w["input_blocks.0.0.weight"].shape[1],
        out_channels=w["out.2.weight"].shape[0],
        layers_per_block=layers,
        block_out_channels=tuple(widths),
        down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
        cross_attention_dim=context,
        attention_head_dim=tuple(c // head_channels for c in widths) if head_channels else 8,
        transformer_layers_per_block=1,
    )
    return _fill(net, rename(w, unet_blocks(layers, attention)), "UNet")


def flux(weights: Weights) -> nn.Module:
    """FluxTransformer2DModel of a FLUX file of any width and depth."""
    from diffusers import FluxTransformer2DModel

    head = weights["double_blocks.0.img_attn.norm.query_norm.scale"].shape[0]
    net = FluxTransformer2DModel(
        in_channels=weights["img_in.weight"].shape[1],
        out_channels=weights["final_layer.linear.weight"].shape[0],
        num_layers=_count(weights, "double_blocks."),
        num_single_layers=_count(weights, "single_blocks."),
        attention_head_dim=head,
        num_attention_heads=weights["img_in.weight"].shape[0] // head,
        joint_attention_dim=weights["txt_in.weight"].shape[1],
        pooled_projection_dim=weights["vector_in.in_layer.weight"].shape[1],
        guidance_embeds="guidance_in.in_layer.weight" in weights,
    )
    return _fill(net, flux_from_original(weights), "FLUX transformer")


def taesd(weights: Weights) -> Codec:
    """TAESD of any latent width. ComfyUI's `vae_scale`, over FLUX's own factor, is what the model's latents
    are divided by.
    """
    from diffusers import AutoencoderTiny

    net = AutoencoderTiny(latent_channels=weights["taesd_decoder.1.weight"].shape[1])
    scale = float(weights["vae_scale"]) / FLUX_SCALE if "vae_scale" in weights else 1.0
    return Codec(_fill(net, taesd_from_original(weights), "autoencoder"), 0.0, 1 / scale)


def kl_codec(weights: Weights, family: Family) -> Codec | None:
    """AutoencoderKL from first_stage_model.* (or bare encoder.*, decoder.*) in the original names; None if
    there is none.
    """
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    for prefix in ("first_stage_model.", "vae.", ""):
        w = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        if "decoder.conv_in.weight" in w and "encoder.down.0.block.0.conv1.weight" in w:
            break
    else:
        return None
    levels = _count(w, "encoder.down.")
    config: dict[str, Any] = {
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": w["decoder.conv_in.weight"].shape[1],
        "block_out_channels": tuple(
            w[f"encoder.down.{i}.block.0.conv1.weight"].shape[0] for i in range(levels)
        ),
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "layers_per_block": _count(w, "encoder.down.0.block."),
        "use_quant_conv": "quant_conv.weight" in w,
        "use_post_quant_conv": "post_quant_conv.weight" in w,
    }
    net = AutoencoderKL(**config)
    named = cast(Weights, convert_ldm_vae_checkpoint(dict(w), config))
    vae = _fill(net, named, "autoencoder")
    return Codec(vae, FLUX_SHIFT, FLUX_SCALE) if family == "flux" else Codec(vae, 0.0, SD_SCALE)


def clip_text(weights: Weights, prompt: str, name: str) -> Tensor:
    """The empty prompt through the file's own CLIP text model; other prompts need a tokenizer, which no such
    file has.
    """
    w = {
        k.removeprefix(CLIP_PREFIX).removeprefix("text_model."): v
        for k, v in weights.items()
        if k.startswith(CLIP_PREFIX)
    }
    if prompt:
        raise DragError(
            f"{name} has no tokenizer, so that only the empty prompt can be encoded: leave the prompt "
            f"empty or give a diffusers folder"
        )
    CLIPTextConfig, CLIPTextModel = _transformers("CLIPTextConfig", "CLIPTextModel")
    words, width = w["embeddings.token_embedding.weight"].shape
    length = w["embeddings.position_embedding.weight"].shape[0]
    net = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=words,
            hidden_size=width,
            intermediate_size=w["encoder.layers.0.mlp.fc1.weight"].shape[0],
            hidden_act="quick_gelu",
            num_hidden_layers=_count(w, "encoder.layers."),
            num_attention_heads=max(1, width // 64),
            max_position_embeddings=length,
            bos_token_id=words - 2,
            eos_token_id=words - 1,
            pad_token_id=words - 1,
        )
    )
    own = net.state_dict()
    prefix = "text_model." if any(k.startswith("text_model.") for k in own) else ""
    _fill(
        net,
        {prefix + k: v for k, v in w.items()} | {k: v for k, v in own.items() if k.endswith("position_ids")},
        "text model",
    )
    tokens = torch.full((1, length), words - 1)
    tokens[0, 0] = words - 2  # begin, end, padded with end: the empty prompt
    with torch.no_grad():
        out: Tensor = net(tokens).last_hidden_state
    return out


def _transformers(*names: str) -> list[Any]:
    try:
        import transformers
    except ImportError:
        raise DragError(
            "encoding text needs the package transformers: install it, or give prompt embeddings with --text"
        ) from None
    return [getattr(transformers, n) for n in names]

"""Single files in their original names.

The configuration is read from the weights' shapes; the modules are diffusers' own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..types import DragError, Family
from .checkpoint import Checkpoint, fill, read_weights
from .codec import Codec
from .keys import LDM_PREFIX, Weights, flux_from_original, rename, taesd_from_original, unet_blocks
from .precision import HERE, Place, own_dtype
from .text import CLIP, OPEN, XL_OPEN, clip_text, open_text, xl_text

FLUX_SCALE, FLUX_SHIFT, SD_SCALE = 0.3611, 0.1159, 0.18215
XL_SCALE = 0.13025
UNET = ("input_blocks", "middle_block", "output_blocks")
TIME_WIDTH = 256  # of each of SDXL's six size numbers
LINEAR_HEAD = 64  # channels of an attention head of SD2 and SDXL; SD1 has 8 heads at every width
VELOCITY = 0.09  # deviation of the last self-attention's norm bias above which an SD2 file predicts velocity


def read_file(path: Path, place: Place = HERE) -> Checkpoint:
    """Reads the parts of a single .safetensors file, on the CPU.

    Of SD1.x, SD2.x or SDXL (whole checkpoint) or FLUX (transformer, perhaps with autoencoder). The file's own
    tensors are the weights wherever their precision is the wanted one.
    """
    weights = read_weights(path)
    inner = {k.removeprefix(LDM_PREFIX): v for k, v in weights.items() if k.startswith(LDM_PREFIX)} or weights
    if any(k.startswith("double_blocks.") for k in inner):
        return Checkpoint(
            "flux", flux(inner, place.of(own_dtype(inner.values()))), kl_codec(weights, "flux"), None
        )
    if "input_blocks.0.0.weight" in inner:
        return _sd(weights, path.name, place)
    first = ", ".join(sorted(weights)[:3])
    raise DragError(
        f"{path.name} is neither a Stable Diffusion nor a FLUX model in its original names; first tensors: "
        f"{first}"
    )


def _sd(weights: Weights, name: str, place: Place) -> Checkpoint:
    w = {k.removeprefix(LDM_PREFIX): v for k, v in weights.items()}
    denoiser = (v for k, v in w.items() if k.split(".")[0] in UNET)
    net = sd_unet(weights, dtype=place.of(own_dtype(denoiser)))
    xl = "label_emb.0.0.weight" in w
    text: Any = xl_text if xl else open_text if any(k.startswith(OPEN) for k in weights) else clip_text
    has_text = any(k.startswith((CLIP, OPEN, XL_OPEN)) for k in weights)

    def encode(prompt: str) -> tuple[Tensor, Tensor | None]:
        found = text(weights, prompt, name)
        return found if xl else (found, None)

    velocity = predicts_velocity(weights, w)
    side = 1024 if xl else 768 if velocity else 512
    codec = kl_codec(weights, "sd", XL_SCALE if xl else SD_SCALE)
    return Checkpoint("sd", net, codec, encode if has_text else None, velocity, side)


def predicts_velocity(weights: Weights, unet: Weights) -> bool:
    """Tells whether an SD file predicts v.

    SDXL files say so. Of SD2's two kinds only the weights tell, as in ComfyUI.
    """
    if "v_pred" in weights:
        return True
    last = _count(unet, "output_blocks.") - 1
    bias = unet.get(f"output_blocks.{last}.1.transformer_blocks.0.norm1.bias")
    two = any(k.endswith("attn2.to_k.weight") and v.shape[1] == 1024 for k, v in unet.items())
    return two and bias is not None and float(bias.float().std(unbiased=False)) > VELOCITY


def _count(weights: Weights, start: str) -> int:
    return len({k.removeprefix(start).split(".")[0] for k in weights if k.startswith(start)})


def sd_unet(
    weights: Weights, head_channels: int | None = None, dtype: torch.dtype = torch.float32
) -> nn.Module:
    """Builds the UNet2DConditionModel of an SD1, SD2 or SDXL file.

    head_channels: width of the attention heads.
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
    added = w.get("label_emb.0.0.weight")
    inputs, outputs = w["input_blocks.0.0.weight"].shape[1], w["out.2.weight"].shape[0]
    if inputs != outputs:
        raise DragError(
            f"this UNet reads {inputs} channels and predicts {outputs}: inpainting and depth models can't be "
            "dragged, use the plain model"
        )
    if added is not None and context != 2048:
        raise DragError("this is SDXL's refiner or an unCLIP model, which can't be dragged: use a base model")
    linear = any(k.endswith(".proj_in.weight") and v.ndim == 2 for k, v in w.items())
    heads = head_channels or (LINEAR_HEAD if linear else None)
    extra = {}
    if added is not None:  # pooled text and six numbers about the picture's size
        extra = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": TIME_WIDTH,
            "projection_class_embeddings_input_dim": added.shape[1],
        }
    with torch.device("meta"):
        net = UNet2DConditionModel(
            in_channels=inputs,
            out_channels=outputs,
            layers_per_block=layers,
            block_out_channels=tuple(widths),
            down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attention),
            up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
            cross_attention_dim=context,
            attention_head_dim=tuple(c // heads for c in widths) if heads else 8,
            transformer_layers_per_block=tuple(max(a, 1) for a in attention),
            use_linear_projection=linear,
            **extra,
        )
    return fill(net, rename(w, unet_blocks(layers, attention)), "UNet", dtype)


def flux(weights: Weights, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Builds the FluxTransformer2DModel of a FLUX file of any width and depth."""
    from diffusers import FluxTransformer2DModel

    head = weights["double_blocks.0.img_attn.norm.query_norm.scale"].shape[0]
    with torch.device("meta"):
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
    return fill(net, flux_from_original(weights), "FLUX transformer", dtype)


def taesd(weights: Weights) -> Codec:
    """Builds TAESD of any latent width.

    ComfyUI's `vae_scale`, over FLUX's own factor, is what the model's latents are divided by.
    """
    from diffusers import AutoencoderTiny

    with torch.device("meta"):
        net = AutoencoderTiny(latent_channels=weights["taesd_decoder.1.weight"].shape[1])
    scale = float(weights["vae_scale"]) / FLUX_SCALE if "vae_scale" in weights else 1.0
    vae = fill(net, taesd_from_original(weights), "autoencoder", own_dtype(weights.values()))
    return Codec(vae, 0.0, 1 / scale)


def kl_codec(weights: Weights, family: Family, scale: float = SD_SCALE) -> Codec | None:
    """Builds AutoencoderKL from first_stage_model.* (or bare encoder.*, decoder.*) in the original names.

    None if there is none.
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
    with torch.device("meta"):
        net = AutoencoderKL(**config)
    named = cast(Weights, convert_ldm_vae_checkpoint(dict(w), config))
    vae = fill(net, named, "autoencoder", own_dtype(named.values()))
    return Codec(vae, FLUX_SHIFT, FLUX_SCALE) if family == "flux" else Codec(vae, 0.0, scale)

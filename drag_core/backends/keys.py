"""Names of weights: the original files' (what ComfyUI loads) against diffusers' modules.

The original files are those of CompVis, Black Forest Labs and TAESD. There is one table each, used in both
directions: to read a single file and to write the embedded models. Works for any width and depth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Weights = dict[str, Tensor]
LDM_PREFIX = "model.diffusion_model."
_RES = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}


def unet_blocks(layers: int, attention: Sequence[int]) -> dict[str, str]:
    """Maps LDM module prefixes to diffusers' of an SD UNet.

    layers: residual blocks a level.
    attention: attention[l] is the number of transformer blocks at level l (0: none).
    """
    levels, n = len(attention), 1
    out = {
        "time_embed.0": "time_embedding.linear_1",
        "time_embed.2": "time_embedding.linear_2",
        "label_emb.0.0": "add_embedding.linear_1",
        "label_emb.0.2": "add_embedding.linear_2",
        "input_blocks.0.0": "conv_in",
        "out.0": "conv_norm_out",
        "out.2": "conv_out",
    }

    def residual(ldm: str, name: str) -> None:
        out.update({f"{ldm}.{a}": f"{name}.{b}" for a, b in _RES.items()})

    for level in range(levels):
        for i in range(layers):
            residual(f"input_blocks.{n}.0", f"down_blocks.{level}.resnets.{i}")
            if attention[level]:
                out[f"input_blocks.{n}.1"] = f"down_blocks.{level}.attentions.{i}"
            n += 1
        if level < levels - 1:
            out[f"input_blocks.{n}.0.op"] = f"down_blocks.{level}.downsamplers.0.conv"
            n += 1
    residual("middle_block.0", "mid_block.resnets.0")
    out["middle_block.1"] = "mid_block.attentions.0"
    residual("middle_block.2", "mid_block.resnets.1")
    n = 0
    for up in range(levels):
        level = levels - 1 - up
        for i in range(layers + 1):
            residual(f"output_blocks.{n}.0", f"up_blocks.{up}.resnets.{i}")
            if attention[level]:
                out[f"output_blocks.{n}.1"] = f"up_blocks.{up}.attentions.{i}"
            if i == layers and up < levels - 1:
                out[f"output_blocks.{n}.{2 if attention[level] else 1}.conv"] = (
                    f"up_blocks.{up}.upsamplers.0.conv"
                )
            n += 1
    return out


def rename(weights: Mapping[str, Tensor], prefixes: Mapping[str, str]) -> Weights:
    """Replaces the longest matching module prefix of weights; names without a match are left out."""
    out: Weights = {}
    for key, value in weights.items():
        parts = key.split(".")
        for cut in range(len(parts) - 1, 0, -1):
            if (head := ".".join(parts[:cut])) in prefixes:
                out[".".join([prefixes[head], *parts[cut:]])] = value
                break
    return out


_FLUX_HEAD = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "final_layer.linear": "proj_out",
}
_DOUBLE = {
    "img_mod.lin": "norm1.linear",
    "txt_mod.lin": "norm1_context.linear",
    "img_attn.proj": "attn.to_out.0",
    "txt_attn.proj": "attn.to_add_out",
    "img_mlp.0": "ff.net.0.proj",
    "img_mlp.2": "ff.net.2",
    "txt_mlp.0": "ff_context.net.0.proj",
    "txt_mlp.2": "ff_context.net.2",
}
_NORMS = {
    "img_attn.norm.query_norm": "attn.norm_q",
    "img_attn.norm.key_norm": "attn.norm_k",
    "txt_attn.norm.query_norm": "attn.norm_added_q",
    "txt_attn.norm.key_norm": "attn.norm_added_k",
}
_QKV = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
}
_SINGLE_IN = ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")


def flux_from_original(weights: Mapping[str, Tensor]) -> Weights:
    """Turns Black Forest Labs' names and fused matrices into diffusers'."""
    out: Weights = {}
    for key, value in weights.items():
        parts, leaf = key.split("."), key.rsplit(".", 1)[-1]
        stem = key.rsplit(".", 1)[0]
        if stem in _FLUX_HEAD:
            out[f"{_FLUX_HEAD[stem]}.{leaf}"] = value
        elif stem == "final_layer.adaLN_modulation.1":  # shift, scale -> scale, shift
            out[f"norm_out.linear.{leaf}"] = torch.cat(value.chunk(2)[::-1])
        elif parts[0] in ("double_blocks", "single_blocks"):
            to = "transformer_blocks" if parts[0] == "double_blocks" else "single_transformer_blocks"
            inner = ".".join(parts[2:-1])
            base = f"{to}.{parts[1]}"
            if inner in _DOUBLE:
                out[f"{base}.{_DOUBLE[inner]}.{leaf}"] = value
            elif inner in _NORMS:
                out[f"{base}.{_NORMS[inner]}.weight"] = value
            elif inner in _QKV:
                out |= {f"{base}.{n}.{leaf}": v for n, v in zip(_QKV[inner], value.chunk(3), strict=True)}
            elif inner == "linear1":
                width = weights[f"single_blocks.{parts[1]}.linear2.weight"].shape[0]
                sizes = [width, width, width, value.shape[0] - 3 * width]
                out |= {f"{base}.{n}.{leaf}": v for n, v in zip(_SINGLE_IN, value.split(sizes), strict=True)}
            else:
                names = {
                    "modulation.lin": "norm.linear",
                    "linear2": "proj_out",
                    "norm.query_norm": "attn.norm_q",
                    "norm.key_norm": "attn.norm_k",
                }
                out[f"{base}.{names[inner]}.{'weight' if leaf == 'scale' else leaf}"] = value
    return out


def flux_to_original(weights: Mapping[str, Tensor], double: int, single: int) -> Weights:
    """Turns diffusers' names into Black Forest Labs', matrices fused."""
    out: Weights = {}
    for old, new in _FLUX_HEAD.items():
        out |= {
            f"{old}.{leaf}": weights[f"{new}.{leaf}"]
            for leaf in ("weight", "bias")
            if f"{new}.{leaf}" in weights
        }
    for leaf in ("weight", "bias"):
        out[f"final_layer.adaLN_modulation.1.{leaf}"] = torch.cat(
            weights[f"norm_out.linear.{leaf}"].chunk(2)[::-1]
        )
    for i in range(double):
        old_base, base = f"double_blocks.{i}", f"transformer_blocks.{i}"
        out |= {f"{old_base}.{n}.scale": weights[f"{base}.{m}.weight"] for n, m in _NORMS.items()}
        for leaf in ("weight", "bias"):
            out |= {f"{old_base}.{n}.{leaf}": weights[f"{base}.{m}.{leaf}"] for n, m in _DOUBLE.items()}
            out |= {
                f"{old_base}.{n}.{leaf}": torch.cat([weights[f"{base}.{m}.{leaf}"] for m in ms])
                for n, ms in _QKV.items()
            }
    for i in range(single):
        old_base, base = f"single_blocks.{i}", f"single_transformer_blocks.{i}"
        out[f"{old_base}.norm.query_norm.scale"] = weights[f"{base}.attn.norm_q.weight"]
        out[f"{old_base}.norm.key_norm.scale"] = weights[f"{base}.attn.norm_k.weight"]
        for leaf in ("weight", "bias"):
            out[f"{old_base}.linear1.{leaf}"] = torch.cat([weights[f"{base}.{m}.{leaf}"] for m in _SINGLE_IN])
            out[f"{old_base}.linear2.{leaf}"] = weights[f"{base}.proj_out.{leaf}"]
            out[f"{old_base}.modulation.lin.{leaf}"] = weights[f"{base}.norm.linear.{leaf}"]
    return out


def taesd_from_original(weights: Mapping[str, Tensor]) -> Weights:
    """Renames TAESD's weights to AutoencoderTiny's.

    taesd_encoder.i becomes encoder.layers.i and taesd_decoder.i becomes decoder.layers.(i-1), as its clamp is
    no layer there.
    """
    out: Weights = {}
    for key, value in weights.items():
        part, index, rest = (key.split(".", 2) + ["", ""])[:3]
        if part == "taesd_encoder":
            out[f"encoder.layers.{index}.{rest}"] = value
        elif part == "taesd_decoder":
            out[f"decoder.layers.{int(index) - 1}.{rest}"] = value
    return out


def taesd_to_original(weights: Mapping[str, Tensor]) -> Weights:
    """Renames AutoencoderTiny's weights to TAESD's, the way back."""
    out: Weights = {}
    for key, value in weights.items():
        part, _, index, rest = key.split(".", 3)
        out[f"taesd_{part}.{int(index) + (part == 'decoder')}.{rest}"] = value
    return out

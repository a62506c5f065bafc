"""Text encoders of Stable Diffusion 1.x, 2.x, XL and of FLUX: a diffusers folder's, or a single file's own.

Stable Diffusion 1 reads CLIP-L's last layer, 2 OpenCLIP-H's last but one with the final norm, XL the last but
one of CLIP-L and OpenCLIP-bigG, without it, and bigG's projected end token.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ..ranges import check_mode
from ..types import DragError
from .checkpoint import fill
from .keys import Weights
from .precision import folder_dtype

Pad = Literal["end", "zero"]
CLIP = "cond_stage_model.transformer."
OPEN = "cond_stage_model.model."
XL_CLIP, XL_OPEN = "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."
_OPEN_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}


def from_open_clip(weights: Weights) -> Weights:
    """Renames OpenCLIP's text model to transformers' CLIP, without its prefix "text_model."."""
    out: Weights = {}
    for key, value in weights.items():
        stem, leaf = key.rpartition(".")[::2]
        if key == "positional_embedding":
            out["embeddings.position_embedding.weight"] = value
        elif key == "token_embedding.weight":
            out["embeddings.token_embedding.weight"] = value
        elif stem == "ln_final":
            out[f"final_layer_norm.{leaf}"] = value
        elif key == "text_projection":
            out["text_projection.weight"] = value.T
        elif key.startswith("transformer.resblocks."):
            _, _, i, inner = key.split(".", 3)
            base, part = f"encoder.layers.{i}", inner.rpartition(".")[0]
            if part in _OPEN_LAYER:
                out[f"{base}.{_OPEN_LAYER[part]}.{leaf}"] = value
            elif leaf.startswith("in_proj_"):
                for name, rows in zip(("q", "k", "v"), value.chunk(3), strict=True):
                    out[f"{base}.self_attn.{name}_proj.{leaf.removeprefix('in_proj_')}"] = rows
    return out


def parts_of(weights: Weights, prefix: str) -> Weights:
    """Selects the text model's weights, under transformers' names, without prefixes."""
    w = {
        k.removeprefix(prefix).removeprefix("text_model."): v
        for k, v in weights.items()
        if k.startswith(prefix)
    }
    return from_open_clip(w) if "token_embedding.weight" in w else w


def encoder(w: Weights, act: str, layers: int) -> Any:
    """Builds transformers' CLIP text model of the first `layers` layers of these weights."""
    (model_class, config_class) = transformers_classes("CLIPTextModel", "CLIPTextConfig")

    words, width = w["embeddings.token_embedding.weight"].shape
    config = config_class(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=w["encoder.layers.0.mlp.fc1.weight"].shape[0],
        hidden_act=act,
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // 64),
        max_position_embeddings=w["embeddings.position_embedding.weight"].shape[0],
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=words - 1,
    )
    with torch.device("meta"):
        net = model_class(config)
    prefix = "text_model." if any(k.startswith("text_model.") for k in net.state_dict()) else ""
    for m in net.modules():  # no weight, so in no file
        if "position_ids" in m._buffers:
            m.position_ids = torch.arange(m.position_ids.shape[-1])[None]
    ids = {k: v for k, v in net.state_dict().items() if k.endswith("position_ids")}
    fill(net, {prefix + k: v for k, v in w.items()} | ids, "text model")
    return net


def empty_prompt(w: Weights, pad: Pad) -> Tensor:
    """Makes an empty prompt's tokens (1, L): begin, end, and `pad` "end" or "zero" to the full length."""
    check_mode("the padding of an empty prompt", pad, Pad)
    words, length = (
        len(w["embeddings.token_embedding.weight"]),
        len(w["embeddings.position_embedding.weight"]),
    )
    tokens = torch.full((1, length), words - 1 if pad == "end" else 0)
    tokens[0, 0], tokens[0, 1] = words - 2, words - 1
    return tokens


def _no_tokenizer(prompt: str, name: str) -> None:
    if prompt:
        raise DragError(
            f"{name} has no tokenizer, so that only the empty prompt can be encoded: leave the prompt "
            f"empty or give a diffusers folder"
        )


def _depth(w: Weights) -> int:
    return len({k.split(".")[2] for k in w if k.startswith("encoder.layers.")})


@torch.no_grad()
def clip_text(weights: Weights, prompt: str, name: str) -> Tensor:
    """Encodes the empty prompt by a Stable Diffusion 1 file's own CLIP.

    Other prompts need a tokenizer, which no such file has.
    """
    _no_tokenizer(prompt, name)
    w = parts_of(weights, CLIP)
    out: Tensor = encoder(w, "quick_gelu", _depth(w))(empty_prompt(w, "end")).last_hidden_state
    return out


@torch.no_grad()
def open_text(weights: Weights, prompt: str, name: str) -> Tensor:
    """Does the same of Stable Diffusion 2: OpenCLIP's last layer but one, through the final norm."""
    _no_tokenizer(prompt, name)
    w = parts_of(weights, OPEN)
    out: Tensor = encoder(w, "gelu", _depth(w) - 1)(empty_prompt(w, "zero")).last_hidden_state
    return out


@torch.no_grad()
def xl_text(weights: Weights, prompt: str, name: str) -> tuple[Tensor, Tensor]:
    """Does the same of XL.

    Both encoders' last layer but one side by side (1, L, 2048), and the pooled (1, P).
    """
    _no_tokenizer(prompt, name)
    small, large = parts_of(weights, XL_CLIP), parts_of(weights, XL_OPEN)
    first = encoder(small, "quick_gelu", _depth(small))
    second = encoder(large, "gelu", _depth(large))
    a = first(empty_prompt(small, "end"), output_hidden_states=True)
    b = second(empty_prompt(large, "zero"), output_hidden_states=True)
    pooled = b.last_hidden_state[:, 1] @ large["text_projection.weight"].float().T  # the end token's
    return torch.cat([a.hidden_states[-2], b.hidden_states[-2]], -1), pooled


@torch.no_grad()
def folder_clip(path: Path, prompt: str) -> tuple[Tensor, Tensor]:
    """Computes last layer and pooled output of a diffusers folder's first text encoder."""
    out = _run(path, prompt, "tokenizer", "text_encoder", "CLIPTextModel")
    return out.last_hidden_state, out.pooler_output


@torch.no_grad()
def folder_xl(path: Path, prompt: str) -> tuple[Tensor, Tensor]:
    """Computes, as StableDiffusionXLPipeline, both encoders' last layer but one.

    And the second's projected end token.
    """
    a = _run(path, prompt, "tokenizer", "text_encoder", "CLIPTextModel")
    b = _run(path, prompt, "tokenizer_2", "text_encoder_2", "CLIPTextModelWithProjection")
    return torch.cat([a.hidden_states[-2], b.hidden_states[-2]], -1), b.text_embeds


def _run(path: Path, prompt: str, tokenizer: str, model: str, kind: str) -> Any:
    tokenizer_class, model_class = transformers_classes("CLIPTokenizer", kind)
    words = tokenizer_class.from_pretrained(path / tokenizer, local_files_only=True)
    net = pretrained(model_class, path / model, torch.float32)
    return net(_tokens(words, prompt, net.config.max_position_embeddings), output_hidden_states=True)


def pretrained(kind: Any, path: Path, dtype: torch.dtype) -> Any:
    """Reads one of transformers' models from a folder of safetensors, in `dtype`."""
    import transformers

    # newer ones call it dtype and complain of the other name; without it they take the file's
    name = "dtype" if hasattr(transformers.PretrainedConfig(), "dtype") else "torch_dtype"
    return kind.from_pretrained(path, local_files_only=True, use_safetensors=True, **{name: dtype})


def _tokens(words: Any, prompt: str, length: int) -> Any:
    said = words(prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return said.input_ids


@torch.no_grad()
def folder_t5(path: Path, prompt: str, wide: bool = True) -> Tensor:
    """Computes FLUX's T5, 512 tokens.

    It runs in float32 or, if not `wide`, in the bfloat16 of files that have it.
    """
    tokenizer_class, model_class = transformers_classes("AutoTokenizer", "T5EncoderModel")
    words = tokenizer_class.from_pretrained(path / "tokenizer_2", local_files_only=True)
    half = not wide and folder_dtype(path / "text_encoder_2") == torch.bfloat16
    net = pretrained(model_class, path / "text_encoder_2", torch.bfloat16 if half else torch.float32)
    out: Tensor = net(_tokens(words, prompt, 512))[0]
    return out


def transformers_classes(*names: str) -> list[Any]:
    """Returns transformers' classes of these names; DragError where the package is missing."""
    try:
        import transformers
    except ImportError:
        raise DragError(
            "encoding text or pictures needs the package transformers: install it, or give prompt embeddings "
            "with --text"
        ) from None
    return [getattr(transformers, n) for n in names]

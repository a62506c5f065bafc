"""The empty prompt of SD2 and SDXL from the text encoder inside a checkpoint."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from drag_core.backends import text
from drag_core.types import DragError

DOWN, UP, CROSS_DOWN, CROSS_UP = "DownBlock2D", "UpBlock2D", "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"


def clip(width: int, layers: int, act: str, projection: bool = False) -> Any:
    transformers = pytest.importorskip(
        "transformers", reason="transformers is missing: pip install transformers"
    )
    torch.manual_seed(5)
    config = transformers.CLIPTextConfig(
        vocab_size=100,
        hidden_size=width,
        intermediate_size=96,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        max_position_embeddings=9,
        bos_token_id=98,
        eos_token_id=99,
        pad_token_id=99,
        hidden_act=act,
        projection_dim=40,
    )
    kind = transformers.CLIPTextModelWithProjection if projection else transformers.CLIPTextModel
    return kind(config).eval()


def open_clip(net: Any) -> dict[str, Tensor]:
    """transformers' CLIP text weights under OpenCLIP's names."""
    own = {k.removeprefix("text_model."): v for k, v in net.state_dict().items()}
    out = {
        "positional_embedding": own["embeddings.position_embedding.weight"],
        "token_embedding.weight": own["embeddings.token_embedding.weight"],
        "ln_final.weight": own["final_layer_norm.weight"],
        "ln_final.bias": own["final_layer_norm.bias"],
    }
    if "text_projection.weight" in own:
        out["text_projection"] = own["text_projection.weight"].T
    pairs = (
        ("ln_1", "layer_norm1"),
        ("ln_2", "layer_norm2"),
        ("mlp.c_fc", "mlp.fc1"),
        ("mlp.c_proj", "mlp.fc2"),
    )
    for i in range(net.config.num_hidden_layers):
        a, b = f"transformer.resblocks.{i}", f"encoder.layers.{i}"
        for leaf in ("weight", "bias"):
            out |= {f"{a}.{x}.{leaf}": own[f"{b}.{y}.{leaf}"] for x, y in pairs}
            out[f"{a}.attn.out_proj.{leaf}"] = own[f"{b}.self_attn.out_proj.{leaf}"]
            out[f"{a}.attn.in_proj_{leaf}"] = torch.cat(
                [own[f"{b}.self_attn.{x}_proj.{leaf}"] for x in "qkv"]
            )
    return out


def test_the_empty_prompt_of_sd2_and_sdxl() -> None:
    """SD2: last layer but one, with the final norm. SDXL: without it, two encoders, and the pooled token."""
    net = clip(64, 3, "gelu")
    end, zero = torch.tensor([[98] + [99] * 8]), torch.tensor([[98, 99] + [0] * 7])
    norm = next(m for n, m in net.named_modules() if n.endswith("final_layer_norm"))
    with torch.no_grad():
        want = norm(net(zero, output_hidden_states=True).hidden_states[-2])
    got = text.open_text({text.OPEN + k: v for k, v in open_clip(net).items()}, "", "x")
    torch.testing.assert_close(got, want)
    small, large = clip(64, 3, "quick_gelu"), clip(128, 4, "gelu", projection=True)
    own = {k if k.startswith("text_model.") else f"text_model.{k}": v for k, v in small.state_dict().items()}
    weights = {text.XL_CLIP + k: v for k, v in own.items()}
    weights |= {text.XL_OPEN + k: v for k, v in open_clip(large).items()}
    with torch.no_grad():
        a, b = small(end, output_hidden_states=True), large(zero, output_hidden_states=True)
    got, pooled = text.xl_text(weights, "", "x")
    torch.testing.assert_close(got, torch.cat([a.hidden_states[-2], b.hidden_states[-2]], -1))
    torch.testing.assert_close(pooled, b.text_embeds)
    for encode in (text.open_text, text.xl_text):
        with pytest.raises(DragError, match="no tokenizer"):
            encode(weights, "a cat", "x")

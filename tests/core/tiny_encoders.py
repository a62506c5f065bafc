"""Tiny random image encoders in transformers' folders, of the widths that the tiny adapters read."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.host.inside import adapter_oracle as plain

SIDE = 42  # three patches of 14: plain.PATCHES tokens


def _small(width: int, layers: int, heads: int) -> dict[str, int]:
    return {
        "hidden_size": width,
        "intermediate_size": 32,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "image_size": SIDE,
        "patch_size": 14,
    }


def clip(folder: Path) -> Path:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(1)
    config = CLIPVisionConfig(**_small(32, 2, 2), projection_dim=plain.CLIP)
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder


def siglip(folder: Path, layers: int = 27) -> Path:
    from transformers import SiglipVisionConfig, SiglipVisionModel

    torch.manual_seed(2)
    SiglipVisionModel(SiglipVisionConfig(**_small(plain.SIGLIP, layers, 2))).save_pretrained(folder)
    return folder


def dino(folder: Path, layers: int = 30) -> Path:
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(3)
    sizes = _small(plain.DINO, layers, 2)
    del sizes["intermediate_size"]
    Dinov2Model(Dinov2Config(**sizes, mlp_ratio=1)).save_pretrained(folder)
    return folder

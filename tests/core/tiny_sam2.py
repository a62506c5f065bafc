"""A tiny SAM 2 image encoder of transformers', and its weights under the released files' names."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from drag_core.features.sam2 import Layout

KEY = (16, 8)  # channels of the first stage, blocks
TINY = Layout("eight blocks", 16, (8, 4, 6, 3), (4, 7), 128)
NAMES = (
    (r"^backbone\.", "image_encoder.trunk."),
    (r"^neck\.convs\.(\d+)\.", r"image_encoder.neck.convs.\1.conv."),
    (r"patch_embed\.projection", "patch_embed.proj"),
    (r"layer_norm([12])", r"norm\1"),
    (r"mlp\.proj_in", "mlp.layers.0"),
    (r"mlp\.proj_out", "mlp.layers.1"),
)


def encoder(side: int = 128) -> Any:
    """transformers' own network, random, for pictures of `side`."""
    from transformers import Sam2HieraDetConfig, Sam2VisionConfig, Sam2VisionModel

    torch.manual_seed(5)
    trunk = Sam2HieraDetConfig(
        hidden_size=16,
        image_size=[side, side],
        blocks_per_stage=[1, 2, 3, 2],
        embed_dim_per_stage=[16, 32, 64, 128],
        num_attention_heads_per_stage=[1, 2, 4, 8],
        window_size_per_stage=list(TINY.windows),
        global_attention_blocks=list(TINY.whole),
    )
    config = Sam2VisionConfig(backbone_config=trunk, backbone_channel_list=[128, 64, 32, 16])
    net = Sam2VisionModel(config).eval()
    for name, p in net.named_parameters():
        torch.nn.init.normal_(p, 1.0 if "norm" in name and "weight" in name else 0.0, 0.15)
    return net


def released(net: Any) -> dict[str, Tensor]:
    """Its weights as a released file names them."""
    out = {}
    for name, w in net.state_dict().items():
        for ours, theirs in NAMES:
            name = re.sub(ours, theirs, name)
        out[name] = w.clone()
    return out

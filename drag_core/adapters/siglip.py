"""SigLIP's attention pooling, which ComfyUI's image encoder leaves out and InstantX's IP-Adapter needs.

One learned query looks at all patches (Zhai et al. 2022, "MAP head"); names as in the released file.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from .files import Weights, need
from .parts import Part, attend, heads

PREFIX = "vision_model.head"
WIDTH = 72  # channels of a head of SigLIP so400m (1152 of 16)
EPS = 1e-6


def head_of(weights: Weights) -> dict[str, Tensor]:
    """Takes the pooling's weights out of a SigLIP file; DragError where they are not in it."""
    names = [f"{PREFIX}.probe"] + [f"{PREFIX}.attention.in_proj_{p}" for p in ("weight", "bias")]
    stems = ("attention.out_proj", "layernorm", "mlp.fc1", "mlp.fc2")
    names += [f"{PREFIX}.{s}.{p}" for s in stems for p in ("weight", "bias")]
    need(weights, names, "the SigLIP file")
    return {n: weights[n] for n in names}


def pooled(head: Weights, patches: Tensor, width: int = WIDTH) -> Tensor:
    """Pools the encoder's last hidden states (pictures, tokens, channels) to (pictures, channels)."""
    part = Part(head, PREFIX)
    weight, bias = (head[f"{PREFIX}.attention.in_proj_{p}"].to(patches) for p in ("weight", "bias"))
    probe = head[f"{PREFIX}.probe"].to(patches).reshape(1, 1, -1).expand(len(patches), -1, -1)
    q, k, v = (
        heads(F.linear(x, w, b), width)
        for x, w, b in zip((probe, patches, patches), weight.chunk(3), bias.chunk(3), strict=True)
    )
    x = part.linear("attention.out_proj", attend(q, k, v))
    y = part.norm("layernorm", x, EPS)
    y = part.linear("mlp.fc2", F.gelu(part.linear("mlp.fc1", y), approximate="tanh"))
    return (x + y)[:, 0]

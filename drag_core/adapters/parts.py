"""What several adapters are made of: functions over a file's weights, by their names in the file."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .files import HEAD, Weights


class Part:
    """The weights under one prefix, cast and moved to what they meet.

    A file on the CPU streams through the device layer by layer.
    """

    def __init__(self, weights: Weights, prefix: str) -> None:
        self.weights, self.prefix = weights, prefix

    def __getitem__(self, name: str) -> Part:
        return Part(self.weights, f"{self.prefix}.{name}")

    def get(self, name: str, like: Tensor) -> Tensor | None:
        found = self.weights.get(f"{self.prefix}.{name}")
        return None if found is None else found.to(like)

    def linear(self, name: str, x: Tensor) -> Tensor:
        weight = self.weights[f"{self.prefix}.{name}.weight"].to(x)
        out: Tensor = F.linear(x, weight, self.get(f"{name}.bias", x))
        return out

    def norm(self, name: str, x: Tensor, eps: float) -> Tensor:
        """Applies layer norm over the channels."""
        return F.layer_norm(x, x.shape[-1:], self.get(f"{name}.weight", x), self.get(f"{name}.bias", x), eps)


def heads(x: Tensor, width: int = HEAD) -> Tensor:
    """Splits (b, tokens, heads·width) into (b, heads, tokens, width)."""
    out: Tensor = x.unflatten(-1, (-1, width)).transpose(1, 2)
    return out


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Computes softmax(q kᵀ/√width) v of (b, heads, tokens, width) as (b, tokens, heads·width).

    k and v of one picture serve a batch.
    """
    k, v = (x.to(q).expand(q.shape[0], -1, -1, -1) for x in (k, v))
    out: Tensor = F.scaled_dot_product_attention(q, k, v)
    return out.transpose(1, 2).flatten(2)


def rms(x: Tensor, eps: float) -> Tensor:
    """Computes x/√(mean x² + eps), in float32 at least."""
    y = x if x.dtype == torch.float64 else x.float()
    return (y * torch.rsqrt(y.square().mean(-1, keepdim=True) + eps)).to(x)

"""InstantCharacter's time-conditioned resampler: learned latents read a picture's features at a noise level.

A Perceiver resampler whose features are shifted, and whose latents are modulated, by an embedding of the
time (Tao et al. 2025, "InstantCharacter"); names as in the released file, code our own.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .files import Weights
from .parts import Part, attend, heads

PREFIX = "image_proj.resampler"
HEAD = 64
EPS = 1e-5
TIME = 1000.0  # the adapter's times are 0 (clean) to 1000; DragFlow's released code gives 0 to 1


def _time(part: Part, t: float, like: Tensor, top: float = TIME) -> Tensor:
    """Embeds the time as (1, channels): cosines, then sines, then two linear layers with SiLU between."""
    weight = part.weights[f"{PREFIX}.time_embedding.linear_1.weight"]
    half = weight.shape[1] // 2
    rates = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / half)
    args = (top * t * rates)[None]
    wave = torch.cat([args.cos(), args.sin()], -1).to(like)
    return part.linear("time_embedding.linear_2", F.silu(part.linear("time_embedding.linear_1", wave)))


def _layer(part: Part, x: Tensor, latents: Tensor, time: Tensor) -> Tensor:
    shift_a, scale_a, shift_f, scale_f = part.linear("2.1", F.silu(time))[:, None].chunk(4, -1)
    seen = part.norm("0.norm1", x, EPS)
    asking = part.norm("0.norm2", latents, EPS) * (1 + scale_a) + shift_a
    k, v = part.linear("0.to_kv", torch.cat([seen, asking], 1)).chunk(2, -1)
    q = part.linear("0.to_q", asking)
    latents = latents + part.linear("0.to_out", attend(*(heads(y, HEAD) for y in (q, k, v))))
    y = part.norm("1.0", latents, EPS) * (1 + scale_f) + shift_f
    return latents + part.linear("1.3", F.gelu(part.linear("1.1", y)))


def resample(weights: Weights, features: Tensor, t: float, top: float = TIME) -> Tensor:
    """Resamples features (b, tokens, channels) to tokens (b, n, context).

    The level t is in 0 (clean) to 1; the network is told the time top·t.
    """
    part = Part(weights, PREFIX)
    time = _time(part, t, features, top)
    x = part.linear("proj_in", features) + time[:, None]
    latents = weights[f"{PREFIX}.latents"].to(features).expand(len(features), -1, -1)
    count = sum(n.startswith(f"{PREFIX}.layers.") and n.endswith(".0.to_q.weight") for n in weights)
    for i in range(count):
        latents = _layer(part[f"layers.{i}"], x, latents, time)
    return part.norm("norm_out", part.linear("proj_out", latents), EPS)

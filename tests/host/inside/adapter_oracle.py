"""The adapters once more: small random files with the released key names, and plain functions over them, in
the precision of what they are given. Nothing of the host's or ours is imported.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]
CLIP, SIGLIP, DINO, CONTEXT = 24, 144, 112, 32
WIDE = SIGLIP + DINO  # 4 heads of 64
PATCHES = 9  # of a view


class Maker:
    """Random weights, a seed each."""

    def __init__(self, seed: int) -> None:
        self.g = torch.Generator().manual_seed(seed)
        self.out: Weights = {}

    def linear(self, name: str, to: int, of: int, bias: bool = True) -> None:
        self.out[f"{name}.weight"] = torch.randn(to, of, generator=self.g) / of**0.5
        if bias:
            self.out[f"{name}.bias"] = 0.1 * torch.randn(to, generator=self.g)

    def norm(self, name: str, of: int) -> None:
        self.out[f"{name}.weight"] = 1 + 0.1 * torch.randn(of, generator=self.g)
        self.out[f"{name}.bias"] = 0.1 * torch.randn(of, generator=self.g)

    def scale(self, name: str, of: int) -> None:
        self.out[f"{name}.scale"] = 1 + 0.2 * torch.randn(of, generator=self.g)


def xlabs(layers: int = 2, hidden: int = 256, tokens: int = 4) -> Weights:
    m = Maker(21)
    for i in range(layers):
        for p in "kv":
            m.linear(f"double_blocks.{i}.processor.ip_adapter_double_stream_{p}_proj", hidden, CONTEXT)
    m.linear("ip_adapter_proj_model.proj", tokens * CONTEXT, CLIP)
    m.norm("ip_adapter_proj_model.norm", CONTEXT)
    return m.out


def instantx(layers: int = 4, hidden: int = 256, tokens: int = 8) -> Weights:
    m = Maker(22)
    m.linear("image_proj.proj.0", 2 * SIGLIP, SIGLIP)
    m.linear("image_proj.proj.2", tokens * CONTEXT, 2 * SIGLIP)
    m.norm("image_proj.norm", CONTEXT)
    for i in range(layers):
        for p in "kv":
            m.linear(f"ip_adapter.{i}.to_{p}_ip", hidden, CONTEXT, bias=False)
    return m.out


def character(
    layers: int = 4, hidden: int = 256, blocks: int = 2, dim: int = 128, latents: int = 6, time: int = 32
) -> Weights:
    m = Maker(23)
    for i in range(layers):
        for p in "kv":
            m.linear(f"ip_adapter.{i}.to_{p}_ip", hidden, CONTEXT)
        for p in "qk":
            m.scale(f"ip_adapter.{i}.norm_ip_{p}", 128)
    for kind in ("cross_layer_blocks", "cross_scale_blocks"):
        for i in range(blocks):
            at = f"image_proj.{kind}.{i}"
            for n in "123":
                m.norm(f"{at}.norm{n}", WIDE)
            for a in ("attn1", "attn2"):
                for p in "qkv":
                    m.linear(f"{at}.{a}.to_{p}", WIDE, WIDE, bias=False)
                m.linear(f"{at}.{a}.to_out.0", WIDE, WIDE)
            m.linear(f"{at}.ff.net.0.proj", 8 * WIDE, WIDE)
            m.linear(f"{at}.ff.net.2", WIDE, 4 * WIDE)
    for name in ("proj", "proj_cross_layer", "proj_cross_scale"):
        m.linear(f"image_proj.{name}.fc1", 2 * WIDE, WIDE)
        m.linear(f"image_proj.{name}.fc2", WIDE, 2 * WIDE)
    at = "image_proj.resampler"
    m.out[f"{at}.latents"] = torch.randn(1, latents, dim, generator=m.g) / dim**0.5
    m.linear(f"{at}.proj_in", dim, WIDE)
    m.linear(f"{at}.proj_out", CONTEXT, dim)
    m.norm(f"{at}.norm_out", CONTEXT)
    m.linear(f"{at}.time_embedding.linear_1", dim, time)
    m.linear(f"{at}.time_embedding.linear_2", dim, dim)
    for i in range(blocks):
        layer = f"{at}.layers.{i}"
        m.norm(f"{layer}.0.norm1", dim)
        m.norm(f"{layer}.0.norm2", dim)
        m.linear(f"{layer}.0.to_q", dim, dim, bias=False)
        m.linear(f"{layer}.0.to_kv", 2 * dim, dim, bias=False)
        m.linear(f"{layer}.0.to_out", dim, dim, bias=False)
        m.norm(f"{layer}.1.0", dim)
        m.linear(f"{layer}.1.1", 4 * dim, dim, bias=False)
        m.linear(f"{layer}.1.3", dim, 4 * dim, bias=False)
        m.linear(f"{layer}.2.1", 4 * dim, dim)
    return m.out


def pooling() -> Weights:
    """SigLIP's head; 2 heads of 72."""
    m, at = Maker(24), "vision_model.head"
    m.out[f"{at}.probe"] = torch.randn(1, 1, SIGLIP, generator=m.g)
    m.linear("x", 3 * SIGLIP, SIGLIP)
    for p in ("weight", "bias"):
        m.out[f"{at}.attention.in_proj_{p}"] = m.out.pop(f"x.{p}")
    m.linear(f"{at}.attention.out_proj", SIGLIP, SIGLIP)
    m.norm(f"{at}.layernorm", SIGLIP)
    m.linear(f"{at}.mlp.fc1", 4 * SIGLIP, SIGLIP)
    m.linear(f"{at}.mlp.fc2", SIGLIP, 4 * SIGLIP)
    return m.out


def nested(weights: Weights) -> dict[str, Weights]:
    """As the .bin files are: {"ip_adapter": ..., "image_proj": ...}."""
    out: dict[str, Weights] = {}
    for name, w in weights.items():
        first, rest = name.split(".", 1)
        out.setdefault(first, {})[rest] = w
    return out


def _lin(w: Weights, name: str, x: Tensor) -> Tensor:
    y = torch.einsum("oi,bti->bto", w[f"{name}.weight"].to(x), x)
    return y + w[f"{name}.bias"].to(x) if f"{name}.bias" in w else y


def _ln(w: Weights, name: str, x: Tensor, eps: float) -> Tensor:
    y = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + eps).sqrt()
    return y * w[f"{name}.weight"].to(x) + w[f"{name}.bias"].to(x)


def _soft(q: Tensor, k: Tensor, v: Tensor, width: int) -> Tensor:
    """Attention, head by head: channels [h·width, (h+1)·width) of all three."""
    parts = []
    for at in range(0, q.shape[-1], width):
        a, b, c = (x[..., at : at + width] for x in (q, k, v))
        score = torch.einsum("bqd,bkd->bqk", a, b) / width**0.5
        parts.append(torch.einsum("bqk,bkd->bqd", score.softmax(-1), c))
    return torch.cat(parts, -1)


def xlabs_tokens(w: Weights, embeds: Tensor) -> Tensor:
    x = _lin(w, "ip_adapter_proj_model.proj", embeds[None]).reshape(1, -1, CONTEXT)
    return _ln(w, "ip_adapter_proj_model.norm", x, 1e-5)


def pooled(w: Weights, patches: Tensor) -> Tensor:
    at = "vision_model.head"
    weights, biases = (w[f"{at}.attention.in_proj_{p}"].to(patches).chunk(3) for p in ("weight", "bias"))
    probe = w[f"{at}.probe"].to(patches).repeat(len(patches), 1, 1)
    q, k, v = (x @ weights[i].T + biases[i] for i, x in enumerate((probe, patches, patches)))
    x = _lin(w, f"{at}.attention.out_proj", _soft(q, k, v, 72))
    y = _lin(w, f"{at}.mlp.fc1", _ln(w, f"{at}.layernorm", x, 1e-6))
    y = 0.5 * y * (1 + torch.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)))
    return (x + _lin(w, f"{at}.mlp.fc2", y))[:, 0]


def instantx_tokens(w: Weights, embeds: Tensor) -> Tensor:
    x = _lin(w, "image_proj.proj.0", embeds[None])
    x = _lin(w, "image_proj.proj.2", x * 0.5 * (1 + torch.erf(x / 2**0.5))).reshape(1, -1, CONTEXT)
    return _ln(w, "image_proj.norm", x, 1e-5)


def character_features(w: Weights, shallow: Tensor, deep: Tensor, quarters: Tensor) -> Tensor:
    def mlp(name: str, x: Tensor) -> Tensor:
        y = F.gelu(_lin(w, f"image_proj.{name}.fc1", x), approximate="tanh")
        return _lin(w, f"image_proj.{name}.fc2", y)

    def attention(at: str, x: Tensor, y: Tensor) -> Tensor:
        q, k, v = (_lin(w, f"{at}.to_{p}", s) for p, s in (("q", x), ("k", y), ("v", y)))
        return _lin(w, f"{at}.to_out.0", _soft(q, k, v, 64))

    def blocks(kind: str, x: Tensor, other: Tensor) -> Tensor:
        i = 0
        while f"image_proj.{kind}.{i}.norm1.weight" in w:
            at = f"image_proj.{kind}.{i}"
            y = _ln(w, f"{at}.norm1", x, 1e-6)
            x = x + attention(f"{at}.attn1", y, y)
            x = x + attention(f"{at}.attn2", _ln(w, f"{at}.norm2", x, 1e-6), other)
            y, gate = _lin(w, f"{at}.ff.net.0.proj", _ln(w, f"{at}.norm3", x, 1e-6)).chunk(2, -1)
            x, i = x + _lin(w, f"{at}.ff.net.2", y * F.gelu(gate)), i + 1
        return x

    layer = mlp("proj_cross_layer", blocks("cross_layer_blocks", deep, shallow))
    scale = mlp("proj_cross_scale", blocks("cross_scale_blocks", deep, quarters))
    return torch.cat([mlp("proj", deep) + scale, layer], 1)


def character_tokens(w: Weights, features: Tensor, t: float) -> Tensor:
    at = "image_proj.resampler"
    half = w[f"{at}.time_embedding.linear_1.weight"].shape[1] // 2
    wave = [1000 * t * 10000 ** (-i / half) for i in range(half)]
    time = torch.tensor([[[math.cos(a) for a in wave] + [math.sin(a) for a in wave]]]).to(features)
    time = _lin(w, f"{at}.time_embedding.linear_1", time)
    time = _lin(w, f"{at}.time_embedding.linear_2", time * torch.sigmoid(time))
    x = _lin(w, f"{at}.proj_in", features) + time
    latents, i = w[f"{at}.latents"].to(features), 0
    while f"{at}.layers.{i}.0.to_q.weight" in w:
        name = f"{at}.layers.{i}"
        mods = _lin(w, f"{name}.2.1", time * torch.sigmoid(time)).chunk(4, -1)
        asking = _ln(w, f"{name}.0.norm2", latents, 1e-5) * (1 + mods[1]) + mods[0]
        both = torch.cat([_ln(w, f"{name}.0.norm1", x, 1e-5), asking], 1)
        k, v = _lin(w, f"{name}.0.to_kv", both).chunk(2, -1)
        latents = latents + _lin(w, f"{name}.0.to_out", _soft(_lin(w, f"{name}.0.to_q", asking), k, v, 64))
        y = _ln(w, f"{name}.1.0", latents, 1e-5) * (1 + mods[3]) + mods[2]
        latents, i = latents + _lin(w, f"{name}.1.3", F.gelu(_lin(w, f"{name}.1.1", y))), i + 1
    return _ln(w, f"{at}.norm_out", _lin(w, f"{at}.proj_out", latents), 1e-5)


def share(kind: str, w: Weights, tokens: Tensor, layer: int, raw: Tensor, normed: Tensor) -> Tensor:
    """What a layer adds at scale 1: queries (b, heads, n, 128), before and after the model's norm -> (b, n,
    hidden).
    """

    def by_head(x: Tensor, weight: Tensor, before: bool, eps: float) -> Tensor:
        y = x.unflatten(-1, (-1, 128))
        mean = (y * y).mean(-1, keepdim=True)
        return (y / (mean + eps).sqrt() if before else y / (mean.sqrt() + eps)).mul(weight).flatten(-2)

    q = (raw if kind == "character" else normed).transpose(1, 2).flatten(2)
    if kind == "xlabs":
        at = f"double_blocks.{layer}.processor.ip_adapter_double_stream"
        k, v = _lin(w, f"{at}_k_proj", tokens), _lin(w, f"{at}_v_proj", tokens)
    else:
        k, v = (_lin(w, f"ip_adapter.{layer}.to_{p}_ip", tokens) for p in "kv")
    if kind == "instantx":
        one = torch.ones(128).to(k)
        k, v = by_head(k, one, True, 1e-5), by_head(v, one, True, 1e-5)
    if kind == "character":
        q = by_head(q, w[f"ip_adapter.{layer}.norm_ip_q.scale"].to(q), False, 1e-6)
        k = by_head(k, w[f"ip_adapter.{layer}.norm_ip_k.scale"].to(k), False, 1e-6)
    return _soft(q, k, v, 128)

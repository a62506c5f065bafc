"""FLUX and SD's UNet once more: plain functions over the weights of a file, out of place, in the precision of
what they are given. What the gradient tests hold the host's model against; nothing of the host's or ours is
imported but which device it computes on.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from bounds import DEVICE
from torch import Tensor

Weights = dict[str, Tensor]
Maps = dict[str, Tensor]  # "double.0", "double.0 norm1", "up.1", "prediction"


def sinusoid(t: Tensor, width: int) -> Tensor:
    """t (1,) float32 -> (1, width): cosines, then sines; in float32 as all of these models, on their device:
    a card's last bit is another, of which FLUX's thousandfold time makes 1e-5.
    """
    t = t.float().to(DEVICE)
    steps = torch.arange(0, width // 2, dtype=torch.float32, device=t.device)
    args = t[:, None] * torch.exp(-math.log(10000) * steps / (width // 2))[None]
    return torch.cat([torch.cos(args), torch.sin(args)], -1).cpu()


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    return F.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))


def two(w: Weights, name: str, x: Tensor) -> Tensor:
    return linear(w, f"{name}.out_layer", F.silu(linear(w, f"{name}.in_layer", x)))


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(b, heads, tokens, width) -> (b, tokens, heads·width)"""
    share = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
    return (share @ v).transpose(1, 2).flatten(2)


def split(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


def rms(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def turn(x: Tensor, angles: Tensor) -> Tensor:
    """Neighbouring pairs of x (b, heads, tokens, d) turned by angles (tokens, d / 2)."""
    a, b = x[..., ::2], x[..., 1::2]
    c, s = angles.cos().to(x), angles.sin().to(x)
    return torch.stack([a * c - b * s, a * s + b * c], -1).flatten(-2)


def rope_angles(ids: Tensor, axes: tuple[int, ...] = (16, 56, 56)) -> Tensor:
    parts = []
    for i, d in enumerate(axes):
        rates = 10000.0 ** -(torch.arange(0, d, 2, dtype=torch.float64) / d)
        parts.append(ids[:, i : i + 1].double() * rates)
    return torch.cat(parts, -1)


def flux(
    w: Weights,
    z: Tensor,
    t: float,
    text: Tensor,
    pooled: Tensor,
    guidance: float,
    eps: float,
    kv: Weights | None = None,
    adapter: Callable[[str, Tensor, Tensor], Tensor] | None = None,
    behind: bool = False,
) -> Maps:
    """z (1, 16, h, w). `adapter`: of a block's name and the image's queries (1, heads, tokens, 128) before
    and after their norm what is added to the attention's output, or (`behind`) to a double block's. `kv`:
    "double.0 k" and "double.0 v" (1, heads, image tokens, 128) in place of K after its norm and of V. `eps`
    is that of the norm of Q and K, which the host takes from the precision.
    """
    h, wd = z.shape[-2:]
    z = F.pad(z, (0, wd % 2, 0, h % 2), mode="circular")
    gh, gw = z.shape[-2] // 2, z.shape[-1] // 2
    x = z.unflatten(-1, (gw, 2)).unflatten(-3, (gh, 2)).permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
    img, txt = linear(w, "img_in", x), linear(w, "txt_in", text)
    width, lead = img.shape[-1], text.shape[1]
    heads = width // 128
    moment = torch.tensor([t], dtype=torch.float32)
    vec = two(w, "time_in", sinusoid(1000.0 * moment, 256).to(z))
    vec = vec + two(w, "guidance_in", sinusoid(torch.tensor([1000.0 * guidance]), 256).to(z))
    act = F.silu(vec + two(w, "vector_in", pooled))[:, None]
    rows, columns = torch.meshgrid(torch.arange(gh), torch.arange(gw), indexing="ij")
    places = torch.stack([torch.zeros_like(rows), rows, columns], -1).reshape(-1, 3)
    angles = rope_angles(torch.cat([torch.zeros(lead, 3, dtype=places.dtype), places]))
    out: Maps = {}

    def keep(name: str, tokens: Tensor) -> None:
        out[name] = tokens[:, -gh * gw :].transpose(1, 2).unflatten(-1, (gh, gw))

    def qkv(name: str, x: Tensor) -> tuple[Tensor, ...]:
        q, k, v = (split(p, heads) for p in x.chunk(3, -1))
        scales = f"{name}.query_norm.scale", f"{name}.key_norm.scale"
        return rms(q, w[scales[0]], eps), rms(k, w[scales[1]], eps), v

    def added(name: str, a: Tensor, raw: Tensor, q: Tensor) -> Tensor:
        """The output (1, text and image, width) with the adapter's share; raw: (1, tokens, width)."""
        if adapter is None or behind:
            return a
        more = adapter(name, split(raw, heads)[:, :, -gh * gw :], q[:, :, -gh * gw :])
        return torch.cat([a[:, :lead], a[:, lead:] + more], 1)

    def joint(name: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if kv is not None and f"{name} k" in kv:
            k = torch.cat([k[:, :, :lead], kv[f"{name} k"].to(k)], 2)
            v = torch.cat([v[:, :, :lead], kv[f"{name} v"].to(v)], 2)
        return attend(turn(q, angles), turn(k, angles), v)

    for i in range(sum(n.endswith("img_mod.lin.weight") for n in w)):
        at = f"double_blocks.{i}"
        mods = {s: linear(w, f"{at}.{s}_mod.lin", act).chunk(6, -1) for s in ("img", "txt")}
        seen = {s: norm(y) * (1 + mods[s][1]) + mods[s][0] for s, y in (("img", img), ("txt", txt))}
        parts = [qkv(f"{at}.{s}_attn.norm", linear(w, f"{at}.{s}_attn.qkv", seen[s])) for s in ("txt", "img")]
        q, k, v = (torch.cat(p, 2) for p in zip(*parts, strict=True))
        raw = linear(w, f"{at}.img_attn.qkv", seen["img"])[..., :width]
        a = added(f"double.{i}", joint(f"double.{i}", q, k, v), raw, q)
        new = []
        for s, y, mine in (("img", img, a[:, lead:]), ("txt", txt, a[:, :lead])):
            m = mods[s]
            y = y + linear(w, f"{at}.{s}_attn.proj", mine) * m[2]
            deep = F.gelu(linear(w, f"{at}.{s}_mlp.0", norm(y) * (1 + m[4]) + m[3]), approximate="tanh")
            new.append(y + linear(w, f"{at}.{s}_mlp.2", deep) * m[5])
        img, txt = new
        if adapter is not None and behind:
            img = img + adapter(f"double.{i}", split(raw, heads), q[:, :, lead:])
        keep(f"double.{i} norm1", seen["img"])
        keep(f"double.{i}", img)
    x = torch.cat([txt, img], 1)
    for i in range(sum(n.endswith("modulation.lin.weight") and n.startswith("single") for n in w)):
        at = f"single_blocks.{i}"
        shift, scale, gate = linear(w, f"{at}.modulation.lin", act).chunk(3, -1)
        y = norm(x) * (1 + scale) + shift
        keep(f"single.{i} norm1", y)
        both = linear(w, f"{at}.linear1", y)
        q, k, v = qkv(f"{at}.norm", both[..., : 3 * width])
        a = added(f"single.{i}", joint(f"single.{i}", q, k, v), both[..., :width], q)
        deep = F.gelu(both[..., 3 * width :], approximate="tanh")
        x = x + linear(w, f"{at}.linear2", torch.cat([a, deep], -1)) * gate
        keep(f"single.{i}", x)
    shift, scale = linear(w, "final_layer.adaLN_modulation.1", act).chunk(2, -1)
    v = linear(w, "final_layer.linear", norm(x[:, lead:]) * (1 + scale) + shift)
    v = v.unflatten(-1, (16, 2, 2)).unflatten(1, (gh, gw)).permute(0, 3, 1, 4, 2, 5)
    out["prediction"] = v.flatten(4, 5).flatten(2, 3)[..., :h, :wd]
    return out


def unet(w: Weights, z: Tensor, t: float, text: Tensor, head: int, kv: Weights | None = None) -> Maps:
    """Predicts the noise in z (1, C, h, w) of variance 1 at time step `t`. `head`: channels per head; `kv`:
    "attn.2" (1, cells, channels) in place of what K and V are projected from.
    """
    wave = sinusoid(torch.tensor([t]), w["time_embed.0.weight"].shape[1]).to(z)
    act = F.silu(linear(w, "time_embed.2", F.silu(linear(w, "time_embed.0", wave))))
    count = 0

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = w[f"{name}.weight"]
        return F.conv2d(x, weight, w.get(f"{name}.bias"), stride, weight.shape[-1] // 2)

    def group(name: str, x: Tensor, eps: float = 1e-5) -> Tensor:
        return F.group_norm(x, 32, w[f"{name}.weight"], w[f"{name}.bias"], eps)

    def layer_norm(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])

    def attention(name: str, x: Tensor, y: Tensor) -> Tensor:
        n = w[f"{name}.to_q.weight"].shape[0] // head
        q, k, v = (split(linear(w, f"{name}.to_{p}", s), n) for p, s in (("q", x), ("k", y), ("v", y)))
        return linear(w, f"{name}.to_out.0", attend(q, k, v))

    def transformer(at: str, x: Tensor) -> Tensor:
        nonlocal count
        y = group(f"{at}.norm", x, 1e-6)
        by_conv = w[f"{at}.proj_in.weight"].ndim == 4
        y = conv(f"{at}.proj_in", y).flatten(2).mT if by_conv else linear(w, f"{at}.proj_in", y.flatten(2).mT)
        i = 0
        while f"{at}.transformer_blocks.{i}.norm1.weight" in w:
            b = f"{at}.transformer_blocks.{i}"
            n = layer_norm(f"{b}.norm1", y)
            stored = None if kv is None else kv.get(f"attn.{count}")
            y = y + attention(f"{b}.attn1", n, n if stored is None else stored.to(n))
            y = y + attention(f"{b}.attn2", layer_norm(f"{b}.norm2", y), text)
            wide, gate = linear(w, f"{b}.ff.net.0.proj", layer_norm(f"{b}.norm3", y)).chunk(2, -1)
            y = y + linear(w, f"{b}.ff.net.2", wide * F.gelu(gate))
            i, count = i + 1, count + 1
        y = y.mT if by_conv else linear(w, f"{at}.proj_out", y).mT
        y = y.unflatten(-1, x.shape[-2:])
        return x + (conv(f"{at}.proj_out", y) if by_conv else y)

    def block(at: str, x: Tensor, size: torch.Size | None = None) -> Tensor:
        j = 0
        while any(n.startswith(f"{at}.{j}.") for n in w):
            here = f"{at}.{j}"
            if f"{here}.in_layers.0.weight" in w:
                y = conv(f"{here}.in_layers.2", F.silu(group(f"{here}.in_layers.0", x)))
                y = y + linear(w, f"{here}.emb_layers.1", act)[:, :, None, None]
                y = conv(f"{here}.out_layers.3", F.silu(group(f"{here}.out_layers.0", y)))
                x = y + (conv(f"{here}.skip_connection", x) if f"{here}.skip_connection.weight" in w else x)
            elif f"{here}.proj_in.weight" in w:
                x = transformer(here, x)
            elif f"{here}.op.weight" in w:
                x = conv(f"{here}.op", x, 2)
            elif f"{here}.conv.weight" in w:
                x = conv(f"{here}.conv", F.interpolate(x, size, mode="nearest"))
            else:
                x = conv(here, x)
            j += 1
        return x

    def blocks(part: str) -> list[str]:
        return [f"{part}.{i}" for i in range(len({n.split(".")[1] for n in w if n.startswith(f"{part}.")}))]

    x, skips, out = z, [], Maps()
    for at in blocks("input_blocks"):
        x = block(at, x)
        skips.append(x)
    x = block("middle_block", x)
    ups = 0
    names = blocks("output_blocks")
    for at in names:
        x = torch.cat([x, skips.pop()], 1)
        x = block(at, x, skips[-1].shape[-2:] if skips else None)
        if at == names[-1] or any(n.startswith(f"{at}.") and ".conv." in n for n in w):
            out[f"up.{ups}"] = x
            ups += 1
    out["prediction"] = conv("out.2", F.silu(group("out.0", x)))
    return out

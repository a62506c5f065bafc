"""IP-Adapters for FLUX: XLabs (v1 of 4 tokens, v2 of 16) and InstantX (128 tokens).

Tokens and K, V of a picture do not depend on the noise level: they are computed once. Semantics as in
XLabs-AI/x-flux and InstantX/FLUX.1-dev-IP-Adapter; code our own. XLabs' share goes behind the block, as in
its training code and diffusers (its ComfyUI pack adds it before the MLP).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ranges import check_mode
from ..types import DragError
from .attention import After
from .files import AdapterFile
from .parts import Part, heads, rms

EPS = 1e-5  # of the layer norms, and of InstantX's norm of K and V


@dataclass(frozen=True)
class Fixed:
    """K and V of every layer, (1, heads, tokens, 128), on the CPU.

    after: where the result is added, to the attention's output ("attention") or to the block's ("block").
    """

    kv: tuple[tuple[Tensor, Tensor], ...]
    after: After
    raw_query = False
    _moved: dict[tuple[int, torch.device, torch.dtype], tuple[Tensor, Tensor]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        check_mode("where an adapter's result is added", self.after, After)

    def keys_values(self, layer: int, t: float, like: Tensor) -> tuple[Tensor, Tensor]:
        """Returns K and V of a layer, as `like` is; they are the same at every level t."""
        key = (layer, like.device, like.dtype)
        if key not in self._moved:
            k, v = self.kv[layer]
            self._moved[key] = (k.to(like), v.to(like))
        return self._moved[key]

    def query(self, layer: int, q: Tensor) -> Tensor:
        return q


def tokens(file: AdapterFile, embeds: Tensor) -> Tensor:
    """Computes tokens (1, n, context) of CLIP's or SigLIP's embeddings, of all pictures in a row.

    embeds: (pictures, width).
    """
    if file.kind == "xlabs":
        part, first = Part(file.weights, "ip_adapter_proj_model"), "proj"
    else:
        part, first = Part(file.weights, "image_proj"), "proj.0"
    width = file.weights[f"{part.prefix}.{first}.weight"].shape[1]
    if embeds.ndim != 2 or embeds.shape[-1] != width:
        encoder = "CLIP-L (clip_vision_l)" if file.kind == "xlabs" else "SigLIP so400m at 384 pixels"
        raise DragError(
            f"the {file.label} takes image embeddings of width {width} and these have {embeds.shape[-1]}: "
            f"encode the picture with {encoder}"
        )
    x = part.linear(first, embeds)
    if file.kind == "instantx":
        x = part.linear("proj.2", F.gelu(x))
    return part.norm("norm", x.reshape(1, -1, file.context), EPS)


def fixed(file: AdapterFile, embeds: Tensor) -> Fixed:
    """Computes what the file adds for embeddings (pictures, width), where and as precisely as they are."""
    x = tokens(file, embeds)
    found = []
    for i in range(file.layers):
        if file.kind == "xlabs":
            part = Part(file.weights, f"double_blocks.{i}.processor")
            names = ("ip_adapter_double_stream_k_proj", "ip_adapter_double_stream_v_proj")
        else:
            part, names = Part(file.weights, f"ip_adapter.{i}"), ("to_k_ip", "to_v_ip")
        k, v = (heads(part.linear(name, x)) for name in names)
        if file.kind == "instantx":
            k, v = rms(k, EPS), rms(v, EPS)
        found.append((k.cpu(), v.cpu()))
    return Fixed(tuple(found), "block" if file.kind == "xlabs" else "attention")

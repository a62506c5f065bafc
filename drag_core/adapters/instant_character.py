"""InstantCharacter (Tao et al. 2025): a subject as tokens that all of FLUX's attentions look at.

The tokens are features from SigLIP and DINOv2, at two scales and from several layers.

`features` does not depend on the noise level and is computed once a picture; the resampler and K, V are
computed at every level. Names as in the released file, code our own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ranges import check_mode
from ..types import DragError
from .attention import After
from .files import AdapterFile, Weights
from .parts import Part, attend, heads
from .resampler import TIME, resample

PREFIX = "image_proj"
HEAD = 64
EPS = 1e-6
VIEW = 384  # pixels
# layers whose output is "shallow", counted from 0
SIGLIP_LAYERS, DINO_LAYERS = (6, 12, 25), (8, 18, 28)


@dataclass(frozen=True)
class Subject:
    """Features of a subject's picture, (1, tokens, SigLIP's and DINOv2's channels side by side).

    shallow: of the whole picture, from shallow layers (3 times the tokens).
    deep: of the whole picture, from the last layer.
    quarters: of its four quarters, from the last layer (4 times the tokens).
    """

    shallow: Tensor
    deep: Tensor
    quarters: Tensor


def views(picture: Tensor, side: int = VIEW) -> Tensor:
    """Turns (1, H, W, 3) in 0 to 1 into (5, side, side, 3).

    These are the whole picture, then its quarters in reading order. They are squeezed to a square and rounded
    to 8 bits, as the released pipeline does with PIL.
    """
    x = picture[..., :3].movedim(-1, 1)

    def at(n: int) -> Tensor:
        y = F.interpolate(x, (n, n), mode="bicubic", antialias=True).clamp(0, 1)
        return ((255 * y).round() / 255).movedim(1, -1)

    twice = at(2 * side)
    parts = [twice[:, y : y + side, x : x + side] for y in (0, side) for x in (0, side)]
    return torch.cat([at(side), *parts])


def cut_out(picture: Tensor, mask: Tensor, margin: float = 0.05) -> Tensor:
    """Puts the subject of a picture on white, in the middle of a square.

    picture: (1, H, W, 3).
    mask: (H, W); the subject is where it is above 0.5. Raises DragError if that is nowhere.
    margin: around the subject, as a share of the square's side.
    """
    found = (mask > 0.5).nonzero()
    if not len(found):
        raise DragError("the subject's mask is empty: paint the subject white, or leave the mask out")
    (top, left), (bottom, right) = found.amin(0).tolist(), (found.amax(0) + 1).tolist()
    h, w = bottom - top, right - left
    side = max(1, round(max(h, w) * (1 + 2 * margin)))
    out = torch.ones(1, side, side, 3, dtype=picture.dtype, device=picture.device)
    y, x = (side - h) // 2, (side - w) // 2
    share = mask[top:bottom, left:right, None].to(picture)
    here = picture[:, top:bottom, left:right, :3]
    out[:, y : y + h, x : x + w] = share * here + (1 - share)
    return out


def _attention(part: Part, x: Tensor, y: Tensor) -> Tensor:
    q, k, v = (heads(part.linear(f"to_{p}", s), HEAD) for p, s in (("q", x), ("k", y), ("v", y)))
    return part.linear("to_out.0", attend(q, k, v))


def _block(part: Part, x: Tensor, context: Tensor) -> Tensor:
    """Runs a transformer block: self-attention, attention to `context`, a gated (GEGLU) feed-forward."""
    y = part.norm("norm1", x, EPS)
    x = x + _attention(part["attn1"], y, y)
    x = x + _attention(part["attn2"], part.norm("norm2", x, EPS), context)
    y, gate = part.linear("ff.net.0.proj", part.norm("norm3", x, EPS)).chunk(2, -1)
    return x + part.linear("ff.net.2", y * F.gelu(gate))


def _mlp(part: Part, x: Tensor) -> Tensor:
    return part.linear("fc2", F.gelu(part.linear("fc1", x), approximate="tanh"))


def features(weights: Weights, subject: Subject) -> Tensor:
    """Joins a subject's features to what the resampler reads, (1, 2·tokens, channels).

    First the last layer's features joined by those of the quarters, then those joined by the shallow layers'.
    """
    part = Part(weights, PREFIX)
    width = weights[f"{PREFIX}.cross_layer_blocks.0.norm1.weight"].shape[0]
    if subject.deep.shape[-1] != width:
        raise DragError(
            f"InstantCharacter takes features of width {width} and these have {subject.deep.shape[-1]}: "
            "encode the subject with SigLIP so400m at 384 pixels and DINOv2 giant"
        )

    def through(name: str, context: Tensor) -> Tensor:
        stem = f"{PREFIX}.{name}_blocks."
        x = subject.deep
        for i in range(sum(n.startswith(stem) and n.endswith(".norm1.weight") for n in weights)):
            x = _block(part[f"{name}_blocks.{i}"], x, context)
        return _mlp(part[f"proj_{name}"], x)

    across_scales = _mlp(part["proj"], subject.deep) + through("cross_scale", subject.quarters)
    return torch.cat([across_scales, through("cross_layer", subject.shallow)], 1)


def _rms(x: Tensor, scale: Tensor) -> Tensor:
    """Computes scale·x/(√(mean x²) + eps)."""
    y = x if x.dtype == torch.float64 else x.float()
    return (y / (y.square().mean(-1, keepdim=True).sqrt() + EPS)).to(x) * scale.to(x)


@dataclass(frozen=True)
class Character:
    """K and V of a subject at any level.

    weights: the file's, wherever they are.
    read: the features, on the CPU.
    top: the resampler's time at level 1.
    Its query is the model's own, before the model's norm of it.
    """

    weights: Weights
    read: Tensor
    after: After = "attention"
    top: float = TIME
    raw_query = True
    _last: dict[tuple[float, torch.device, torch.dtype], Tensor] = field(
        default_factory=dict, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        check_mode("where an adapter's result is added", self.after, After)

    def tokens(self, t: float, like: Tensor) -> Tensor:
        """Computes the tokens of a level.

        Those of the last level asked for are kept: a drag asks at one level many times.
        """
        key = (t, like.device, like.dtype)
        if key not in self._last:
            self._last.clear()
            self._last[key] = resample(self.weights, self.read.to(like), t, self.top)
        return self._last[key]

    def keys_values(self, layer: int, t: float, like: Tensor) -> tuple[Tensor, Tensor]:
        """Computes K and V of a layer at level t, (1, heads, tokens, 128) each, as `like` is."""
        part, x = Part(self.weights, f"ip_adapter.{layer}"), self.tokens(t, like)
        k, v = heads(part.linear("to_k_ip", x)), heads(part.linear("to_v_ip", x))
        return _rms(k, self.weights[f"ip_adapter.{layer}.norm_ip_k.scale"]), v

    def query(self, layer: int, q: Tensor) -> Tensor:
        # a copy: autograd saves it, and the file's may be an inference tensor
        return _rms(q, self.weights[f"ip_adapter.{layer}.norm_ip_q.scale"].clone())


def sampling_weights(file: AdapterFile) -> dict[str, Tensor]:
    """Selects what is needed at every level.

    That is the resampler and the attention layers, 1.5 of 2.8 billion weights.
    """
    wanted = ("ip_adapter.", f"{PREFIX}.resampler.")
    return {n: w for n, w in file.weights.items() if n.startswith(wanted)}

"""SAM 2's image encoder (Ravi et al. 2024): Hiera and its neck, over a released file's weights.

Only the image's own embedding, 256 channels at a sixteenth of 1024 pixels: the feature space in which
AdaptiveDrag (§3.3) cuts super-pixels. Names as in the released files, code our own. A block is Hiera's (Ryali
et al. 2023): attention within windows, queries pooled where a stage ends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..adapters.files import need
from ..adapters.parts import Part, attend, heads
from ..types import DragError

PREFIX = "image_encoder"
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
EPS = 1e-6
NORM = ("weight", "bias")


@dataclass(frozen=True)
class Layout:
    """What of an encoder is not in its weights.

    label: the released name. width: of a head. windows: sides of the four stages' windows, in tokens.
    whole: blocks that look at the whole picture.
    side: pixels: the picture is squeezed to this square.
    """

    label: str
    width: int
    windows: tuple[int, int, int, int]
    whole: tuple[int, ...]
    side: int = 1024


# (channels of the first stage, blocks) -> the layout; SAM 2 and 2.1 share them
LAYOUTS: dict[tuple[int, int], Layout] = {
    (96, 12): Layout("tiny", 96, (8, 4, 14, 7), (5, 7, 9)),
    (96, 16): Layout("small", 96, (8, 4, 14, 7), (7, 10, 13)),
    (112, 24): Layout("base plus", 56, (8, 4, 14, 7), (12, 16, 20)),
    (144, 48): Layout("large", 72, (8, 4, 16, 8), (23, 33, 43)),
}


@dataclass(frozen=True)
class Sam2:
    """An image encoder: its weights, under the released names, and its layout."""

    weights: Mapping[str, Tensor]
    layout: Layout
    blocks: int

    @property
    def label(self) -> str:
        return f"SAM 2 ({self.layout.label})"


def read_sam2(loaded: Mapping[str, Any]) -> Sam2:
    """Reads the image encoder in a loaded SAM 2 file; DragError says what it lacks.

    loaded: names to tensors, or {"model": that}, as the released .pt files are.
    """
    inner = loaded.get("model", loaded)
    table = inner if isinstance(inner, Mapping) else {}
    own = {n: w for n, w in table.items() if n.startswith(f"{PREFIX}.") and isinstance(w, Tensor)}
    at = f"{PREFIX}.trunk"
    need(
        own, [f"{at}.patch_embed.proj.weight", f"{at}.pos_embed", f"{at}.pos_embed_window"], "the SAM 2 file"
    )
    numbered = re.compile(re.escape(f"{at}.blocks.") + r"(\d+)\.")
    numbers = [int(m[1]) for n in own if (m := numbered.match(n))]
    width, blocks = own[f"{at}.patch_embed.proj.weight"].shape[0], max(numbers, default=-1) + 1
    layout = LAYOUTS.get((width, blocks))
    if layout is None:
        known = ", ".join(f"{w} and {b} ({x.label})" for (w, b), x in LAYOUTS.items())
        raise DragError(
            f"this SAM 2 encoder has {width} channels and {blocks} blocks and none is known that has; known "
            f"are {known}"
        )
    names = [f"{at}.blocks.{i}.{m}.{p}" for i in range(blocks) for m in _BLOCK for p in NORM]
    names += [f"{PREFIX}.neck.convs.{i}.conv.{p}" for i in range(4) for p in NORM]
    need(own, names, "the SAM 2 file")
    return Sam2(own, layout, blocks)


_BLOCK = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.layers.0", "mlp.layers.1")


@torch.no_grad()
def image_features(sam: Sam2, image: Tensor) -> Tensor:
    """Computes SAM 2's embedding of a picture (1, 3, H, W) in [0, 1]: (1, 256, 64, 64), float32."""
    side = sam.layout.side
    x = F.interpolate(image[:, :3].float(), (side, side), mode="bilinear", antialias=True)
    mean, spread = (x.new_tensor(v)[:, None, None] for v in (MEAN, SPREAD))
    return _neck(Part(sam.weights, f"{PREFIX}.neck"), _trunk(sam, (x - mean) / spread))


def _trunk(sam: Sam2, x: Tensor) -> list[Tensor]:
    """Runs Hiera over (1, 3, H, W): the outputs of its four stages, (1, h, w, C)."""
    part = Part(sam.weights, f"{PREFIX}.trunk")
    kernel, bias = (part.get(f"patch_embed.proj.{p}", x) for p in NORM)
    assert kernel is not None
    x = F.conv2d(x, kernel, bias, stride=4, padding=3).movedim(1, -1)
    x = x + _places(part, x)
    stage, out = 0, []
    for i in range(sam.blocks):
        block = part[f"blocks.{i}"]
        # the first block of a stage still has the windows of the one before
        window = 0 if i in sam.layout.whole else sam.layout.windows[stage]
        pooled = block.get("proj.weight", x) is not None
        if pooled:
            stage += 1
            out.append(x)
        x = _block(block, x, window, sam.layout.width, pooled)
    return [*out, x]


def _places(part: Part, x: Tensor) -> Tensor:
    """Computes the embedding of places, (1, h, w, C): a coarse one, and one that repeats with the windows."""
    coarse, window = part.get("pos_embed", x), part.get("pos_embed_window", x)
    assert coarse is not None and window is not None
    h, w = x.shape[1:3]
    wide = F.interpolate(coarse, (h, w), mode="bicubic")
    repeated = window.tile(1, 1, -(-h // window.shape[2]), -(-w // window.shape[3]))[..., :h, :w]
    return (wide + repeated).movedim(1, -1)


def _block(part: Part, x: Tensor, window: int, width: int, pooled: bool) -> Tensor:
    normed = part.norm("norm1", x, EPS)
    kept = _halved(part.linear("proj", normed)) if pooled else x
    x = kept + _attention(part["attn"], normed, window, width, pooled)
    y = part.linear("mlp.layers.0", part.norm("norm2", x, EPS))
    return x + part.linear("mlp.layers.1", F.gelu(y))


def _attention(part: Part, x: Tensor, window: int, width: int, pooled: bool) -> Tensor:
    """Attends within windows of (1, h, w, C), or everywhere for window 0; pooled queries halve the map."""
    h, w = x.shape[1:3]
    size = window or max(h, w)
    rows, columns = (-(-n // size) if window else 1 for n in (h, w))
    th, tw = (size, size) if window else (h, w)
    y = F.pad(x, (0, 0, 0, columns * tw - w, 0, rows * th - h))
    y = y.reshape(rows, th, columns, tw, -1).transpose(1, 2).reshape(rows * columns, th, tw, -1)
    q, k, v = part.linear("qkv", y).chunk(3, -1)
    if pooled:
        q = _halved(q)
        h, w = -(-h // 2), -(-w // 2)
    qh, qw = q.shape[1:3]
    y = attend(*(heads(z.flatten(1, 2), width) for z in (q, k, v)))
    y = part.linear("proj", y).reshape(rows, columns, qh, qw, -1).transpose(1, 2)
    return y.reshape(1, rows * qh, columns * qw, -1)[:, :h, :w]


def _halved(x: Tensor) -> Tensor:
    """Takes the largest of 2x2 places of (n, h, w, C)."""
    return F.max_pool2d(x.movedim(-1, 1), 2).movedim(1, -1)


def _neck(part: Part, stages: list[Tensor]) -> Tensor:
    """Joins the last two stages at the third's resolution (FPN, the last one enlarged): (1, 256, h, w)."""

    def lateral(which: int, x: Tensor) -> Tensor:  # convolution 0 belongs to the last stage
        kernel, bias = (part.get(f"convs.{which}.conv.{p}", x) for p in NORM)
        assert kernel is not None
        return F.conv2d(x.movedim(-1, 1), kernel, bias)

    below = lateral(0, stages[3])
    own = lateral(1, stages[2])
    return own + F.interpolate(below, scale_factor=2.0, mode="nearest")

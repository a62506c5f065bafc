"""The host's IMAGE and MASK tensors <-> the core's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..drag_core.pictures.files import png_bytes
from ..drag_core.types import DragError, Grid


def picture(image: Tensor) -> Tensor:
    """Turns an IMAGE (B, H, W, C) in [0, 1] into (1, 3, H, W) float32, a copy.

    Takes one picture; a fourth channel is left out.
    """
    if image.shape[0] != 1:
        raise DragError(
            f"the image input holds {image.shape[0]} pictures and a drag edits one: pick one with "
            "ImageFromBatch"
        )
    if image.shape[-1] < 3:
        raise DragError(f"the picture has {image.shape[-1]} channel(s); a drag needs RGB: convert it first")
    return image[..., :3].float().cpu().movedim(-1, 1).clone()


def host_image(pixels: Tensor) -> Tensor:
    """Turns (B, 3, H, W) or (3, H, W) in [0, 1] into an IMAGE (B, H, W, 3)."""
    batch = pixels if pixels.ndim == 4 else pixels[None]
    return batch.detach().float().cpu().clamp(0, 1).movedim(1, -1).contiguous()


def masks(mask: Tensor, size: Grid | None = None) -> list[Tensor]:
    """Turns a MASK (B, H, W) or (H, W) into one (H, W) in {0, 1} each, set above one half.

    Wrong sizes are refused.
    """
    batch = mask if mask.ndim == 3 else mask[None]
    here = (batch.shape[-2], batch.shape[-1])
    if size is not None and here != (size.height, size.width):
        raise DragError(
            f"the mask is {here[1]}x{here[0]} and the picture is {size.width}x{size.height}: paint the mask "
            "on this picture"
        )
    return [(m.float().cpu() > 0.5).float() for m in batch]


def joined(mask: Tensor, size: Grid) -> Tensor:
    """Turns a MASK into one (H, W) in {0, 1}: of several, what any of them has set."""
    return torch.stack(masks(mask, size)).amax(0)


def host_mask(mask: Tensor) -> Tensor:
    """Turns (H, W) into a MASK (1, H, W)."""
    return mask.detach().float().cpu()[None].clone()


def png(pixels: Tensor, most: int) -> bytes:
    """Writes (3, H, W) in [0, 1] as a PNG file, made smaller where a side is longer than `most` pixels."""
    side = max(pixels.shape[-2:])
    if side > most:
        height, width = (max(1, round(n * most / side)) for n in pixels.shape[-2:])
        pixels = F.interpolate(pixels[None], (height, width), mode="area")[0]
    return png_bytes(pixels)


def said(notes: tuple[str, ...]) -> str:
    """Joins notes into one text, a sentence a line."""
    return "\n".join(notes)

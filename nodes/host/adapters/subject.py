"""A subject's features as InstantCharacter was trained on, with the host's own image encoders."""

from __future__ import annotations

from typing import Any

import comfy.clip_model
import comfy.model_management as mm
import torch
from torch import Tensor

from ....drag_core.adapters.instant_character import DINO_LAYERS, SIGLIP_LAYERS, VIEW, Subject, cut_out, views
from ....drag_core.types import DragError


def encode(siglip: Any, dino: Any, picture: Tensor, mask: Tensor | None) -> Subject:
    """Computes a subject's features of an IMAGE (1, H, W, 3).

    mask: (H, W), the subject, put on white.
    """
    if siglip.model_type != "siglip_vision_model" or siglip.image_size != VIEW:
        raise DragError(
            f"siglip is a {siglip.model_type} at {siglip.image_size} pixels: load SigLIP so400m at 384 "
            "pixels (sigclip_vision_patch14_384)"
        )
    if dino.model_type != "dinov2" or len(dino.model.encoder.layer) <= DINO_LAYERS[-1]:
        raise DragError(f"dino is a {dino.model_type}, not DINOv2 giant: load dinov2-giant as CLIP Vision")
    with torch.inference_mode(False), torch.no_grad():
        shown = picture.float().clone() if mask is None else cut_out(picture.float(), mask)
        five = views(shown)
        both = zip(_siglip(siglip, five), _dino(dino, five), strict=True)
        return Subject(*(_side_by_side(a, b) for a, b in both))


def _side_by_side(a: Tensor, b: Tensor) -> Tensor:
    if a.shape[:2] != b.shape[:2]:
        raise DragError(
            f"SigLIP gives {a.shape[1]} tokens and DINOv2 {b.shape[1]}: load encoders with patches of 14 "
            "pixels"
        )
    return torch.cat([a.float().cpu(), b.float().cpu()], -1)


def _parts(shallow: Tensor, deep: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Computes, of five views, the whole picture's shallow layers, its last one, the quarters' last one."""
    return shallow.flatten(0, 1)[None], deep[:1], deep[1:].flatten(0, 1)[None]


def _load(encoder: Any) -> None:
    """Loads in inference mode, as the host's own nodes do.

    Weights moved to a card outside it are of no use after.
    """
    with torch.inference_mode():
        mm.load_model_gpu(encoder.patcher)


def _siglip(encoder: Any, five: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    _load(encoder)
    out = encoder.encode_image(five, crop=False)
    return _parts(out["all_hidden_states"][0, list(SIGLIP_LAYERS)], out["last_hidden_state"])


def _dino(encoder: Any, five: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    _load(encoder)
    net = encoder.model
    x = comfy.clip_model.clip_preprocess(
        five.to(encoder.load_device), VIEW, encoder.image_mean, encoder.image_std, crop=False
    )
    wanted = (*DINO_LAYERS, len(net.encoder.layer) - 1)
    maps = [patches for patches, _ in net.get_intermediate_layers(x.float(), wanted, apply_norm=False)]
    return _parts(torch.stack([m[0] for m in maps[:-1]]), net.layernorm(maps[-1]))

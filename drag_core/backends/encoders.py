"""Image encoders in transformers' folders, and what the adapters read of a picture through them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..adapters.files import Kind
from ..adapters.instant_character import DINO_LAYERS, SIGLIP_LAYERS, VIEW, Subject, views
from ..types import DragError
from .text import pretrained, transformers_classes

Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]  # mean, spread by colour
HALF: Statistics = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
CLIP: Statistics = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SO400M = 1152  # width of SigLIP so400m, which is published at 224 and at 384 pixels
# which encoders an adapter wants, in this order: (the config's model_type, transformers' class, its name)
WANTED: dict[Kind, tuple[tuple[str, str, str], ...]] = {
    "xlabs": (("clip", "CLIPVisionModelWithProjection", "CLIP-L (openai/clip-vit-large-patch14)"),),
    "instantx": (("siglip", "SiglipVisionModel", "SigLIP (google/siglip-so400m-patch14-384)"),),
    "character": (
        ("siglip", "SiglipVisionModel", "SigLIP (google/siglip-so400m-patch14-384)"),
        ("dinov2", "Dinov2Model", "DINOv2 (facebook/dinov2-giant)"),
    ),
}


def check_encoders(kind: Kind, folders: tuple[Path, ...]) -> tuple[Path, ...]:
    """Sorts `folders` into the order in which an adapter wants its encoders.

    Raises DragError where one is missing, is none, or is of another kind. Reads their config.json alone.
    """
    found = {_kind_of(folder): folder for folder in folders}
    wanted = [kind for kind, _, _ in WANTED[kind]]
    if len(folders) != len(wanted) or set(found) != set(wanted):
        names = " and ".join(name for _, _, name in WANTED[kind])
        given = ", ".join(f"{f.name} ({k})" for k, f in found.items()) or "none"
        raise DragError(
            f"this adapter sees through {names}: give --adapter-encoder their folders, not {given}"
        )
    return tuple(found[kind] for kind in wanted)


def _kind_of(folder: Path) -> str:
    file = folder / "config.json"
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        kind = str(said["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise DragError(
            f"{folder} is no image encoder in transformers' form: {file} can't be read ({e})"
        ) from None
    return kind.removesuffix("_vision_model")


@torch.no_grad()
def embeddings(kind: Kind, folder: Path, picture: Tensor) -> Tensor:
    """Computes what an IP-Adapter reads of a picture (1, 3, H, W) in [0, 1]: (1, width).

    XLabs: CLIP's projected embedding of the middle square; InstantX: SigLIP's pooled one of the whole.
    """
    net = _load(kind, 0, folder)
    side, device = int(net.config.image_size), picture.device
    if kind == "xlabs":
        out: Tensor = net(seen(picture, side, CLIP, crop=True).to(device)).image_embeds
    else:
        out = net(seen(picture, side, HALF).to(device)).pooler_output
    return out.float()


@torch.no_grad()
def subject(folders: tuple[Path, ...], picture: Tensor) -> Subject:
    """Computes a subject's features of a picture (1, 3, H, W) in [0, 1], as InstantCharacter was trained.

    folders: SigLIP's and DINOv2's.
    """
    siglip = _load("character", 0, folders[0])
    side = int(siglip.config.image_size)
    if siglip.config.hidden_size == SO400M and side != VIEW:
        raise DragError(
            f"{folders[0].name} is SigLIP at {side} pixels: InstantCharacter takes the one at {VIEW}"
        )
    five = views(picture.movedim(1, -1), side).movedim(-1, 1)
    first = _layers(siglip, seen(five, side, HALF), SIGLIP_LAYERS, 0)
    del siglip
    dino = _load("character", 1, folders[1])
    second = _layers(dino, seen(five, side, IMAGENET), DINO_LAYERS, 1)
    if first[0].shape[1] != second[0].shape[1]:
        raise DragError(
            f"SigLIP gives {first[0].shape[1]} tokens and DINOv2 {second[0].shape[1]}: give encoders whose "
            "patches have one size, 14 pixels"
        )
    joined = [torch.cat([a, b], -1) for a, b in zip(first, second, strict=True)]
    shallow, deep = torch.cat([x[:1] for x in joined[:-1]], 1), joined[-1]
    return Subject(shallow, deep[:1], deep[1:].flatten(0, 1)[None])


def _layers(net: Any, views: Tensor, shallow: tuple[int, ...], skip: int) -> list[Tensor]:
    """Lists the outputs of an encoder's `shallow` layers and its last, normed; `skip` tokens are left out."""
    if net.config.num_hidden_layers <= shallow[-1]:
        raise DragError(
            f"this {net.config.model_type} has {net.config.num_hidden_layers} layers and InstantCharacter "
            f"reads layer {shallow[-1] + 1}: give the encoder that it was trained with"
        )
    out = net(views, output_hidden_states=True)
    # transformers counts the embedding as number 0
    return [
        x[:, skip:].float() for x in (*(out.hidden_states[k + 1] for k in shallow), out.last_hidden_state)
    ]


def _load(kind: Kind, which: int, folder: Path) -> Any:
    _, name, _ = WANTED[kind][which]
    (found,) = transformers_classes(name)
    try:
        return pretrained(found, folder, torch.float32).eval()
    except (OSError, ValueError, RuntimeError) as e:
        first = (str(e).strip() or type(e).__name__).splitlines()[0]
        raise DragError(f"the image encoder {folder} can't be read: {first}") from None


def seen(picture: Tensor, side: int, of: Statistics, crop: bool = False) -> Tensor:
    """Resizes pictures (n, 3, H, W) in [0, 1] to a square of `side` and normalises their colours.

    crop: the middle square; else all of it, squeezed.
    """
    h, w = picture.shape[-2:]
    if crop:
        k = side / min(h, w)
        size = (max(side, round(h * k)), max(side, round(w * k)))
    else:
        size = (side, side)
    if (h, w) != size:
        picture = F.interpolate(picture, size, mode="bicubic", antialias=True).clamp(0, 1)
    y, x = (size[0] - side) // 2, (size[1] - side) // 2
    mean, spread = (picture.new_tensor(v)[:, None, None] for v in of)
    return (picture[..., y : y + side, x : x + side] - mean) / spread

"""Adapters of every kind through the nodes, and the oracle's answer for each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import adapter_oracle as plain
import comfy.clip_vision
import comfy.ldm.flux.redux
import comfy.sd
import folder_paths
import oracle
import tiny
import torch
from bounds import within
from region_drag_editing.drag_core.adapters.instant_character import Subject
from region_drag_editing.drag_core.types import FeatureTap
from region_drag_editing.nodes import DragApplyIPAdapter, DragLoadIPAdapter
from region_drag_editing.nodes.host.adapters import ip_adapter
from safetensors.torch import save_file
from tiny import FLOW_T, FLUX_TAPS, noise
from torch import Tensor

KINDS = ("xlabs", "instantx", "character")
SCALE = 0.8
EPS = 1.1920928955078125e-07  # of the host's norm of Q and K in float32
FILES = {"xlabs": plain.xlabs, "instantx": plain.instantx, "character": plain.character}


def put(folder: str, name: str, content: Any) -> str:
    """A file of the user's, in one of ComfyUI's folders."""
    folder_paths.filename_list_cache.clear()
    path = Path(folder_paths.get_folder_paths(folder)[0], name)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(content, path) if name.endswith("safetensors") else torch.save(content, path)
    return name


def picture(kind: str, pictures: int = 1) -> dict[str, Any]:
    """What the encoders give: random, made in the executor's inference mode."""
    with torch.inference_mode():
        if kind == "character":
            shapes = (3, 1, 4)
            subject = Subject(*(noise(1, n * plain.PATCHES, plain.WIDE, seed=30 + n) for n in shapes))
            return {"subject": subject}
        out = comfy.clip_vision.Output()
        out["image_embeds"] = noise(pictures, plain.CLIP, seed=31)
        out["last_hidden_state"] = noise(pictures, plain.PATCHES, plain.SIGLIP, seed=32)
        return {"clip_vision_output": out}


def load(kind: str, weights: plain.Weights | None = None) -> Any:
    weights = weights or FILES[kind]()
    with torch.inference_mode():
        if kind == "xlabs":
            name = put(ip_adapter.FOLDERS, "xlabs.safetensors", weights)
        else:
            name = put(ip_adapter.FOLDERS, f"{kind}.bin", plain.nested(weights))
        siglip = put("clip_vision", "siglip.safetensors", plain.pooling())
        return DragLoadIPAdapter.execute(name, siglip if kind == "instantx" else "none").args[0]


def apply(
    model: Any,
    kind: str,
    scale: float = SCALE,
    stage: str = "both",
    start: float = 0.0,
    end: float = 1.0,
    fade: str = "constant",
    mask: Tensor | None = None,
    pictures: int = 1,
) -> tuple[Any, Any, str]:
    with torch.inference_mode():
        given = picture(kind, pictures)
        args = (model, load(kind), scale, stage, start, end, fade)
        return DragApplyIPAdapter.execute(*args, mask=mask, **given).args


def shares(kind: str, scale: float, t: float = FLOW_T) -> Callable[[str, Tensor, Tensor], Tensor]:
    """The oracle's adapter."""
    w, given = FILES[kind](), picture(kind)
    if kind == "character":
        s = given["subject"]
        read = plain.character_features(w, s.shallow.clone(), s.deep.clone(), s.quarters.clone())
        tokens = plain.character_tokens(w, read, t)
    elif kind == "instantx":
        patches = given["clip_vision_output"]["last_hidden_state"].clone()
        tokens = plain.instantx_tokens(w, plain.pooled(plain.pooling(), patches))
    else:
        tokens = plain.xlabs_tokens(w, given["clip_vision_output"]["image_embeds"].clone())

    def adapter(name: str, raw: Tensor, normed: Tensor) -> Tensor:
        block, index = name.split(".")
        layer = int(index) + (0 if block == "double" else 2)
        return scale * plain.share(kind, w, tokens.to(raw), layer, raw, normed)

    return adapter


def wanted(kind: str, z: Tensor, scale: float = SCALE) -> oracle.Maps:
    w = tiny.flux_weights()
    args = (w, z, FLOW_T, tiny.TEXT, tiny.POOLED, tiny.GUIDANCE, EPS)
    return oracle.flux(*args, adapter=shares(kind, scale), behind=kind == "xlabs")


def predicted(patcher: Any, z: Tensor, taps: tuple[FeatureTap, ...] = FLUX_TAPS) -> list[Tensor]:
    """Features at the taps; the prediction as a step makes it, and as the gradient's pass does."""

    def body(backbone: Any, _: Tensor) -> list[Tensor]:
        here = tiny.at(backbone, z)
        with torch.no_grad():
            maps, end = backbone.features(here, FLOW_T, taps, stop=False)
            alone = backbone.predict(here, FLOW_T)
        assert torch.allclose(alone, end, atol=within(1e-5))  # two kernels of attention
        return [*maps, alone, end]

    found: list[Tensor] = tiny.in_session(patcher, body, taps)
    return found


Z = noise(1, 16, *tiny.LATENT, seed=3)

"""Which adapter a file holds, and whether it is complete: key names and shapes as released."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from ..types import DragError

Kind = Literal["xlabs", "instantx", "character"]
Weights = Mapping[str, Tensor]
LABELS: dict[Kind, str] = {
    "xlabs": "XLabs IP-Adapter",
    "instantx": "InstantX IP-Adapter",
    "character": "InstantCharacter",
}
HEAD = 128  # channels of an attention head of FLUX
NORM = ("weight", "bias")
# a key that only this kind has -> the kind
MARKS: tuple[tuple[str, Kind], ...] = (
    (r"double_blocks\.\d+\.processor\.ip_adapter_double_stream_|ip_adapter_proj_model\.", "xlabs"),
    (
        r"image_proj\.(resampler|cross_layer_blocks|cross_scale_blocks)\.|ip_adapter\.\d+\.norm_ip_",
        "character",
    ),
    (r"image_proj\.proj\.\d+\.|ip_adapter\.\d+\.to_[kv]_ip\.", "instantx"),
)


@dataclass(frozen=True)
class AdapterFile:
    """A whole adapter.

    layers: how many attention layers it knows (XLabs: the double blocks; the others: double blocks, then
        single ones).
    hidden: the model's width.
    context: width of a token.
    """

    kind: Kind
    weights: Weights
    layers: int
    hidden: int
    context: int

    @property
    def label(self) -> str:
        return LABELS[self.kind]


def flat(loaded: Mapping[str, Any], prefix: str = "") -> dict[str, Tensor]:
    """Flattens dictionaries of dictionaries (the .bin files) into one, with names joined by dots.

    What is no tensor is left out.
    """
    out: dict[str, Tensor] = {}
    for key, value in loaded.items():
        if isinstance(value, Mapping):
            out |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, Tensor):
            out[f"{prefix}{key}"] = value
    return out


def read(loaded: Mapping[str, Any]) -> AdapterFile:
    """Reads the adapter in a loaded file; DragError names the missing keys or the wrong shape."""
    weights = flat(loaded)
    kind = next((k for mark, k in MARKS if any(re.match(mark, name) for name in weights)), None)
    if kind is None:
        there = ", ".join(sorted(weights)[:3]) or "no tensors"
        raise DragError(
            "this file is no adapter for FLUX that is known here: it lacks ip_adapter_proj_model.proj.weight "
            "(XLabs), image_proj.proj.0.weight (InstantX) and image_proj.resampler.latents "
            f"(InstantCharacter); it has {there}"
        )
    layer = r"double_blocks\.(\d+)\." if kind == "xlabs" else r"ip_adapter\.(\d+)\."
    numbers = [int(found[1]) for name in weights if (found := re.match(layer, name))]
    layers = max(numbers, default=0) + 1
    wanted = {"xlabs": _xlabs, "instantx": _instantx, "character": _character}[kind](weights, layers)
    need(weights, wanted, f"the {LABELS[kind]} file")
    name = (
        "double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight"
        if kind == "xlabs"
        else "ip_adapter.0.to_k_ip.weight"
    )
    if weights[name].ndim != 2 or weights[name].shape[0] % HEAD:
        raise DragError(
            f"{name} has shape {tuple(weights[name].shape)} and FLUX's width is a multiple of {HEAD}: this "
            "adapter is for another model"
        )
    hidden, context = weights[name].shape
    return AdapterFile(kind, weights, layers, hidden, context)


def need(weights: Weights, names: Iterable[str], what: str) -> None:
    """Refuses weights that lack one of the names."""
    if missing := [n for n in names if n not in weights]:
        more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        raise DragError(f"{what} is not complete: it lacks {', '.join(missing[:4])}{more}")


def _numbered(weights: Weights, stem: str) -> int:
    """Counts stem.0, stem.1, ... by the highest number; at least one."""
    pattern = re.compile(re.escape(stem) + r"\.(\d+)\.")
    return max((int(m[1]) for n in weights if (m := pattern.match(n))), default=0) + 1


def _both(*stems: str) -> list[str]:
    return [f"{stem}.{part}" for stem in stems for part in NORM]


def _xlabs(weights: Weights, layers: int) -> list[str]:
    names = _both("ip_adapter_proj_model.proj", "ip_adapter_proj_model.norm")
    for i in range(layers):
        at = f"double_blocks.{i}.processor.ip_adapter_double_stream"
        names += _both(f"{at}_k_proj", f"{at}_v_proj")
    return names


def _instantx(weights: Weights, layers: int) -> list[str]:
    names = _both("image_proj.proj.0", "image_proj.proj.2", "image_proj.norm")
    return names + [f"ip_adapter.{i}.to_{p}_ip.weight" for i in range(layers) for p in "kv"]


def _character(weights: Weights, layers: int) -> list[str]:
    names = []
    for i in range(layers):
        at = f"ip_adapter.{i}"
        names += _both(f"{at}.to_k_ip", f"{at}.to_v_ip") + [f"{at}.norm_ip_{p}.scale" for p in "qk"]
    for mlp in ("proj", "proj_cross_layer", "proj_cross_scale"):
        names += _both(f"image_proj.{mlp}.fc1", f"image_proj.{mlp}.fc2")
    for stem in ("image_proj.cross_layer_blocks", "image_proj.cross_scale_blocks"):
        for i in range(_numbered(weights, stem)):
            at = f"{stem}.{i}"
            names += _both(*(f"{at}.norm{n}" for n in "123"), f"{at}.ff.net.0.proj", f"{at}.ff.net.2")
            for a in ("attn1", "attn2"):
                names += [f"{at}.{a}.to_{p}.weight" for p in "qkv"] + _both(f"{at}.{a}.to_out.0")
    at = "image_proj.resampler"
    names += [f"{at}.latents"] + _both(f"{at}.proj_in", f"{at}.proj_out", f"{at}.norm_out")
    names += _both(f"{at}.time_embedding.linear_1", f"{at}.time_embedding.linear_2")
    for i in range(_numbered(weights, f"{at}.layers")):
        layer = f"{at}.layers.{i}"
        names += _both(f"{layer}.0.norm1", f"{layer}.0.norm2", f"{layer}.1.0", f"{layer}.2.1")
        names += [f"{layer}.0.{p}.weight" for p in ("to_q", "to_kv", "to_out")]
        names += [f"{layer}.1.{n}.weight" for n in "13"]
    return names

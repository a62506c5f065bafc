"""What a model's path gives, read but not yet bound to a prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from ..types import DragError, Family
from .codec import Codec
from .keys import Weights

Conditioning = tuple[Tensor, Tensor | None]  # text (1, L, D) and, for FLUX and SDXL, pooled (1, P)


@dataclass(frozen=True)
class Checkpoint:
    """What a path gave: the network, and whatever else lay with it.

    encode: turns a prompt into conditioning.
    velocity: whether it is a Stable Diffusion that predicts v.
    side: pictures of about side² pixels suit it.
    """

    family: Family
    net: Any
    codec: Codec | None
    encode: Callable[[str], Conditioning] | None
    velocity: bool = False
    side: int = 512


def read_weights(path: Path) -> Weights:
    """Reads all tensors of a safetensors file."""
    if path.suffix != ".safetensors":
        raise DragError(
            f"{path.name} is not a .safetensors file: pickled checkpoints can run code and are not read; "
            f"convert it first"
        )
    try:
        with safe_open(path, framework="pt") as f:
            return {k: f.get_tensor(k) for k in f.keys()}
    except OSError as e:
        raise DragError(f"{path} can't be read: {e}") from None
    except Exception as e:  # safetensors' own error type is not importable across versions
        raise DragError(f"{path.name} is not a valid safetensors file: {e}") from None


def fill(module: nn.Module, weights: Weights, what: str, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Gives `module`, made on the meta device, `weights` for its own, in `dtype`; not copied if they have it.

    Strict: what is missing or has another shape is said in one sentence.
    """
    own = module.state_dict()
    missing = [k for k in own if k not in weights]
    odd = [k for k in own if k in weights and own[k].shape != weights[k].shape]
    if missing or odd:
        raise DragError(
            f"the {what} is not of a known layout: {len(missing)} weights missing, {len(odd)} of another "
            f"shape, e.g. {(missing + odd)[0]}"
        )
    kept = {k: weights[k] for k in own}
    kept = {k: x.to(dtype) if x.is_floating_point() else x for k, x in kept.items()}
    module.load_state_dict(kept, assign=True)
    return module.eval()

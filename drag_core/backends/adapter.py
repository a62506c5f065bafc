"""An image adapter on a loaded FLUX: a file, the encoders it sees through, and the picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..adapters.attention import Network, Strength
from ..adapters.files import AdapterFile, read
from ..adapters.instant_character import Character, features, sampling_weights
from ..adapters.ip_adapter import fixed
from ..adapters.use import AdapterUse
from ..types import DragError
from .checkpoint import read_weights
from .diffusers_flux import DiffusersFlux
from .encoders import check_encoders, embeddings, subject
from .load import Model
from .worn import Worn


@dataclass(frozen=True)
class Adapter:
    """An adapter as the user gives it.

    encoders: folders, in the order in which it wants them.
    picture: (1, 3, H, W) in [0, 1], on the CPU: what it looks at. None: the picture that is edited.
    scale: the user's strength; None: the recipe's.
    """

    file: AdapterFile
    encoders: tuple[Path, ...]
    picture: Tensor | None = None
    scale: float | None = None


def read_adapter(
    path: Path, encoders: tuple[Path, ...], picture: Tensor | None = None, scale: float | None = None
) -> Adapter:
    """Reads an adapter's file, and refuses encoders that it doesn't see through.

    path: .safetensors with the released names: XLabs, InstantX, InstantCharacter (its .bin is a pickle).
    """
    file = read(read_weights(path))
    return Adapter(file, check_encoders(file.kind, encoders), picture, scale)


def with_adapter(
    model: Model, adapter: Adapter | None, use: AdapterUse | None, recipe: str, image: Tensor
) -> tuple[Model, tuple[str, ...]]:
    """Returns `model` with the adapter on where `use` says, and a note about it, or about there being none.

    use: the recipe's; None: it has no place for one, which is refused if there is one.
    image: (1, 3, H, W), what the adapter looks at where it has no picture of its own.
    The model given is not changed.
    """
    if adapter is None:
        return model, () if use is None else (use.missing(recipe, "--adapter"),)
    file = adapter.file
    backbone, target = model.backbone, model.target or model.backbone
    if not isinstance(backbone, DiffusersFlux) or not isinstance(target, DiffusersFlux):
        raise DragError(f"the {file.label} is for FLUX.1 and {model.name} is none: leave --adapter out")
    if use is None:
        raise DragError(f"recipe {recipe} has no place for an adapter: take dragflow, or leave --adapter out")
    config = backbone.net.config
    width = config.num_attention_heads * config.attention_head_dim
    doubles = config.num_layers
    layers = doubles if file.kind == "xlabs" else doubles + config.num_single_layers
    if (file.layers, file.hidden) != (layers, width):
        raise DragError(
            f"the {file.label} is for {file.layers} layers of width {file.hidden} and {model.name} has "
            f"{layers} of width {width}: it belongs to another model"
        )
    scale = use.scale(file.kind) if adapter.scale is None else adapter.scale
    said = (f"{file.label} at scale {scale:g} while {use}",)
    if not scale:
        return model, said
    picture = image.cpu() if adapter.picture is None else adapter.picture
    network = _network(adapter, use, picture, backbone)
    strength = Strength(scale)
    edits = Worn(network, strength, use.features, use.denoising)
    inverts = Worn(network, strength) if use.inversion else None
    return replace(model, backbone=backbone.wearing(inverts), target=target.wearing(edits)), said


@torch.no_grad()
def _network(adapter: Adapter, use: AdapterUse, picture: Tensor, backbone: DiffusersFlux) -> Network:
    """Makes what the adapter adds for a picture (1, 3, H, W), its weights where the network's are."""
    file = adapter.file
    if file.kind != "character":
        return fixed(file, embeddings(file.kind, adapter.encoders[0], picture))
    seen = features(file.weights, subject(adapter.encoders, picture))
    device = torch.device("cpu") if backbone.offload else backbone.pooled.device
    weights = {n: w.to(device, backbone.net.dtype) for n, w in sampling_weights(file).items()}
    return Character(weights, seen, top=use.top)

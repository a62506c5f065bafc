"""Adapter files of the host's model folders, and a MODEL with one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import comfy.model_management as mm
import comfy.model_patcher
import folder_paths
import torch
from torch import Tensor, nn

from ....drag_core.adapters.attention import Network, Strength
from ....drag_core.adapters.files import AdapterFile, Weights, read
from ....drag_core.adapters.instant_character import Character, Subject, features, sampling_weights
from ....drag_core.adapters.ip_adapter import fixed
from ....drag_core.adapters.siglip import head_of, pooled
from ....drag_core.types import DragError
from ..backbones.compiler import uncompiled_sampling
from ..backbones.layouts import FLUX1
from ..family import family_in
from ..files import list_places, read_table
from ..whole import net_of
from .injection import KEY, Injection

FOLDERS = "drag_adapters"
PLACES = ("ipadapter-flux", "ipadapter", "xlabs/ipadapters")  # where the adapters' own packs keep them
THEIRS = ("ipadapter-flux", "ipadapter", "xlabs_ipadapters")  # as they, or a file of paths, call it
NO_FILE = "none"


@dataclass(frozen=True)
class Adapter:
    """A file, and the pooling of SigLIP that InstantX's needs."""

    file: AdapterFile
    pooling: Weights | None


def list_adapter_folders() -> None:
    list_places(FOLDERS, PLACES, THEIRS)


def adapter_names() -> list[str]:
    if FOLDERS not in folder_paths.folder_names_and_paths:  # the host may ask for schemas before on_load
        list_adapter_folders()
    return list(folder_paths.get_filename_list(FOLDERS))


def encoder_names() -> list[str]:
    return [NO_FILE, *folder_paths.get_filename_list("clip_vision")]


def load_adapter(name: str, siglip: str = NO_FILE) -> Adapter:
    """Reads an adapter as safetensors, or as a pickle of plain tensors (weights_only)."""
    file = read(read_table(FOLDERS, name, "an adapter"))
    pooling = None if siglip == NO_FILE else head_of(read_table("clip_vision", siglip, "an encoder"))
    return Adapter(file, pooling)


def _where(file: AdapterFile) -> tuple[torch.device, torch.dtype]:
    """Chooses device and precision for what is computed once: the file's own on a GPU, float32 on a CPU."""
    device = mm.get_torch_device()
    kind = next(iter(file.weights.values())).dtype
    half = kind in (torch.float16, torch.bfloat16) and device.type != "cpu"
    return device, kind if half else torch.float32


def _embeddings(adapter: Adapter, output: Any) -> Tensor:
    """Takes what the adapter reads out of a CLIP_VISION_OUTPUT, (pictures, width)."""
    if adapter.file.kind == "xlabs":
        found: Tensor = output["image_embeds"]
        if found.ndim != 2:
            raise DragError(
                "the XLabs IP-Adapter takes CLIP-L's image embedding and this encoder gives none: load "
                "clip_vision_l in the CLIP Vision loader"
            )
        return found
    if adapter.pooling is None:
        raise DragError(
            "the InstantX IP-Adapter needs SigLIP's pooling, which ComfyUI's encoder leaves out: choose the "
            "SigLIP file in Drag Load IP-Adapter too"
        )
    patches: Tensor = output["last_hidden_state"]
    width = next(iter(adapter.pooling.values())).shape[-1]
    if patches.ndim != 3 or patches.shape[-1] != width:
        raise DragError(
            f"the picture was encoded to width {patches.shape[-1]} and SigLIP's pooling takes {width}: "
            "encode it with the same SigLIP file"
        )
    return patches


def make_network(adapter: Adapter, output: Any, subject: Subject | None) -> tuple[Network, list[Any]]:
    """Makes what the adapter adds for this picture.

    Also returns the host's patchers of weights that it needs meanwhile.
    """
    file = adapter.file
    device, dtype = _where(file)
    mm.free_memory(2**30, device)
    with torch.inference_mode(False), torch.no_grad():
        if file.kind == "character":
            if subject is None:
                raise DragError("InstantCharacter takes a subject: connect Drag Encode Subject")
            there = Subject(*(x.to(device, dtype) for x in (subject.shallow, subject.deep, subject.quarters)))
            held = _Held(sampling_weights(file))
            patcher = comfy.model_patcher.ModelPatcher(held, mm.get_torch_device(), mm.unet_offload_device())
            return Character(held.view(), features(file.weights, there).float().cpu()), [patcher]
        if output is None:
            raise DragError(
                f"the {file.label} takes an encoded picture: connect CLIP Vision Encode to clip_vision_output"
            )
        x = _embeddings(adapter, output).to(device, dtype)
        if file.kind == "instantx" and adapter.pooling is not None:
            x = pooled(adapter.pooling, x)
        return fixed(file, x), []


def add_adapter(
    patcher: Any,
    adapter: Adapter,
    strength: Strength,
    output: Any,
    subject: Subject | None,
    mask: Tensor | None,
) -> Any:
    """Clones a FLUX patcher with the adapter; scale 0 is the patcher itself."""
    family = family_in(patcher)
    if family.layout is not FLUX1:
        raise DragError(
            f"the {adapter.file.label} is for FLUX.1 and this model is {family.label}: use an IP-Adapter "
            "pack for it, and Drag Adapter Injection"
        )
    net = net_of(patcher)
    layers = len(net.double_blocks) if adapter.file.kind == "xlabs" else len(family.blocks)
    if (adapter.file.layers, adapter.file.hidden) != (layers, net.hidden_size):
        raise DragError(
            f"the {adapter.file.label} is for {adapter.file.layers} layers of width {adapter.file.hidden} "
            f"and this model has {layers} of width {net.hidden_size}: it belongs to another model"
        )
    if strength.scale == 0:
        return patcher
    network, patchers = make_network(adapter, output, subject)
    clone = uncompiled_sampling(patcher.clone())
    Injection(network, strength, mask, patcher).install(clone)
    if patchers:
        before = clone.get_additional_models_with_key(KEY)
        clone.set_additional_models(KEY, [*before, *patchers])
    return clone


class _Held(nn.Module):
    """Weights under their names in the file, as a module that the host moves, counts and unloads."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        for name, weight in weights.items():
            *path, leaf = name.split(".")
            m: nn.Module = self
            for part in path:
                if part not in m._modules:
                    m.add_module(part, nn.Module())
                m = m._modules[part]  # type: ignore[assignment]
            m.register_parameter(leaf, nn.Parameter(weight, requires_grad=False))

    def view(self) -> Weights:
        return _View(self)


class _View(Mapping[str, Tensor]):
    """Name -> the parameter that is there now: the host puts others in their places when it moves them."""

    def __init__(self, held: _Held) -> None:
        self.held, self.names = held, dict.fromkeys(n for n, _ in held.named_parameters())

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.names:
            raise KeyError(name)
        return self.held.get_parameter(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

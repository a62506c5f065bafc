"""How much memory a drag's gradient pass takes, and a clone of the model that loads only what it runs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import comfy.model_management as mm
import torch
from comfy.ldm.flux.layers import Modulation, ModulationOut
from torch import nn

from ...drag_core.backends.activations import joint_bytes
from ...drag_core.trajectory.kvplan import KVSize
from ...drag_core.types import FeatureTap
from .backbones.call import BESIDE
from .backbones.grad import dense, fetched
from .backbones.layouts import attentions_of, layout_of, patch_of
from .backbones.unet import attention_sizes
from .whole import ROOT, net_of

TEXT = 512  # tokens
# Measured with frozen ops: KiB kept per latent cell by SD1.5 in 16 bit, up to each tap (290, 397, 619 MiB at
# 512x512)
UNET = {"up.0": 60.0, "up.1": 73.0, "up.2": 100.0, "up.3": 155.0}
# SDXL's, counted on the meta device with what the same count says of SD1.5 against that measurement
UNET_XL = {"up.0": 212.0, "up.1": 255.0, "up.2": 271.0}


def activation_bytes(
    net: Any,
    size: tuple[int, int],
    taps: tuple[FeatureTap, ...],
    whole: bool,
    checkpoint: bool,
    item: int = 2,
) -> int:
    """Estimates the bytes of one forward and backward on a latent (h, w).

    whole: past the last tap.
    checkpoint: with checkpoints.
    """
    h, w = size
    layout = layout_of(net)
    if layout is not None:
        token = layout.width(net) * item * (h * w / patch_of(net) ** 2 + TEXT)
        names = list(layout.blocks(net))
        last = (
            len(names) - 1
            if whole
            else max((names.index(t.block) for t in taps if t.block in names), default=0)
        )
        return joint_bytes(token, names[: last + 1], checkpoint)
    kept = UNET_XL if net.num_classes is not None else UNET
    end = max(kept)
    block = end if whole else max((t.block for t in taps), default=end)
    return int(kept.get(block, kept[end]) * 1024 * h * w * item / 2 * net.model_channels / 320)


def kv_size(
    patcher: Any, size: tuple[int, int], blocks: tuple[str, ...], evaluations: int, text: int = 0
) -> KVSize:
    """Computes what the K/V of `blocks` take for a latent (h, w).

    text: prompt tokens kept in single blocks.
    """
    h, w = size
    net, model = net_of(patcher), patcher.model
    item = int(model.get_dtype_inference().itemsize)
    latent = 4 * model.latent_format.latent_channels * h * w
    layout = layout_of(net)
    if layout is not None:
        patch, width, there = patch_of(net), layout.width(net), layout.blocks(net)
        image = -(-h // patch) * -(-w // patch)
        tokens = sum(
            attentions_of(there[b][0]) * (image + (text if there[b][1].kind == "single" else 0))
            for b in blocks
        )
        row = width // net.num_heads if hasattr(net, "num_heads") else 64
        return KVSize(2 * tokens * width, evaluations, item, row, latent)
    sizes = attention_sizes(net, size)
    numbers = sum(a * b for a, b in (sizes[name] for name in blocks))
    return KVSize(numbers, evaluations, item, min(sizes[b][1] for b in blocks), latent, shared=True)


def free_bytes(patcher: Any) -> int:
    """Counts the bytes free on the model's device if the model itself were not there."""
    return int(mm.get_free_memory(patcher.load_device)) + int(patcher.loaded_size())


def largest_side(patcher: Any, size: tuple[int, int], need: int, cell: int = 8) -> int:
    """Finds the side in pixels, a multiple of 64, of the square picture whose gradient pass would fit."""
    room = max(free_bytes(patcher) - int(patcher.model_size()), 0) * 0.9
    side = (size[0] * size[1] * cell**2 * min(room / max(need, 1), 1.0)) ** 0.5
    return int(side // 64 * 64)


class _Constant(nn.Module):
    """Replaces a modulation layer while only one noise level is visited.

    Computes its output once for each conditioning, then returns it. Saves loading a third of a double block's
    weights.
    """

    def __init__(self, own: Any) -> None:
        super().__init__()
        self.own = (own,)  # in a tuple: not a part of the model, so that the host does not load it
        self.answers: dict[bool, Any] = {}  # the edit's, and what is beside it

    def forward(self, vec: torch.Tensor) -> Any:
        whose = BESIDE.get()
        if whose not in self.answers:
            (own,) = self.own
            x = nn.functional.silu(vec if vec.ndim > 2 else vec[:, None, :])
            with torch.no_grad(), fetched(own.lin, x) as (weight, bias):
                out = nn.functional.linear(x, dense(weight).to(x), None if bias is None else bias.to(x))
            parts = out.chunk(own.multiplier, dim=-1)
            second = ModulationOut(*parts[3:]) if own.is_double else None
            self.answers[whose] = (ModulationOut(*parts[:3]), second)
        return self.answers[whose]


def _parts(patcher: Any, taps: tuple[FeatureTap, ...]) -> tuple[dict[str, int], dict[str, Any], list[str]]:
    """Lists what a drag runs and what it does not.

    Returns how many blocks of each list a drag runs, the modulations of these that no LoRA patches, and the
    names of all that it does not run.
    """
    net = net_of(patcher)
    layout = layout_of(net)
    assert layout is not None
    names = list(layout.blocks(net))
    last = max((names.index(t.block) for t in taps if t.block in names), default=-1)
    patched = {k.removeprefix("diffusion_model.").split(".lin.")[0] for k in patcher.patches}
    keep: dict[str, int] = {}
    once: dict[str, Any] = {}
    gone = list(layout.end)
    for stream in layout.streams:
        blocks = getattr(net, stream.attribute)
        count = sum(name.startswith(f"{stream.kind}.") for name in names[: last + 1])
        keep[stream.attribute] = count
        gone += [f"{stream.attribute}.{i}" for i in range(count, len(blocks))]
        for i in range(count):
            for part, module in blocks[i].named_children():
                name = f"{stream.attribute}.{i}.{part}"
                if isinstance(module, Modulation) and name not in patched:
                    once[name] = module
    return keep, once, gone


def drag_bytes(patcher: Any, taps: tuple[FeatureTap, ...]) -> int:
    """Counts the bytes of the weights that a drag's updates have to have on the device."""
    net = net_of(patcher)
    if layout_of(net) is None:
        return int(patcher.model_size())
    _, once, gone = _parts(patcher, taps)
    without = tuple(f"{name}." for name in (*gone, *once))
    kept = (p for n, p in net.named_parameters() if not n.startswith(without))
    return sum(p.numel() * p.element_size() for p in kept)


def pruned(patcher: Any, taps: tuple[FeatureTap, ...]) -> Any:
    """Clones a joint transformer's patcher with only the blocks up to the last tap.

    Their modulations are constants, so this is for updates at one level. Only what is left is loaded.

    The host loads the largest layers first, not the first blocks: on a card that is too small for the whole
    model half of what a drag runs would be left outside. The blocks are back when the patcher is unpatched.
    """
    layout = layout_of(net_of(patcher))
    assert layout is not None
    keep, once, gone = _parts(patcher, taps)
    # the very blocks, no copies as in net_of(): what the host finds in their place it puts back on them
    lists = {name: list(patcher.get_model_object(f"{ROOT}.{name}")) for name in keep}
    for name, blocks in lists.items():
        for i in range(len(blocks)):
            blocks[i] = patcher.object_patches_backup.get(f"{ROOT}.{name}.{i}", blocks[i])
    # a list of the user's is put back before what lies below it: nothing of ours there
    once = {n: own for n, own in once.items() if f"{ROOT}.{n.split('.')[0]}" not in patcher.object_patches}
    clone = patcher.clone()
    prefix = tuple(f"{ROOT}.{name}." for name in gone)
    theirs = {k: v for k, v in clone.object_patches.items() if not f"{k}.".startswith(prefix)}
    clone.object_patches = {}  # ours before theirs: what is put on first is also taken off first
    for name, module in (
        *((name, nn.ModuleList(lists[name][:count])) for name, count in keep.items()),
        *((name, nn.Identity()) for name in layout.end),
        *((name, _Constant(own)) for name, own in once.items()),
    ):
        clone.add_object_patch(f"{ROOT}.{name}", module)
    ours = clone.object_patches
    clone.object_patches = {**ours, **{k: v for k, v in theirs.items() if k not in ours}}
    clone.size = drag_bytes(patcher, taps)
    clone.patches = {k: v for k, v in clone.patches.items() if not k.startswith(prefix)}
    clone.patches_uuid = uuid.uuid4()  # else the host takes it for the loaded whole and leaves that in place
    return clone


@contextmanager
def while_pruned(patcher: Any, taps: tuple[FeatureTap, ...]) -> Iterator[Any]:
    """Context manager: the pruned clone to run inside.

    Afterwards the model has all its blocks, whatever happened. The host would give them back only when it
    loads another clone of the model. Weights stay where they are.
    """
    clone = pruned(patcher, taps)
    try:
        yield clone
    finally:
        clone.unpatch_model(unpatch_weights=False)


def peak_bytes(device: torch.device) -> int:
    """Reads the most memory held since reset_peak(); on a CPU that of the process since its start."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024


def reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)

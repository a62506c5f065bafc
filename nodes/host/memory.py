"""How much memory a drag's gradient pass takes, and a clone of the model that loads only what it runs."""

from __future__ import annotations

import uuid
from typing import Any

import comfy.model_management as mm
import torch
from comfy.ldm.flux.model import Flux
from torch import nn

from ...drag_core.types import FeatureTap

# Measured with frozen ops (design/notes/host-gradients.md 5): bytes kept per token, channel and byte of
# precision ...
DOUBLE, SINGLE = 14.3, 15.3
TEXT = 512  # tokens
# ... and KiB kept per latent cell by SD1.5 in 16 bit, up to each tap (290, 397, 619 MiB at 512x512)
UNET = {"up.0": 60.0, "up.1": 73.0, "up.2": 100.0, "up.3": 155.0}
# SDXL's, counted on the meta device with what the same count says of SD1.5 against that measurement
UNET_XL = {"up.0": 212.0, "up.1": 255.0, "up.2": 271.0}


def activation_bytes(
    net: Any, size: tuple[int, int], taps: tuple[FeatureTap, ...], whole: bool, remember: bool, item: int = 2
) -> int:
    """Of one forward and backward on a latent (h, w). `whole`: past the last tap; `remember`: with
    checkpoints.
    """
    h, w = size
    if isinstance(net, Flux):
        token = net.hidden_size * item * (h * w / 4 + TEXT)
        names = [f"double.{i}" for i in range(len(net.double_blocks))]
        names += [f"single.{i}" for i in range(len(net.single_blocks))]
        last = (
            len(names) - 1
            if whole
            else max((names.index(t.block) for t in taps if t.block in names), default=0)
        )
        kept = [DOUBLE if n.startswith("double") else SINGLE for n in names[: last + 1]]
        # beside what is kept a backward holds about half a block's (measured peaks: 7.4 and 1.3 GiB at
        # 1024x1024)
        return int(token * (2 * max(kept) + len(kept) if remember else sum(kept) + 7))
    kept = UNET_XL if net.num_classes is not None else UNET
    end = max(kept)
    block = end if whole else max((t.block for t in taps), default=end)
    return int(kept.get(block, kept[end]) * 1024 * h * w * item / 2 * net.model_channels / 320)


def free_bytes(patcher: Any) -> int:
    """Free on the model's device if the model itself were not there."""
    return int(mm.get_free_memory(patcher.load_device)) + int(patcher.loaded_size())


def largest_side(patcher: Any, size: tuple[int, int], need: int) -> int:
    """The side in pixels, a multiple of 64, of the square picture whose gradient pass would fit."""
    room = max(free_bytes(patcher) - int(patcher.model_size()), 0) * 0.9
    side = (size[0] * size[1] * 64 * min(room / max(need, 1), 1.0)) ** 0.5
    return int(side // 64 * 64)


def pruned(patcher: Any, taps: tuple[FeatureTap, ...]) -> Any:
    """A clone of a FLUX patcher that has only the blocks up to the last tap, so that only these are loaded.

    The host loads the largest layers first, not the first blocks: on a card that is too small for the whole
    model half of what a drag runs would be left outside. The blocks are back when the patcher is unpatched.
    """
    net = patcher.model.diffusion_model
    doubles = [int(t.block.split(".")[1]) for t in taps if t.block.startswith("double.")]
    singles = [int(t.block.split(".")[1]) for t in taps if t.block.startswith("single.")]
    keep_singles = max(singles, default=-1) + 1
    keep_doubles = len(net.double_blocks) if singles else max(doubles, default=-1) + 1
    clone = patcher.clone()
    gone = [f"single_blocks.{i}." for i in range(keep_singles, len(net.single_blocks))] + ["final_layer."]
    gone += [f"double_blocks.{i}." for i in range(keep_doubles, len(net.double_blocks))]
    clone.add_object_patch(
        "diffusion_model.double_blocks", nn.ModuleList(list(net.double_blocks)[:keep_doubles])
    )
    clone.add_object_patch(
        "diffusion_model.single_blocks", nn.ModuleList(list(net.single_blocks)[:keep_singles])
    )
    clone.add_object_patch("diffusion_model.final_layer", nn.Identity())
    kept = {n: p for n, p in net.named_parameters() if not n.startswith(tuple(gone))}
    clone.size = sum(p.numel() * p.element_size() for p in kept.values())
    prefix = tuple(f"diffusion_model.{g}" for g in gone)
    clone.patches = {k: v for k, v in clone.patches.items() if not k.startswith(prefix)}
    clone.patches_uuid = uuid.uuid4()  # else the host takes it for the loaded whole and leaves that in place
    return clone


def peak_bytes(device: torch.device) -> int:
    """The most memory held since reset_peak(); on a CPU that of the process since its start."""
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

"""What an edit takes on its device and in RAM, to choose checkpoints and the storage of its K/V by."""

from __future__ import annotations

import logging
import math
from typing import Any, cast

import torch
from torch import nn

from ..trajectory.kvplan import MOST, PINNED, KVPlan, KVSize, amount, plan_kv
from ..trajectory.kvstore import KVStore
from ..types import Backbone, DragError, FeatureTap, Grid
from .activations import joint_bytes
from .diffusers_flux import DiffusersFlux
from .diffusers_unet import DiffusersUNet, has_added

Ours = DiffusersFlux | DiffusersUNet
# KiB kept per latent cell by SD1.5 and SDXL in 16 bit up to each tap, without and with checkpoints; counted
# on the meta device
UNET = {"up.0": (71, 47), "up.1": (91, 49), "up.2": (128, 51), "up.3": (194, 80)}
UNET_XL = {"up.0": (252, 110), "up.1": (307, 115), "up.2": (323, 117)}


def free_ram() -> tuple[int, int]:
    """Counts the bytes of RAM that are free, and all."""
    import psutil

    memory = psutil.virtual_memory()
    return int(memory.available), int(memory.total)


def free_on(device: torch.device) -> int | None:
    """Counts the bytes free on `device`, PyTorch's own unused ones among them; None where nothing says."""
    if device.type == "cpu":
        return free_ram()[0]
    if device.type != "cuda":
        return None
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + unused


def check_weights(net: Any, device: torch.device, name: str) -> None:
    """Refuses a network that a card is too small for, before it is moved there."""
    size = sum(p.numel() * p.element_size() for p in net.parameters())
    free = free_on(device) if device.type != "cpu" else None
    if free is not None and size > free:
        raise DragError(
            f"the weights of {name} take {amount(size)} in {str(net.dtype).removeprefix('torch.')} and "
            f"{amount(free)} are free on {device}: add --offload"
        )


def activation_bytes(
    backbone: Ours, size: Grid, taps: tuple[FeatureTap, ...], whole: bool, checkpoint: bool
) -> int:
    """Estimates the bytes of one forward and backward on a latent of `size`.

    They run to the last of `taps` or, if `whole`, to the end.
    """
    net, names = backbone.net, list(backbone.blocks)
    item, cells = net.dtype.itemsize, size.height * size.width
    last = max((names.index(t.block) for t in taps if t.block in names), default=len(names) - 1)
    if isinstance(backbone, DiffusersFlux):
        token = net.inner_dim * item * (cells / 4 + backbone.text.shape[1])
        return joint_bytes(token, names[: None if whole else last + 1], checkpoint)
    table = UNET_XL if has_added(net) else UNET
    row = table.get("" if whole else names[last], max(table.values()))
    return int(row[checkpoint] * 1024 * cells * item / 2 * net.config.block_out_channels[0] / 320)


def kv_size(backbone: Ours, blocks: tuple[str, ...], size: Grid, evaluations: int, text: bool) -> KVSize:
    """Computes what K and V of `blocks` take for a latent of `size`; with `text` the prompt's where kept."""
    numbers, rows = 0, list[int]()
    for b in blocks:
        of_k, of_v = (cast(nn.Linear, m).out_features for m in backbone.projections[b])
        cells = size.height * size.width
        if isinstance(backbone, DiffusersFlux):
            tokens = cells // 4 + (backbone.first_image_token[b] if text else 0)
        else:
            tokens = math.ceil(cells / 4 ** backbone.depths[b])
        numbers += tokens * (of_k + of_v)
        rows.append(of_k)
    latent = 4 * backbone.net.config.in_channels * size.height * size.width
    return KVSize(numbers, evaluations, backbone.net.dtype.itemsize, min(rows, default=1), latent)


def kv_store(
    backbone: Backbone, blocks: tuple[str, ...], size: Grid, evaluations: int, text: bool, on: torch.device
) -> KVStore | None:
    """Chooses where the K/V of an inversion go.

    They go to RAM, as far as it is free. None: they are left where they are made. The plan is logged, and
    warned of where it costs quality or time.

    on: the device that makes them.
    """
    known = isinstance(backbone, Ours) and all(b in backbone.projections for b in blocks)
    if not blocks or not known:
        return None
    assert isinstance(backbone, Ours)
    free, total = free_ram()
    wanted = kv_size(backbone, blocks, size, evaluations, text)
    plan: KVPlan = plan_kv(wanted, int(MOST * free), int(PINNED * total) if on.type == "cuda" else 0)
    logging.getLogger(__name__).log(
        logging.INFO if plan.storage in ("pinned", "pageable") else logging.WARNING, "drag: %s", plan
    )
    return KVStore(plan.storage)


def wants_checkpoints(
    backbone: Backbone, taps: tuple[FeatureTap, ...], whole: bool, size: Grid, on: torch.device
) -> bool:
    """Tells whether a gradient pass at full speed would not fit into what is free beside the weights."""
    free = free_on(on)
    if free is None or not isinstance(backbone, Ours):
        return False
    return activation_bytes(backbone, size, taps, whole, False) > 0.9 * free  # K/V of a level, fragments

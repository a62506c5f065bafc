"""Registering host memory with the driver, so that a GPU copies from and to it at full speed."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor


def pin(x: Tensor, owner: object, device: torch.device) -> bool:
    """Registers x's memory until `owner` goes, which has to hold x that long.

    False where the driver refuses (a container's limit, memory that is pinned already, none left), with
    nothing left behind for `device`.
    """
    cudart: Any = torch.cuda.cudart()
    place = x.data_ptr()
    if int(cudart.cudaHostRegister(place, x.numel() * x.element_size(), 0)) == 0:
        # before the owner's tensors go
        weakref.finalize(owner, cudart.cudaHostUnregister, place).atexit = False
        return True
    _take_back(cudart, device)
    return False


def _take_back(cudart: Any, device: torch.device) -> None:
    """Takes back the error that a refused call leaves for this thread's next kernel, wherever that is."""
    if hasattr(cudart, "cudaGetLastError"):  # not in every PyTorch
        cudart.cudaGetLastError()
        return
    try:
        (torch.zeros(1, device=device) + 1).item()  # so this is the next kernel
    except RuntimeError:
        pass

"""Where a precision is decided here and not by whoever called."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def uncast(device: torch.device) -> AbstractContextManager[object]:
    """Context manager: torch.autocast is off for `device`, so products keep their inputs' precision."""
    if device.type == "privateuseone" or not torch.amp.is_autocast_available(device.type):  # "meta"; DirectML
        return nullcontext()
    return torch.autocast(device.type, enabled=False)

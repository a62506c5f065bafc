"""A small UNet, its self-test in a session, and a gradient that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tiny
import torch
from region_drag_editing.nodes.host.backbones import selftest
from region_drag_editing.nodes.host.backbones.selftest import self_test
from torch import Tensor

WEIGHTS = tiny.unet_weights()
WRONG = "the gradient through this model is wrong by"


def unet(weights: torch.dtype = torch.float32) -> Any:
    return tiny.load_unet(WEIGHTS, weights)


def in_half() -> Any:
    """A CPU computes in float32 unless it is told."""
    return tiny.computing_in(unet(torch.bfloat16), torch.bfloat16)


def check(patcher: Any, level: float = tiny.NOISE_T, **kw: Any) -> int:
    """How many keys a self-test in a drag's session adds: 0 where it took this model for tested."""

    def body(backbone: Any, _: Tensor) -> int:
        before = len(selftest._passed)
        self_test(backbone, level, tiny.UNET_TAPS, **kw)
        return len(selftest._passed) - before

    return int(tiny.in_session(patcher, body, tiny.UNET_TAPS))


def off_by(factor: float) -> Callable[[pytest.MonkeyPatch], None]:
    def plant(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(selftest, "checkpoint", lambda f, x, **kw: tuple(factor * m for m in f(x)))

    return plant

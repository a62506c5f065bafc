"""What the host does with a model's weights on a card too small for them, on a CPU: its own code, with fake
streams and buffers. "cpu:0", which torch holds for another device than "cpu", plays the card.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import comfy.memory_management
import comfy.model_management as mm
import comfy.ops
import comfy.pinned_memory
import comfy_aimdo.model_vbar
import comfy_aimdo.torch
import numpy as np
import pytest
import torch
from bounds import ON_CARD
from torch import nn

CARD = torch.device("cpu:0")
imitated = pytest.mark.skipif(
    ON_CARD, reason="imitates a card on a CPU: DRAG_MODE=novram and dynamic are the real thing"
)
not_dynamic = pytest.mark.skipif(
    comfy.memory_management.aimdo_enabled, reason="under dynamic VRAM nothing is pruned: run DRAG_MODE=normal"
)


@contextmanager
def small_card(room: float) -> Iterator[None]:
    """The host loads `room` bytes of a model and leaves the rest outside, patches and all."""
    with pytest.MonkeyPatch.context() as m:
        load = mm.LoadedModel.model_load

        def less(self: Any, lowvram_model_memory: float = 0, force_patch_weights: bool = False) -> Any:
            return load(self, room, force_patch_weights)

        m.setattr(mm.LoadedModel, "model_load", less)
        yield


class _Stream:
    def __enter__(self) -> None: ...
    def __exit__(self, *args: Any) -> None: ...
    def wait_stream(self, other: Any) -> None: ...
    def synchronize(self) -> None: ...


def _two_streams(m: pytest.MonkeyPatch) -> None:
    streams, turn = [_Stream(), _Stream()], [0]

    def next_one(device: Any) -> _Stream:
        turn[0] ^= 1
        return streams[turn[0]]

    m.setattr(mm, "get_offload_stream", next_one)


def _on_the_card(m: pytest.MonkeyPatch, wanted: Any) -> None:
    cast = comfy.ops.cast_bias_weight

    def to_card(s: Any, input: Any = None, dtype: Any = None, device: Any = None, **kw: Any) -> Any:
        here = CARD if device is None and input is not None and wanted(s) else device
        return cast(s, input, dtype, here, **kw)

    m.setattr(comfy.ops, "cast_bias_weight", to_card)


@contextmanager
def shared_buffers() -> Iterator[dict[Any, Any]]:
    """Async offload: every weight that is not on the card comes through one buffer per stream, and the next
    but one overwrites it. Yields these buffers.
    """
    with pytest.MonkeyPatch.context() as m:
        _two_streams(m)
        _on_the_card(m, lambda s: s.comfy_cast_weights)
        buffers: dict[Any, Any] = {}
        m.setattr(mm, "STREAM_CAST_BUFFERS", buffers)
        m.setattr(mm, "LARGEST_CASTED_WEIGHT", (None, 0))
        yield buffers


@dataclass
class Vram:
    """The card's memory under aimdo: `room` bytes stay; what is beyond them is streamed anew at each use."""

    room: float
    bytes: Any = field(default_factory=lambda: np.zeros(64 * 2**20, dtype=np.uint8))
    used: int = 0
    stayed: int = 0
    streamed: int = 0

    def alloc(self, size: int) -> tuple[Vram, int, int]:
        at, self.used = self.used, self.used + (size + 511) // 512 * 512
        return self, at, size


class _CastBuffer:
    def __init__(self) -> None:
        self.bytes = np.zeros(8 * 2**20, dtype=np.uint8)

    def size(self) -> int:
        return int(self.bytes.nbytes)

    def get(self, size: int, at: int) -> tuple[_CastBuffer, int, int]:
        return self, at, size


@contextmanager
def dynamic_vram(net: nn.Module, room: float) -> Iterator[Vram]:
    """comfy-aimdo's way with the weights of `net`: what fits is faulted in and kept, the rest streamed."""
    vram, buffers = Vram(room), {}
    marked = [
        x
        for x in net.modules()
        if hasattr(x, "comfy_cast_weights") and getattr(x, "weight", None) is not None
    ]
    with pytest.MonkeyPatch.context() as m:
        _two_streams(m)
        _on_the_card(m, lambda s: hasattr(s, "_v"))
        is_cpu = mm.is_device_cpu
        m.setattr(mm, "is_device_cpu", lambda d: d != CARD and is_cpu(d))
        m.setattr(mm, "get_aimdo_cast_buffer", lambda s, d: buffers.setdefault(id(s), _CastBuffer()))
        m.setattr(
            comfy_aimdo.torch,
            "aimdo_to_tensor",
            lambda a, device: torch.from_numpy(a[0].bytes[a[1] : a[1] + a[2]]),
        )

        def fault(a: Any) -> Any:
            if a[1] + a[2] > a[0].room:
                vram.streamed += 1
                return None
            vram.stayed += 1
            return ("page", a[1])

        m.setattr(comfy_aimdo.model_vbar, "vbar_fault", fault)
        m.setattr(comfy_aimdo.model_vbar, "vbar_signature_compare", lambda a, b: a is not None and a == b)
        m.setattr(comfy_aimdo.model_vbar, "vbar_unpin", lambda a: None)
        m.setattr(comfy.pinned_memory, "get_pin", lambda *a, **k: None)
        m.setattr(comfy.pinned_memory, "pin_memory", lambda *a, **k: None)
        try:
            for x in marked:
                size = comfy.memory_management.vram_aligned_size([x.weight, getattr(x, "bias", None)])
                x._v, x._v_signature, x.seed_key = vram.alloc(size), None, "drag"
                x._was, x.comfy_cast_weights = x.comfy_cast_weights, True
            yield vram
        finally:
            for x in marked:
                x.comfy_cast_weights = x._was
                for name in ("_v", "_v_signature", "_v_weight", "_v_bias", "seed_key", "_was"):
                    x.__dict__.pop(name, None)

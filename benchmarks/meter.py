"""Counts of what a loop does to its device: FLOPs, bytes, ops, live and saved memory, syncs. No clock.

Runs on device "meta", where a full-size model costs nothing and an answer never depends on the machine. The
device's work is counted; what runs on the CPU beside it (plans, masks) is not.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

VIEWS = set(
    "view _unsafe_view reshape permute transpose t expand slice select unsqueeze squeeze detach alias "
    "as_strided split split_with_sizes chunk unbind unflatten diagonal lift_fresh narrow view_as movedim "
    "_reshape_alias numpy_T is_same_size sym_size sym_numel sym_stride".split()
)
EMPTY = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
PADDED = {"slice_backward", "select_backward"}  # fill a whole map with zeros, then write the part
# answers that the host has to wait for
WAITS = {"_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "_unique2", "item"}


def _attention_flops(q: Any, k: Any, v: Any) -> int:
    b, heads, n, d = q
    return int(2 * b * heads * n * k[2] * (d + v[3]))


class Meter(TorchDispatchMode):
    """Counters by `phase`, a name that the caller sets."""

    def __init__(self, device: str = "meta") -> None:
        super().__init__()
        self.device, self.phase = device, ""
        self.flops: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.ops: Counter[str] = Counter()
        self.syncs: Counter[str] = Counter()
        self.uploads: Counter[str] = Counter()  # bytes from the host to the device
        self.by_op: Counter[str] = Counter()  # bytes
        self.used: set[int] = set()  # storages of weights that an op has read
        self.live = self.peak = 0
        self._sizes: dict[int, int] = {}
        self._weights: dict[int, Any] = {}

    def weights(self, *modules: nn.Module) -> None:
        """Parameters and buffers, which are not counted as live memory."""
        for m in modules:
            for x in (*m.parameters(), *m.buffers()):
                self._weights[x.untyped_storage()._cdata] = x.untyped_storage()

    def used_weight_bytes(self) -> int:
        return sum(s.nbytes() for key, s in self._weights.items() if key in self.used)

    def track(self, *tensors: Any) -> None:
        """Count what exists already as live."""
        for x in tree_leaves(tensors):
            if isinstance(x, Tensor):
                self._register(x)

    def reset_peak(self) -> None:
        self.peak = self.live

    def total(self) -> dict[str, int]:
        names = ("flops", "bytes", "ops", "syncs", "uploads")
        return {name: sum(getattr(self, name).values()) for name in names}

    def _register(self, x: Tensor) -> None:
        if x.device.type != self.device:
            return
        storage = x.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._sizes or key in self._weights:
            return
        self._sizes[key] = size
        self.live += size
        self.peak = max(self.peak, self.live)

        def dead() -> None:
            self.live -= self._sizes.pop(key)

        weakref.finalize(storage, dead)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        given = {id(x): x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        ours = [x for x in given.values() if x.device.type == self.device]
        target = kwargs.get("device")
        if ours and self.device == "meta":  # what has no answer there
            if name == "_local_scalar_dense":
                self.syncs[self.phase] += 1
                return 0.0 if ours[0].is_floating_point() else 0
            if name == "_to_copy" and target is not None and torch.device(target).type == "cpu":
                self.syncs[self.phase] += 1
                return torch.zeros(ours[0].shape, dtype=kwargs.get("dtype") or ours[0].dtype)
        out = func(*args, **kwargs)
        outs = [x for x in tree_leaves(out) if isinstance(x, Tensor) and x.device.type == self.device]
        if not ours and not outs:
            return out
        if ours and name in WAITS:
            self.syncs[self.phase] += 1
        for x in outs:
            self._register(x)
        if name in VIEWS:
            return out
        self.used.update(x.untyped_storage()._cdata for x in ours)
        from_host = [x for x in given.values() if x.device.type != self.device]
        if name in ("_to_copy", "copy_") and self.device != "cpu":
            self.uploads[self.phase] += sum(map(_size, from_host))
        self.flops[self.phase] += self._flops(func, name, args, kwargs, out)
        self.ops[self.phase] += 1
        fresh = [x for x in outs if id(x) not in given]
        moved = sum(map(_size, ours)) * (2 if name in PADDED else 1) + sum(map(_size, fresh))
        if name not in EMPTY:
            self.bytes[self.phase] += moved
            self.by_op[name] += moved
        return out

    @staticmethod
    def _flops(func: Any, name: str, args: Any, kwargs: Any, out: Any) -> int:
        packet = func._overloadpacket
        if packet in flop_registry:
            return int(flop_registry[packet](*args, **kwargs, out_val=out))
        if name == "_scaled_dot_product_flash_attention_for_cpu":
            return _attention_flops(*(x.shape for x in args[:3]))
        if name == "_scaled_dot_product_flash_attention_for_cpu_backward":
            return _attention_flops(*(x.shape for x in args[1:4])) * 5 // 2  # five products, forward two
        return 0


def _size(x: Tensor) -> int:
    """Bytes that reading x touches: an expanded tensor is read once."""
    return min(x.numel() * x.element_size(), x.untyped_storage().nbytes())


class Saved:
    """Bytes that autograd keeps for the backward pass, each storage once, weights left out."""

    def __init__(self, *modules: nn.Module) -> None:
        self.seen: dict[int, Any] = {
            x.untyped_storage()._cdata: None for m in modules for x in (*m.parameters(), *m.buffers())
        }
        self.bytes = 0
        self.hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda x: x)

    def _pack(self, x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage._cdata not in self.seen:
            self.seen[storage._cdata] = storage
            self.bytes += storage.nbytes()
        return x

    def __enter__(self) -> Saved:
        self.hooks.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.hooks.__exit__(*error)


@contextmanager
def flash() -> Iterator[None]:
    """Attention without its N x N matrix, as every GPU computes it: the CPU's flash op has a meta form."""
    own = F.scaled_dot_product_attention

    def attention(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        out: Tensor = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, dropout_p, is_causal, attn_mask=attn_mask, scale=scale
        )[0]
        return out

    F.scaled_dot_product_attention = attention
    try:
        yield
    finally:
        F.scaled_dot_product_attention = own

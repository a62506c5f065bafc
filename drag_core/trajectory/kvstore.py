"""Many evaluations' keys and values in one storage of kvplan: how they are kept and come back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor

from ..ranges import check_mode
from ..types import Backbone, DragError, KVRecord
from .kvcache import KVPlain, Pair, nearest, note_prompt, stored
from .kvplan import KVPlan, KVStorage, amount
from .packed import Packed, pack
from .pin import pin

Block = tuple["Packed | None", "Packed"]


@final
class KVStore:
    """Keeps all K/V of an inversion in RAM, in the form `storage` names.

    Write with put(); read through the reader that copy() returns.
    """

    def __init__(self, storage: KVStorage = "pageable") -> None:
        check_mode("the storage of K/V", storage, KVStorage)
        self.storage = storage  # "pinned" becomes "pageable" where the driver refuses
        self.refused = 0  # bytes that it would not pin
        self.packed: dict[float, dict[str, Block]] = {}
        self.prompt: dict[str, int] = {}
        self.latents: dict[float, Tensor] = {}
        self.wanted: tuple[tuple[str, ...], bool] = ((), False)
        self._stream: Any = None

    def put(self, t: float, block: str, k: Tensor, v: Tensor, text: int = 0) -> None:
        eight = self.storage in ("fp8", "v fp8")
        kept_v = self._keep(pack(v.detach(), eight))
        kept_k = (
            kept_v if v is k else None if self.storage == "v fp8" else self._keep(pack(k.detach(), eight))
        )
        note_prompt(self.prompt, block, text)
        self.packed.setdefault(t, {})[block] = (kept_k, kept_v)

    def note(self, t: float, z: Tensor, blocks: tuple[str, ...], text: bool) -> bool:
        if self.replays:
            self.latents[t] = z.detach().cpu().clone()
            self.wanted = (blocks, text)
        return self.replays

    @property
    def replays(self) -> bool:
        return self.storage == "recompute"

    @property
    def with_keys(self) -> bool:
        return self.storage != "v fp8"

    def _keep(self, packed: Packed) -> Packed:
        return Packed(*(self._to_host(x) for x in packed.parts))

    def _to_host(self, x: Tensor) -> Tensor:
        if x.device.type != "cuda" or self.storage != "pinned":
            return x.to("cpu", copy=True).contiguous()
        x = x.contiguous()
        out, stream = self._pinned(x), self._side(x.device)
        stream.wait_stream(torch.cuda.current_stream(x.device))
        with torch.cuda.stream(stream):
            out.copy_(x, non_blocking=True)
        x.record_stream(stream)
        return out

    def _pinned(self, like: Tensor) -> Tensor:
        """Allocates host memory that the device copies to at full speed.

        It is registered, not taken from PyTorch's pinned allocator, which rounds every size up to a power of
        two (24 MiB to 32).
        """
        out = torch.empty(like.shape, dtype=like.dtype)
        if not pin(out, self, like.device):
            self.storage, self.refused = "pageable", out.numel() * out.element_size()
            logging.warning("drag: the driver refused to pin %s; K/V are kept pageable", amount(self.refused))
        return out

    def _side(self, device: torch.device) -> Any:
        if self._stream is None:
            self._stream = torch.cuda.Stream(device)
        return self._stream

    def finish(self) -> None:
        """Waits for the copies that are under way."""
        if self._stream is not None:
            self._stream.synchronize()

    def at(self, block: str) -> list[float]:
        """The levels that `block` is stored at, maybe none."""
        if self.replays:
            return list(self.latents) if block in self.wanted[0] else []
        return [t for t, blocks in self.packed.items() if block in blocks]

    def level(self, t: float, block: str) -> float:
        return nearest(self.at(block), t, block)

    def holding(self, block: str) -> list[float]:
        return stored(self.at(block), block)

    def make_anew(self, wanted: Mapping[str, float], origin: Backbone, like: Tensor) -> None:
        pass  # the reader does

    def text(self, block: str) -> int:
        return self.prompt.get(block, 0)

    def as_kept(self, plan: KVPlan) -> KVPlan:
        """`plan` as it turned out here, where it has been carried out."""
        return replace(plan, storage=self.storage, refused=self.refused) if self.refused else plan

    def get(self, t: float, block: str, like: Tensor | None = None) -> Pair:
        return self.copy().get(t, block, like)

    def copy(self) -> KVReader:
        self.finish()
        return KVReader(self)

    @property
    def with_text(self) -> bool:
        return self.wanted[1] or any(self.prompt.values())

    @property
    def levels(self) -> tuple[float, ...]:
        return tuple(sorted(self.latents if self.replays else self.packed))

    @property
    def blocks(self) -> tuple[str, ...]:
        if self.replays:
            return self.wanted[0]
        return tuple(dict.fromkeys(b for blocks in self.packed.values() for b in blocks))

    @property
    def bytes(self) -> int:
        found = [p for blocks in self.packed.values() for kv in blocks.values() for p in kv if p is not None]
        tensors = {id(x): x for p in found for x in p.parts} | {id(z): z for z in self.latents.values()}
        return sum(x.numel() * x.element_size() for x in tensors.values())


@final
class KVReader:
    """Reads a KVStore during one drag.

    Only one level is on the device; on CUDA the next cleaner one is copied ahead. What the drag records
    itself stays there whole.
    """

    def __init__(self, store: KVStore, ahead: bool | None = None) -> None:
        self.store = store
        self.ahead = ahead
        self._own = KVPlain(store.prompt)  # what the run records
        self._here: dict[float, dict[str, Pair]] = {}
        self._coming: dict[float, _Copy] = {}

    def put(self, t: float, block: str, k: Tensor, v: Tensor, text: int = 0) -> None:
        self._own.put(t, block, k, v, text)

    def note(self, t: float, z: Tensor, blocks: tuple[str, ...], text: bool) -> bool:
        return False  # what a run records is whole

    def level(self, t: float, block: str) -> float:
        return nearest(self._at(block), t, block)

    def holding(self, block: str) -> list[float]:
        return stored(self._at(block), block)

    def _at(self, block: str) -> list[float]:
        return sorted({*self._own.at(block), *self.store.at(block)})

    def get(self, t: float, block: str, like: Tensor | None = None) -> Pair:
        level = self.level(t, block)
        if block in self._own.kv.get(level, {}):
            return self._own.get(level, block, like)
        like = torch.empty(0) if like is None else like
        here = self._here.setdefault(level, {})
        if block not in here:
            if level not in self.store.packed:
                raise DragError(
                    "these K/V are made anew at every step (kv_memory recompute), which only a drag does: "
                    "invert again with a larger K/V budget"
                )
            copy = self._coming.pop(level, None) or _Copy(self.store.packed[level], like.device)
            here.update(copy.arrived(like))
            self._forget({level})
            if like.device.type == "cuda" if self.ahead is None else self.ahead:
                self._send_for_next(level, like.device)
        return here[block]

    def _forget(self, but: set[float]) -> None:
        for level in self._here.keys() - but:
            del self._here[level]

    def _send_for_next(self, level: float, device: torch.device) -> None:
        following = max((x for x in self.store.packed if x < level), default=None)
        if following is not None and following not in self._coming:
            self._coming = {following: _Copy(self.store.packed[following], device)}

    def make_anew(self, wanted: Mapping[str, float], origin: Backbone, like: Tensor) -> None:
        """Makes K/V from the latents that the inversion had at the wanted levels (storage "recompute")."""
        blocks, text = self.store.wanted
        needed = {level for b, level in wanted.items() if b not in self._own.kv.get(level, {})}
        self._forget(needed)
        for level in needed - self._here.keys():
            made = KVPlain()
            with torch.no_grad():
                origin.predict(self.store.latents[level].to(like), level, KVRecord(made, blocks, text))
            self._here[level] = made.kv[level]
            self._own.prompt |= made.prompt

    @property
    def with_keys(self) -> bool:
        return self.store.with_keys

    @property
    def replays(self) -> bool:
        return self.store.replays

    def text(self, block: str) -> int:
        return self._own.text(block)

    @property
    def with_text(self) -> bool:
        return self._own.with_text

    def copy(self) -> KVReader:
        out = KVReader(self.store, self.ahead)
        out._own = self._own.copy()
        return out

    @property
    def levels(self) -> tuple[float, ...]:
        return tuple(sorted({*self._own.levels, *self.store.levels}))

    @property
    def blocks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.store.blocks, *self._own.blocks)))

    @property
    def bytes(self) -> int:
        return self._own.bytes


class _Copy:
    """One level's blocks on their way to the device, on a stream of their own."""

    def __init__(self, blocks: dict[str, Block], device: torch.device) -> None:
        self.stream: Any = None
        if device.type != "cuda":
            self.blocks = blocks
            return
        self.stream = torch.cuda.Stream(device)
        with torch.cuda.stream(self.stream):
            self.blocks = {
                b: (None if k is None else _sent(k, device), _sent(v, device)) for b, (k, v) in blocks.items()
            }

    def arrived(self, like: Tensor) -> dict[str, Pair]:
        """Opens the copy, as `like`; later work waits for the copies, the host does not."""
        if self.stream is not None:
            now = torch.cuda.current_stream(like.device)
            now.wait_stream(self.stream)
            for kv in self.blocks.values():
                for packed in kv:
                    for x in packed.parts if packed is not None else ():
                        x.record_stream(now)
        out = {}
        for b, (k, v) in self.blocks.items():
            opened = v.open(like)
            out[b] = (None if k is None else opened if k is v else k.open(like), opened)
        return out


def _sent(packed: Packed, device: torch.device) -> Packed:
    return Packed(*(x.to(device, non_blocking=True) for x in packed.parts))

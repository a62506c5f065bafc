"""How much memory an inversion's keys and values take, and in which storage they fit a budget.

From the fastest to the smallest: "pinned" and "pageable" keep them whole in the host's memory; "fp8" keeps a
byte an element with one factor a token and head; "v fp8" of these only V (FireFlow's way: K stays the edit's
own); "recompute" keeps the latents alone and runs the model again (FreeFlux' way, twice the calls while
denoising).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..ranges import check_mode
from ..types import DragError

KVStorage = Literal["pinned", "pageable", "fp8", "v fp8", "recompute"]
KVMemory = Literal["auto", KVStorage]  # what the user sets: one, or the first that fits
STORAGES: tuple[KVStorage, ...] = get_args(KVStorage)
MOST = 0.6  # of the free memory that K/V may take unasked
PINNED = 0.25  # of all memory that may be pinned; ComfyUI pins up to 0.4 on its own


@dataclass(frozen=True)
class KVSize:
    """What is to be kept.

    numbers: of K and V together at one evaluation.
    item: bytes of each.
    row: numbers in a row that share a factor in 8 bit.
    latent: bytes of an evaluation's latent.
    shared: one tensor is both K and V (a UNet's).
    """

    numbers: int
    evaluations: int
    item: int = 2
    row: int = 128
    latent: int = 0
    shared: bool = False

    def bytes(self, storage: KVStorage) -> int:
        """Counts the bytes in the host's memory on this storage."""
        n = self.numbers * self.evaluations
        if storage in ("pinned", "pageable"):
            return n * self.item
        if storage == "recompute":
            return self.latent * self.evaluations
        packed = n + 2 * (n // self.row)
        return packed if storage == "fp8" or self.shared else packed // 2


@dataclass(frozen=True)
class KVPlan:
    """A storage and the bytes that it takes.

    whole: bytes without a budget.
    refused: bytes at which the driver would pin no more.
    """

    storage: KVStorage
    bytes: int
    whole: int
    budget: int
    evaluations: int
    refused: int = 0

    def __str__(self) -> str:
        refused = f"; the driver refused to pin {amount(self.refused)}" if self.refused else ""
        return (
            f"K/V of {self.evaluations} evaluations: {amount(self.whole)} whole; kept {self.storage} in "
            f"{amount(self.bytes)}, budget {amount(self.budget)}{refused}"
        )


def amount(count: int) -> str:
    """Writes bytes for people."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**29 else f"{count / 2**20:.1f} MiB"


def plan_kv(size: KVSize, budget: int, can_pin: int = 0, storage: KVMemory = "auto") -> KVPlan:
    """Chooses the first storage of the ladder that fits into `budget` bytes, or the one that is asked for.

    can_pin: bytes up to which K/V are pinned.
    """
    check_mode("kv_memory", storage, KVMemory)
    rooms: dict[KVStorage, int] = {"pinned": min(can_pin, budget)}
    fitting = [r for r in STORAGES if size.bytes(r) <= rooms.get(r, budget)]
    if storage == "pinned" and size.bytes(storage) <= budget:
        fitting.append(storage)  # asked for: more than what is pinned unasked
    if not fitting or (storage != "auto" and storage not in fitting):
        least: KVStorage = "recompute" if storage == "auto" else storage
        raise DragError(
            f"K/V kept {least} take {amount(size.bytes(least))} and the budget is {amount(budget)}: raise "
            "the budget, set kv_memory to auto, or name fewer layers"
        )
    chosen: KVStorage = fitting[0] if storage == "auto" else storage
    return KVPlan(chosen, size.bytes(chosen), size.bytes("pageable"), budget, size.evaluations)

"""How much memory an inversion's keys and values take, and on which rung of the ladder they fit a budget.

From the fastest to the smallest: "pinned" and "pageable" keep them whole in the host's memory; "fp8" keeps a
byte an element with one factor a token and head; "v fp8" of these only V (FireFlow's way: K stays the edit's
own); "recompute" keeps the latents alone and runs the model again (FreeFlux' way, twice the calls while
denoising).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..types import DragError

RUNGS = ("pinned", "pageable", "fp8", "v fp8", "recompute")
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

    def bytes(self, rung: str) -> int:
        """Counts the bytes in the host's memory on this rung."""
        n = self.numbers * self.evaluations
        if rung in ("pinned", "pageable"):
            return n * self.item
        if rung == "recompute":
            return self.latent * self.evaluations
        packed = n + 2 * (n // self.row)
        return packed if rung == "fp8" or self.shared else packed // 2


@dataclass(frozen=True)
class KVPlan:
    """A rung and the bytes that it takes.

    whole: bytes without a budget.
    refused: bytes at which the driver would pin no more.
    """

    rung: str
    bytes: int
    whole: int
    budget: int
    evaluations: int
    refused: int = 0

    def __str__(self) -> str:
        refused = f"; the driver refused to pin {amount(self.refused)}" if self.refused else ""
        return (
            f"K/V of {self.evaluations} evaluations: {amount(self.whole)} whole; kept {self.rung} in "
            f"{amount(self.bytes)}, budget {amount(self.budget)}{refused}"
        )


def amount(count: int) -> str:
    """Writes bytes for people."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**29 else f"{count / 2**20:.1f} MiB"


def plan_kv(size: KVSize, budget: int, can_pin: int = 0, rung: str = "auto") -> KVPlan:
    """Chooses the first rung of the ladder that fits into `budget` bytes, or the one that is asked for.

    can_pin: bytes up to which K/V are pinned.
    """
    if rung != "auto" and rung not in RUNGS:
        raise DragError(f"there is no rung {rung!r} of K/V memory; there are auto, {', '.join(RUNGS)}")
    rooms = {"pinned": min(can_pin, budget)}
    fitting = [r for r in RUNGS if size.bytes(r) <= rooms.get(r, budget)]
    if rung == "pinned" and size.bytes(rung) <= budget:
        fitting.append(rung)  # asked for: more than what is pinned unasked
    if not fitting or (rung != "auto" and rung not in fitting):
        least = "recompute" if rung == "auto" else rung
        raise DragError(
            f"K/V kept {least} take {amount(size.bytes(least))} and the budget is {amount(budget)}: raise "
            "the budget, set the rung to auto, or name fewer layers"
        )
    chosen = fitting[0] if rung == "auto" else rung
    return KVPlan(chosen, size.bytes(chosen), size.bytes("pageable"), budget, size.evaluations)

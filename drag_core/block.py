"""Names of a network's blocks: "double.17", "single.3", "up.1", "mid", "attn.12"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from .errors import DragError
from .ranges import check_mode

# joint transformers' double and single blocks; a UNet's way down, middle and way up, and its self-attentions
BlockKind = Literal["double", "single", "down", "mid", "up", "attn"]


@dataclass(frozen=True)
class Block:
    """A block by its kind and its place among those of its kind; the middle of a UNet has none."""

    kind: BlockKind
    index: int | None = None

    def __post_init__(self) -> None:
        check_mode("the kind of a block", self.kind, BlockKind)
        if (self.index is None) != (self.kind == "mid") or (self.index is not None and self.index < 0):
            raise DragError(
                f"a block {self.kind} has the number {self.index}; it must be 0 or more, mid none"
            )

    @classmethod
    def parse(cls, name: str) -> Block:
        """The block called `name`; raises DragError if it is no such name."""
        kind, _, index = name.partition(".")
        for known in get_args(BlockKind):
            if name == known == "mid":
                return cls(known)
            if kind == known != "mid" and index.isascii() and index.isdecimal():
                return cls(known, int(index))
        raise DragError(
            f"{name!r} is no block; blocks are called as double.17, single.3, up.1, mid or attn.12"
        )

    def __str__(self) -> str:
        return self.kind if self.index is None else f"{self.kind}.{self.index}"

"""Keys and values that stay where they are made, and what every KVCache does alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import final

from torch import Tensor

from ..types import Backbone, DragError

Pair = tuple[Tensor | None, Tensor]  # K (None: only V is kept) and V


def check_text(stored: int, here: int) -> None:
    """Refuses prompts of two lengths where their K/V are exchanged (`stored` above 0)."""
    if stored != here:
        raise DragError(
            f"the stored K/V has {stored} prompt tokens and this prompt {here}: use prompts of one length, "
            "or keep the image's tokens only"
        )


def nearest(levels: Iterable[float], t: float, block: str) -> float:
    """The level of those that `block` is stored at which is nearest to `t`: by noise, not by call order."""
    return min(stored(levels, block), key=lambda level: abs(level - t))


def stored(levels: Iterable[float], block: str) -> list[float]:
    """The levels as a list; raises KeyError if `block` is stored at none."""
    found = list(levels)
    if not found:
        raise KeyError(f"no K/V stored for block {block!r}; record it first (KVRecord with this block)")
    return found


def note_prompt(prompt: dict[str, int], block: str, text: int) -> None:
    """Notes how many prompt tokens stand in what is stored for `block`: as many at every level."""
    check_text(prompt.setdefault(block, text), text)


def as_like(pair: Pair, like: Tensor | None) -> Pair:
    """K and V on `like`'s device in its dtype."""
    k, v = pair
    return pair if like is None else (None if k is None else k.to(like), v.to(like))


@final
class KVPlain:
    """A KVCache whose tensors stay where they are made. `prompt`: the prompt's tokens by block."""

    replays = False
    with_keys = True

    def __init__(self, prompt: Mapping[str, int] | None = None) -> None:
        self.kv: dict[float, dict[str, Pair]] = {}
        self.prompt: dict[str, int] = dict(prompt or {})

    def put(self, t: float, block: str, k: Tensor, v: Tensor, text: int = 0) -> None:
        kept = k.detach()
        note_prompt(self.prompt, block, text)
        self.kv.setdefault(t, {})[block] = (kept, kept if v is k else v.detach())

    def note(self, t: float, z: Tensor, blocks: tuple[str, ...], text: bool) -> bool:
        return False

    def get(self, t: float, block: str, like: Tensor | None = None) -> Pair:
        return as_like(self.kv[self.level(t, block)][block], like)

    def level(self, t: float, block: str) -> float:
        return nearest(self.at(block), t, block)

    def holding(self, block: str) -> list[float]:
        return stored(self.at(block), block)

    def at(self, block: str) -> list[float]:
        """The levels that `block` is stored at, maybe none."""
        return [level for level, blocks in self.kv.items() if block in blocks]

    def make_anew(self, wanted: Mapping[str, float], origin: Backbone, like: Tensor) -> None:
        pass  # all is kept

    def text(self, block: str) -> int:
        return self.prompt.get(block, 0)

    @property
    def with_text(self) -> bool:
        return any(self.prompt.values())

    def copy(self) -> KVPlain:
        out = KVPlain(self.prompt)
        out.kv = {t: dict(blocks) for t, blocks in self.kv.items()}
        return out

    @property
    def levels(self) -> tuple[float, ...]:
        return tuple(sorted(self.kv))

    @property
    def blocks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(b for blocks in self.kv.values() for b in blocks))

    @property
    def bytes(self) -> int:
        found = {id(x): x for blocks in self.kv.values() for pair in blocks.values() for x in pair}
        return sum(x.numel() * x.element_size() for x in found.values() if x is not None)

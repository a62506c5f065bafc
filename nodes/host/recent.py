"""What was last made of a model.

It is kept beside the host's own cache, so that a changed setting elsewhere in the graph does not cost it
again.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """The last `kept` things by key.

    Each belongs to one MODEL object, which it does not keep alive.
    """

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self.made: OrderedDict[str, tuple[weakref.ref[Any], T]] = OrderedDict()

    def get(self, key: str, patcher: Any) -> T | None:
        if key not in self.made or self.made[key][0]() is not patcher:
            return None
        self.made.move_to_end(key)
        return self.made[key][1]

    def put(self, key: str, patcher: Any, thing: T) -> T:
        self.made[key] = (weakref.ref(patcher), thing)
        while len(self.made) > self.kept:
            self.made.popitem(last=False)
        return thing

    def clear(self) -> None:
        self.made.clear()

    def __len__(self) -> int:
        return len(self.made)

"""Reading features, stopping early and exchanging K/V by forward hooks that are always taken off again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from ..types import KV, DragError, KVRecord

Read = Callable[[Any], Tensor]


class _Stop(Exception):
    """Raised by the hook of the last tap: nothing after it runs."""


@contextmanager
def tapped(points: list[tuple[nn.Module, Read]], stop: bool) -> Iterator[list[Tensor]]:
    """Collect `read(output)` of each module, in the order given; with `stop` the forward ends once all are
    there.
    """
    found: dict[int, Tensor] = {}
    maps: list[Tensor] = []
    handles = []
    for k, (module, read) in enumerate(points):

        def hook(_: nn.Module, __: Any, output: Any, k: int = k, read: Read = read) -> None:
            found[k] = read(output)
            if stop and len(found) == len(points):
                raise _Stop

        handles.append(module.register_forward_hook(hook))
    try:
        yield maps
    except _Stop:
        pass
    finally:
        for handle in handles:
            handle.remove()
        maps.extend(found[k] for k in sorted(found))


@contextmanager
def exchanging(
    kv: KV, t: float, projections: Mapping[str, tuple[nn.Module, nn.Module]], tokens: Mapping[str, int]
) -> Iterator[None]:
    """Record or replace the outputs of (to_k, to_v) of the blocks that `kv` names, image tokens only.

    `tokens[block]` is where the image tokens start. Norm and RoPE come later and act per token, so this
    equals doing it after them.
    """
    handles = []
    half: dict[str, Tensor] = {}  # K of a block until its V comes
    for block in kv.blocks if kv is not None else ():
        if block not in projections:
            raise DragError(f"K/V block {block!r} is not in this model; it has {', '.join(projections)}")
        for which, module in enumerate(projections[block]):

            def hook(
                _: nn.Module, __: Any, out: Tensor, block: str = block, which: int = which
            ) -> Tensor | None:
                assert kv is not None
                first = tokens.get(block, 0)
                if isinstance(kv, KVRecord):
                    if which == 0:
                        half[block] = out[:, first:]
                    else:
                        kv.cache.put(t, block, half.pop(block), out[:, first:])
                    return None
                stored = kv.cache.get(t, block)[which].to(out)
                replaced = out.clone()
                replaced[:, first:] = stored
                return replaced

            handles.append(module.register_forward_hook(hook))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def missing_tap(block: str, known: list[str]) -> DragError:
    return DragError(f"feature tap {block!r} is not in this model; it has {', '.join(known)}")

"""Ways to run a denoiser's blocks in less memory.

Blocks can run again in backward instead of keeping what they computed, and their weights can lie in RAM and
come to the device only while they run.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from .hooks import replaced

Around = Callable[[], AbstractContextManager[Any]]


def both(m: nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    """Its own parameters and buffers."""
    return m._parameters, m._buffers


@contextmanager
def brought(
    module: nn.Module,
    device: torch.device,
    dtype: torch.dtype | None = None,
    but: Container[nn.Module] = (),
) -> Iterator[None]:
    """Context manager: while open, the weights of `module` are copies on `device`.

    dtype: of the floating ones (None: their own).
    but: modules that keep their weights where they are.
    Afterwards `module` has its own weights again, which were never touched.

    A weight that learns (a LoRA's) gets its gradient through the copy. What autograd has saved of a copy
    lives on until its backward: inside a checkpoint that is until the block's own.
    """
    kept: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for m in module.modules():
            if m in but:
                continue
            for own in both(m):
                for name, x in own.items():
                    if x is None:
                        continue
                    copy = x.to(device, dtype if x.is_floating_point() else None)
                    if copy is not x:
                        kept.append((own, name, x))
                        own[name] = copy  # of an existing key: the dict may be walked meanwhile
        yield
    finally:
        for own, name, x in kept:
            own[name] = x


@contextmanager
def each(
    blocks: Iterable[nn.Module],
    around: Around,
    again: bool = False,
    device: torch.device | None = None,
    but: Container[nn.Module] = (),
) -> Iterator[None]:
    """Context manager: the blocks run inside `around()`, which is opened once for all of them.

    again: each is a checkpoint with an `around()` of its own, since the second run, in backward, comes when
        nothing else is open.
    device: each one's weights are brought there while it runs, `but` as in brought().
    """

    def run_on(m: nn.Module, own: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            here = nullcontext() if device is None else brought(m, device, None, but)
            with around() if again else nullcontext(), here:
                return own(*args, **kwargs)

        if not again:
            return run
        return lambda *args, **kwargs: checkpoint(
            run, *args, use_reentrant=False, preserve_rng_state=False, **kwargs
        )

    changed = {m: run_on(m, m.forward) for m in blocks} if again or device is not None else {}
    with nullcontext() if again else around(), replaced(changed):
        yield


def rest_to(net: nn.Module, blocks: Iterable[nn.Module], device: str) -> None:
    """Moves everything of `net` but its `blocks` to `device`, for good."""
    stay = {m for b in blocks for m in b.modules()}
    for m in net.modules():
        if m in stay:
            continue
        for name, p in m._parameters.items():
            if p is not None:
                m._parameters[name] = nn.Parameter(p.to(device), requires_grad=p.requires_grad)
        for name, x in m._buffers.items():
            m._buffers[name] = None if x is None else x.to(device)

"""Reading features, stopping early and exchanging K/V by forward hooks that are always taken off again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..trajectory.kvcache import check_text
from ..types import KV, DragError, KVInject, KVRecord

Read = Callable[[Any], Tensor]


class _Stop(Exception):
    """The signal that the hook of the last tap raises: nothing after it runs."""


@contextmanager
def tapped(points: list[tuple[nn.Module, Read]], stop: bool) -> Iterator[list[Tensor]]:
    """Context manager: collects `read(output)` of each module, in the order given.

    stop: the forward ends once all are there.
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
def replaced(forwards: Mapping[nn.Module, Callable[..., Any]]) -> Iterator[None]:
    """Context manager: modules compute what `forwards` says, and afterwards what they did before."""
    before = {m: m.__dict__.get("forward") for m in forwards}
    try:
        for m, forward in forwards.items():
            m.forward = forward  # type: ignore[method-assign,unused-ignore]
        yield
    finally:
        for m, own in before.items():
            m.__dict__.pop("forward", None)
            if own is not None:
                m.__dict__["forward"] = own


def memoised(modules: Iterable[nn.Module], answers: dict[nn.Module, Tensor]) -> AbstractContextManager[None]:
    """Context manager: each module in `modules` runs once, later calls return the stored output.

    The outputs are kept in `answers`. For layers whose input does not change within a level.
    """

    def once(m: nn.Module, own: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def forward(*args: Any, **kwargs: Any) -> Tensor:
            if m not in answers:
                answers[m] = own(*args, **kwargs).detach()
            return answers[m]

        return forward

    return replaced({m: once(m, m.forward) for m in modules})


@contextmanager
def exchanging(
    kv: KV, t: float, projections: Mapping[str, tuple[nn.Module, nn.Module]], tokens: Mapping[str, int]
) -> Iterator[None]:
    """Context manager: records or replaces the outputs of (to_k, to_v) of the blocks that `kv` names.

    tokens: by block, where the image tokens start. The prompt's are left alone unless they are wanted too.

    Norm and RoPE come later and act per token, so this equals doing it after them. What is replaced whole is
    not computed.
    """
    handles = []
    half: dict[str, Tensor] = {}  # K of a block until its V comes
    forwards: dict[nn.Module, Callable[..., Any]] = {}
    for block in kv.blocks if kv is not None else ():
        if block not in projections:
            raise DragError(f"K/V block {block!r} is not in this model; it has {', '.join(projections)}")
        first = tokens.get(block, 0)
        for which, module in enumerate(projections[block]):
            if isinstance(kv, KVInject):
                forwards[module] = _stored(kv, t, block, which, first, module.forward)
            elif kv is not None:
                handles.append(module.register_forward_hook(_recording(kv, t, block, which, first, half)))
    try:
        with replaced(forwards):
            yield
    finally:
        for handle in handles:
            handle.remove()


def _recording(
    kv: KVRecord, t: float, block: str, which: int, first: int, half: dict[str, Tensor]
) -> Callable[[nn.Module, Any, Tensor], None]:
    text = first if kv.text else 0

    def hook(_: nn.Module, __: Any, out: Tensor) -> None:
        kept = out[:, first - text :]
        if which == 0:
            half[block] = kept
        else:
            kv.cache.put(t, block, half.pop(block), kept, text)

    return hook


def _stored(
    kv: KVInject, t: float, block: str, which: int, first: int, own: Callable[..., Tensor]
) -> Callable[..., Tensor]:
    def forward(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        kept = kv.cache.get(t, block, x)[which]
        if kept is None:  # only V is stored
            return own(x, *args, **kwargs)
        text = kv.cache.text(block)
        start = first - text if text else first
        check_tokens(text, first, kept.shape[1] - text, x.shape[1] - first)
        if kv.where is not None:
            own_all = own(x, *args, **kwargs)
            mixed = mixed_tokens(kv.where, kept[:, text:], own_all[:, first:])
            return torch.cat([own_all[:, :start], *([kept[:, :text]] if text else []), mixed], 1)
        return torch.cat([own(x[:, :start], *args, **kwargs), kept], 1) if start else kept

    return forward


def mixed_tokens(where: Tensor, stored: Tensor, own: Tensor) -> Tensor:
    """Takes `stored` where more than half of a token's cells are set in `where`, `own` elsewhere.

    where: (1, 1, h, w) in cells of the latent. stored, own: (..., tokens, channels), row by row of the
    picture; a token covers one cell, or a square of cells (a UNet's lower levels, a transformer's patches).
    """
    (h, w), count = where.shape[-2:], own.shape[-2]
    side = max(1, round(math.sqrt(h * w / count)))
    share = F.avg_pool2d(where.float(), side, ceil_mode=True, count_include_pad=False)
    if share.numel() != count:
        raise DragError(
            f"the mask of where K/V are injected has {w}x{h} cells, which do not divide into the {count} "
            "tokens of a block: make the mask for this picture's size"
        )
    return torch.where(share.reshape(-1, 1).to(own.device) > 0.5, stored, own)


def check_tokens(text: int, text_here: int, image: int, image_here: int) -> None:
    """Refuses stored K/V of another picture size, or of a prompt of another length where it is exchanged."""
    if text:
        check_text(text, text_here)
    if image != image_here:
        raise DragError(
            f"the stored K/V has {image} image tokens and this latent {image_here}: use the size of the "
            "picture that was inverted"
        )


def missing_tap(block: str, known: list[str]) -> DragError:
    return DragError(f"feature tap {block!r} is not in this model; it has {', '.join(known)}")

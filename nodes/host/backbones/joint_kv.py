"""K/V of the host's joint transformers, recorded or replaced where a block calls its attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ....drag_core.backends.hooks import check_tokens, mixed_tokens
from ....drag_core.block import Block
from ....drag_core.types import KV, KVRecord


def host_key(name: str) -> tuple[str, int]:
    """Turns "double.3" into ("double_block", 3), the host's key of patches_replace["dit"]."""
    block = Block.parse(name)
    assert block.index is not None
    return f"{block.kind}_block", block.index


def exchange(
    kv: KV, name: str, t: float, k: Tensor, v: Tensor, first: int, tokens: int | None, text: int = 0
) -> tuple[Tensor, Tensor] | None:
    """Records K and V of the image tokens under `name`, or returns both with the stored ones in their place.

    k, v: (b, heads, tokens, d).
    first: where the image tokens start.
    tokens: how many they are (None: all to the end). A reference picture's come after them.
    text: how many of the prompt's before them are recorded, if kv wants them.
    """
    room = k.shape[2] - first
    if isinstance(kv, KVRecord):
        here = slice(first - (text if kv.text else 0), first + (room if tokens is None else tokens))
        kept = [x[:, :, here].contiguous() for x in (k, v)]
        kv.cache.put(t, name, kept[0], kept[1], text if kv.text else 0)
        return None
    assert kv is not None
    stored = kv.cache.get(t, name, v)
    text = kv.cache.text(name)
    image = stored[1].shape[2] - text
    check_tokens(text, first, image, min(image, room) if tokens is None else tokens)
    out = []
    for own, new in zip((k, v), stored, strict=True):
        if new is not None:  # else only V is stored
            own = own.clone()
            if kv.where is None:
                own[:, :, first - text : first + image] = new
            else:
                mine = own[:, :, first : first + image]
                own[:, :, first : first + image] = mixed_tokens(kv.where, new[:, :, text:].to(own), mine)
                own[:, :, first - text : first] = new[:, :, :text]
        out.append(own)
    return out[0], out[1]


def kv_patch(
    kv: KV, t: Callable[[dict[str, Any]], float], hits: set[str] | None = None
) -> Callable[..., Any]:
    """Makes an attn1_patch of the host's blocks: records or replaces K and V of the image tokens.

    t: gives the core's level from the block's options.
    hits: collects the blocks that were reached.
    It acts after the norm and before RoPE, which act per token: the same as exchanging the projections'
    outputs.
    """
    wanted = set(kv.blocks) if kv is not None else set()

    def patch(q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any], **kw: Any) -> dict[str, Tensor]:
        name = f"{extra_options['block_type']}.{extra_options['block_index']}"
        if name not in wanted:
            return {}
        if hits is not None:
            hits.add(name)
        first = extra_options["img_slice"][0]
        text = first if kv is not None and extra_options["block_type"] == "single" else 0
        tokens = extra_options.get("drag_tokens")
        new = exchange(kv, name, t(extra_options), k, v, first, tokens, text)
        return {} if new is None else {"k": new[0], "v": new[1]}

    return patch


def kv_blocks(
    kv: KV,
    t: Callable[[dict[str, Any]], float],
    others: dict[Any, Any],
    hits: set[str] | None = None,
) -> dict[tuple[str, int], Callable[..., Any]]:
    """Does the same for blocks without attn1_patch, by replacements in the blocks' own attention.

    A block with a second attention, of the picture alone (SD3.5 medium), has both exchanged.

    others: what is there already, which runs inside.
    """

    def made(name: str) -> Callable[..., Any]:
        other = others.get(host_key(name))

        def replacement(args: dict[str, Any], extra: dict[str, Any]) -> Any:
            to = dict(args["transformer_options"])
            before, tokens, level = to.get("optimized_attention_override"), args["img"].shape[1], t(to)
            if hits is not None:
                hits.add(name)

            def attention(f: Any, q: Tensor, k: Tensor, v: Tensor, heads: int, *rest: Any, **kw: Any) -> Any:
                first = k.shape[1] - tokens
                k_heads, v_heads = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (k, v))
                new = exchange(kv, name if first else f"{name}.alone", level, k_heads, v_heads, first, tokens)
                if new is not None:
                    k, v = (x.transpose(1, 2).flatten(2) for x in new)
                given = (q, k, v, heads, *rest)
                return f(*given, **kw) if before is None else before(f, *given, **kw)

            to["optimized_attention_override"] = attention
            inner = {**args, "transformer_options": to}
            return extra["original_block"](inner) if other is None else other(inner, extra)

        return replacement

    return {host_key(name): made(name) for name in (kv.blocks if kv is not None else ())}

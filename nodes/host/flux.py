"""Backbone over the host's FLUX and the other joint transformers: taps, early stop, K/V exchange, per-block
checkpoints. What differs between them is in layouts.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ...drag_core.types import KV, DragError, FeatureTap, KVRecord
from . import grad
from .call import Call, StopForward, forced_attention
from .layouts import as_it_is, layout_of, patch_of


@contextmanager
def _input_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """What `module` is called with while open."""
    seen: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    try:
        yield seen
    finally:
        handle.remove()


def block_names(net: Any) -> list[str]:
    layout = layout_of(net)
    return [] if layout is None else list(layout.blocks(net))


def host_key(name: str) -> tuple[str, int]:
    """ "double.3" -> ("double_block", 3), the host's key of patches_replace["dit"]."""
    kind, index = name.split(".")
    return f"{kind}_block", int(index)


def exchange(
    kv: KV, name: str, t: float, k: Tensor, v: Tensor, first: int, tokens: int | None
) -> tuple[Tensor, Tensor] | None:
    """Records K and V (b, heads, tokens, d) of the image tokens, which start at `first`, under `name`; or
    gives both with the stored ones in their place. `tokens`: how many (None: all to the end).
    """
    if isinstance(kv, KVRecord):
        last = k.shape[2] if tokens is None else first + tokens
        kv.cache.put(t, name, k[:, :, first:last], v[:, :, first:last])
        return None
    assert kv is not None
    stored = kv.cache.get(t, name)
    last = first + stored[0].shape[2]
    if last > k.shape[2]:
        raise DragError(
            f"the stored K/V has {stored[0].shape[2]} image tokens and this latent {k.shape[2] - first}: "
            "use the size of the picture that was inverted"
        )
    out = k.clone(), v.clone()
    for here, new in zip(out, stored, strict=True):
        here[:, :, first:last] = new.to(here)
    return out


def kv_patch(
    kv: KV, t: Callable[[dict[str, Any]], float], hits: set[str] | None = None
) -> Callable[..., Any]:
    """An attn1_patch of the host's blocks: records or replaces K and V of the image tokens.

    `t` gives the core's level from the block's options; `hits` collects the blocks that were reached. After
    the norm and before RoPE, which act per token: the same as exchanging the projections' outputs.
    """
    wanted = set(kv.blocks) if kv is not None else set()

    def patch(q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any], **kw: Any) -> dict[str, Tensor]:
        name = f"{extra_options['block_type']}.{extra_options['block_index']}"
        if name not in wanted:
            return {}
        if hits is not None:
            hits.add(name)
        first = extra_options["img_slice"][0]
        new = exchange(kv, name, t(extra_options), k, v, first, extra_options.get("drag_tokens"))
        return {} if new is None else {"k": new[0], "v": new[1]}

    return patch


def kv_blocks(
    kv: KV,
    t: Callable[[dict[str, Any]], float],
    others: dict[Any, Any],
    hits: set[str] | None = None,
) -> dict[tuple[str, int], Callable[..., Any]]:
    """The same for blocks without attn1_patch: replacements that take part in the blocks' own attention.

    A block with a second attention, of the picture alone (SD3.5 medium), has both exchanged. `others`: what
    is there already, which runs inside.
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
                apart = [x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (k, v)]
                new = exchange(kv, name if first else f"{name}.alone", level, *apart, first, tokens)
                if new is not None:
                    k, v = (x.transpose(1, 2).flatten(2) for x in new)
                given = (q, k, v, heads, *rest)
                return f(*given, **kw) if before is None else before(f, *given, **kw)

            to["optimized_attention_override"] = attention
            inner = {**args, "transformer_options": to}
            return extra["original_block"](inner) if other is None else other(inner, extra)

        return replacement

    return {host_key(name): made(name) for name in (kv.blocks if kv is not None else ())}


class ComfyFlux:
    """A joint transformer of the host as a Backbone. `remember` checkpoints every block: four tenths more
    work, a sixth of the memory.
    """

    by_block = True  # checkpoints

    def __init__(self, call: Call, remember: bool = False) -> None:
        self.call, self.checkpoint = call, remember
        self.net = call.model.diffusion_model
        layout = layout_of(self.net)
        assert layout is not None
        self.layout, self.patch = layout, patch_of(self.net)
        self.modules = layout.blocks(self.net)
        self.half = call.model.get_dtype_inference() == torch.float16
        self.hits: set[str] = set()

    @property
    def blocks(self) -> list[str]:
        return list(self.modules)

    def _tokens(self, z: Tensor) -> tuple[int, int]:
        return -(-z.shape[-2] // self.patch), -(-z.shape[-1] // self.patch)

    def _changes(self, kv: KV, t: float, z: Tensor) -> dict[str, Any]:
        if kv is None:
            return {}
        if missing := [b for b in kv.blocks if b not in self.blocks]:
            raise DragError(f"K/V block {missing[0]!r} is not in this model; it has {', '.join(self.blocks)}")
        options = self.call.options["transformer_options"]
        if not self.layout.patches_kv:
            replace = {k: dict(v) for k, v in options.get("patches_replace", {}).items()}
            there = replace.get("dit", {})
            replace["dit"] = {**there, **kv_blocks(kv, lambda _: t, there, self.hits)}
            return {"patches_replace": replace}
        patches = {k: list(v) for k, v in options.get("patches", {}).items()}
        patches.setdefault("attn1_patch", []).append(kv_patch(kv, lambda _: t, self.hits))
        h, w = self._tokens(z)
        return {"patches": patches, "drag_tokens": h * w}

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        return self.call(z, t, self._changes(kv, t, z))

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        found: dict[FeatureTap, Tensor] = {}
        x, finish = grad.scaled(z) if self.half else (z, list)
        options = self.call.options["transformer_options"]
        changes = self._changes(kv, t, z) | forced_attention(options)
        there = changes.get("patches_replace", options.get("patches_replace", {}))
        replace = {k: dict(v) for k, v in there.items()}
        others = replace.get("dit", {})
        replace["dit"] = {**others, **self._blocks(z, taps, found, stop, others)}
        changes["patches_replace"] = replace
        prediction: Tensor | None = None
        try:
            prediction = self.call(x, t, changes)
        except StopForward:
            pass
        if missing := [tap for tap in taps if tap not in found]:
            raise DragError(
                f"the model never reached its block {missing[0].block}: another patch replaces its forward; "
                "connect the model before it"
            )
        maps = [found[tap].float() for tap in taps]
        out = finish(maps if prediction is None else [*maps, prediction])
        return (out, None) if prediction is None else (out[:-1], out[-1])

    def _blocks(
        self,
        z: Tensor,
        taps: tuple[FeatureTap, ...],
        found: dict[FeatureTap, Tensor],
        stop: bool,
        others: dict[Any, Any],
    ) -> dict[tuple[str, int], Callable[..., Any]]:
        """A replacement for every block up to the last tapped one: the host's own block on cloned inputs."""
        size, names = self._tokens(z), self.blocks
        for tap in taps:
            if tap.block not in names:
                raise DragError(f"feature tap {tap.block!r} is not in this model; it has {', '.join(names)}")
        last = max((names.index(tap.block) for tap in taps), default=-1)
        return {
            host_key(name): self._block(
                name, [t for t in taps if t.block == name], found, size, stop and i == last, others
            )
            for i, name in enumerate(names[: last + 1 if stop else None])
        }

    def _block(
        self,
        name: str,
        taps: list[FeatureTap],
        found: dict[FeatureTap, Tensor],
        size: tuple[int, int],
        ends: bool,
        others: dict[Any, Any],
    ) -> Callable[..., Any]:
        block, stream = self.modules[name]
        double, call = stream.kind == "double", self.layout.call
        attention_input = block.get_submodule(stream.reader)
        other = others.get(host_key(name))
        reads_input = any(tap.site == "norm1" for tap in taps)

        def replacement(args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Tensor]:
            # a snapshot: the host changes the one dict block by block, and a checkpoint runs again later
            to = dict(args["transformer_options"])
            fixed = {k: v for k, v in args.items() if k not in ("img", "txt")} | {"transformer_options": to}
            hosts = as_it_is(extra["original_block"])

            def own(a: dict[str, Any]) -> dict[str, Tensor]:
                out: dict[str, Tensor] = hosts(a) if call is None else call(block, a)
                return out

            def run(*streams: Tensor) -> tuple[Tensor, ...]:
                copies = [s.clone() for s in streams]  # the host adds its residuals in place
                given = dict(zip(("img", "txt"), copies, strict=False)) | fixed
                with _input_of(attention_input) if reads_input else nullcontext([]) as seen:
                    out = own(given) if other is None else other(given, {**extra, "original_block": own})
                return (out["img"], *([out["txt"]] if double else []), *seen[:1])

            streams = [args["img"], args["txt"]] if double else [args["img"]]
            if self.checkpoint and torch.is_grad_enabled() and args["img"].requires_grad:
                out = checkpoint(run, *streams, use_reentrant=False, preserve_rng_state=False)
            else:
                out = run(*streams)
            first = 0 if double else to["img_slice"][0]
            for tap in taps:
                tokens = (out[-1] if tap.site == "norm1" else out[0])[:, first : first + size[0] * size[1]]
                found.setdefault(tap, rearrange(tokens, "b (h w) c -> b c h w", h=size[0], w=size[1]))
            if ends:
                raise StopForward
            return {"img": out[0], "txt": out[1]} if double else {"img": out[0]}

        if other is not None:  # read by adapter.py
            replacement.around = other
            replacement.bare = self._block(name, taps, found, size, ends, {})
        return replacement

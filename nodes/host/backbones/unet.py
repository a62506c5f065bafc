"""Backbone over the host's UNet (SD1.x, SD2.x, SDXL): taps, early stop, K/V exchange."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Any

import torch
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample, Upsample
from torch import Tensor, nn

from ....drag_core.backends.graphed import Graphs
from ....drag_core.backends.hooks import mixed_tokens
from ....drag_core.backends.scaling import scaled
from ....drag_core.trajectory.kvcache import KVPlain
from ....drag_core.types import KV, DragError, FeatureTap, KVInject, KVRecord
from .call import Call, StopForward, forced_attention

Place = tuple[str, int, int]  # ("input" | "middle" | "output", block, transformer block within it)


def tap_modules(net: Any) -> dict[str, nn.Module]:
    """Maps "down.i", "mid", "up.i", as diffusers numbers them, to the module whose output is that block's.

    Each level has num_res_blocks blocks, and one more on the way up; a downsampler ends all levels but the
    last. The host walks through a block's layers itself, so the hook sits on the last layer.
    """
    counts, levels = list(net.num_res_blocks), len(net.channel_mult)
    down = list(accumulate(n + (1 if i < levels - 1 else 0) for i, n in enumerate(counts)))
    up = list(accumulate(n + 1 for n in reversed(counts)))
    out: dict[str, nn.Module] = {f"down.{i}": net.input_blocks[end][-1] for i, end in enumerate(down)}
    if net.middle_block is not None:
        out["mid"] = net.middle_block[-1]
    return out | {f"up.{i}": net.output_blocks[end - 1][-1] for i, end in enumerate(up)}


def self_attentions(net: Any) -> dict[Place, str]:
    """Maps where each self-attention sits to "attn.i".

    They are counted from the input to the output as the papers count them.
    """
    parts = [("input", i, b) for i, b in enumerate(net.input_blocks)]
    if net.middle_block is not None:
        parts.append(("middle", 0, net.middle_block))
    parts += [("output", i, b) for i, b in enumerate(net.output_blocks)]
    places = [
        (kind, i, j)
        for kind, i, block in parts
        for layer in block
        if isinstance(layer, SpatialTransformer)
        for j in range(len(layer.transformer_blocks))
    ]
    return {place: f"attn.{n}" for n, place in enumerate(places)}


def attention_sizes(net: Any, size: tuple[int, int]) -> dict[str, tuple[int, int]]:
    """Computes (cells, channels) of every self-attention on a latent (h, w)."""
    names, out = self_attentions(net), {}
    (h, w), level = size, 0

    def note(kind: str, i: int, block: Any) -> None:
        for layer in block:
            if isinstance(layer, SpatialTransformer):
                cells = -(-h // 2**level) * -(-w // 2**level)
                for j, inner in enumerate(layer.transformer_blocks):
                    out[names[kind, i, j]] = (cells, int(inner.attn1.to_q.in_features))

    for i, block in enumerate(net.input_blocks):
        note("input", i, block)
        level += any(isinstance(layer, Downsample) for layer in block)
    if net.middle_block is not None:
        note("middle", 0, net.middle_block)
    for i, block in enumerate(net.output_blocks):
        note("output", i, block)
        level -= any(isinstance(layer, Upsample) for layer in block)
    return out


def kv_patch(
    kv: KV, net: Any, t: Callable[[dict[str, Any]], float], hits: set[str] | None = None
) -> Callable[..., Any]:
    """Makes an attn1_patch of the host's UNet: records or replaces what K and V are projected from.

    That is one tensor for both, half the memory, and the same result: the projections are per token.
    """
    names = self_attentions(net)
    wanted = set(kv.blocks) if kv is not None else set()

    def patch(
        n: Tensor, context: Tensor, value: Tensor, extra: dict[str, Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        name = names.get((*extra["block"], extra.get("block_index", 0)), "")
        if name not in wanted or kv is None:
            return n, context, value
        if hits is not None:
            hits.add(name)
        if isinstance(kv, KVRecord):
            kv.cache.put(t(extra), name, n, n)
            return n, context, value
        own, stored = kv.cache.get(t(extra), name, n)
        if stored.shape[1:] != n.shape[1:]:
            raise DragError(
                f"the stored K/V of {name} has {stored.shape[1]} cells and this latent {n.shape[1]}: use the "
                "size of the picture that was inverted"
            )
        # every row of a batch (positive, negative) looks at the source
        stored = stored.expand(n.shape[0], -1, -1)
        if kv.where is not None:
            keys = context if own is None else mixed_tokens(kv.where, stored, context)
            return n, keys, mixed_tokens(kv.where, stored, value)
        return n, context if own is None else stored, stored

    return patch


class ComfyUNet:
    """The host's UNetModel as a Backbone."""

    by_block = False  # checkpoints

    def __init__(self, call: Call, checkpoint: bool = False) -> None:
        self.call, self.checkpoint = call, checkpoint
        self.origin: ComfyUNet | None = None
        self.graphs: Graphs | None = None  # of passes that record no K/V
        self.ungraphed = ""  # why there are none
        self.net = call.model.diffusion_model
        self.half = call.model.get_dtype_inference() == torch.float16
        self.taps = tap_modules(self.net)
        self.attentions = list(self_attentions(self.net).values())
        self.hits: set[str] = set()

    @property
    def blocks(self) -> list[str]:
        return list(self.taps)

    def reached(self, layers: tuple[str, ...], taps: tuple[FeatureTap, ...]) -> tuple[str, ...]:
        """Lists those of the K/V `layers` that a pass which stops at the last tap comes to."""
        ends = {self.taps[tap.block] for tap in taps if tap.block in self.taps}
        blocks = [("input", i, b) for i, b in enumerate(self.net.input_blocks)]
        if self.net.middle_block is not None:
            blocks.append(("middle", 0, self.net.middle_block))
        blocks += [("output", i, b) for i, b in enumerate(self.net.output_blocks)]
        last = max((n for n, (_, _, b) in enumerate(blocks) if ends & set(b)), default=-1)
        run = {(part, i) for part, i, _ in blocks[: last + 1]}
        there = {name for (part, i, _), name in self_attentions(self.net).items() if (part, i) in run}
        return tuple(layer for layer in layers if layer in there)

    def _changes(self, kv: KV, t: float | Tensor) -> dict[str, Any]:
        if kv is None:
            return {}
        assert not isinstance(t, Tensor)  # a level of its own for each row: in training, which has no K/V
        if missing := [b for b in kv.blocks if b not in self.attentions]:
            last = self.attentions[-1] if self.attentions else "none"
            raise DragError(f"K/V block {missing[0]!r} is not in this model; it has attn.0 to {last}")
        before = self.call.options["transformer_options"].get("patches", {})
        patches = {k: list(v) for k, v in before.items()}
        patches.setdefault("attn1_patch", []).append(kv_patch(kv, self.net, lambda _: t, self.hits))
        return {"patches": patches}

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        _, prediction = self._run(z, t, self._changes(kv, t), kv)
        assert prediction is not None
        return prediction

    def features(
        self, z: Tensor, t: float | Tensor, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        for tap in taps:
            if tap.block not in self.taps:
                raise DragError(
                    f"feature tap {tap.block!r} is not in this model; it has {', '.join(self.taps)}"
                )
            if tap.site != "out":
                raise DragError(f"feature tap site {tap.site!r} does not exist on a UNet: use 'out'")
        x, finish = scaled(z) if self.half else (z, list)
        changes = self._changes(kv, t) | forced_attention(self.call.options["transformer_options"])
        found, prediction = self._run(x, t, changes, kv, taps, stop)
        maps = [m.float() for m in found]
        out = finish(maps if prediction is None else [*maps, prediction])
        return (out, None) if prediction is None else (out[:-1], out[-1])

    def _run(
        self,
        z: Tensor,
        t: float | Tensor,
        changes: dict[str, Any],
        kv: KV,
        taps: tuple[FeatureTap, ...] = (),
        stop: bool = False,
    ) -> tuple[list[Tensor], Tensor | None]:
        """Runs the network once: what comes out at `taps`, and the prediction unless it stops there."""
        x, at, sigma = self.call.given(z, t)
        fixed = None if self.graphs is None or isinstance(t, Tensor) else self._fixed(z, t, kv, taps, stop)
        if self.graphs is None or isinstance(t, Tensor) or fixed is None:
            got = self._ask(x, at, changes, taps, stop)
        else:
            layers, stored = fixed

            def ask(x: Tensor, at: Tensor, steps: Tensor, *stored: Tensor) -> tuple[Tensor, ...]:
                cache = KVPlain()
                for layer, v in zip(layers, stored, strict=True):
                    cache.put(0.0, layer, v, v)
                with self.call.standing(steps):
                    inject = self._changes(KVInject(cache, layers) if layers else None, 0.0)
                    return self._ask(x, at, changes | inject, taps, stop)

            forced = "optimized_attention_override" in changes
            kind = (taps, stop, forced, layers)
            got = self.graphs(kind, t, ask, x, at, self.call.steps(t, at), *stored)
        if len(got) == len(taps):
            return list(got), None
        return list(got[:-1]), self.call.prediction(x, got[-1], sigma)

    def _fixed(
        self, z: Tensor, t: float, kv: KV, taps: tuple[FeatureTap, ...], stop: bool
    ) -> tuple[tuple[str, ...], tuple[Tensor, ...]] | None:
        """Collects K/V layers of a pass and what is injected there; None where a pass can't be recorded."""
        if kv is None:
            return (), ()
        if not isinstance(kv, KVInject) or kv.where is not None:
            return None
        layers = self.reached(kv.blocks, taps) if stop else kv.blocks
        like = z.new_empty(0, dtype=self.call.model.get_dtype_inference())
        pairs = [kv.cache.get(t, layer, like) for layer in layers]
        if any(k is None for k, _ in pairs):
            return None
        return layers, tuple(v for _, v in pairs)

    def _ask(
        self, x: Tensor, at: Tensor, changes: dict[str, Any], taps: tuple[FeatureTap, ...], stop: bool
    ) -> tuple[Tensor, ...]:
        """Asks the host: the maps, and unless it stops at the last of them what Call.ask() says."""
        found: dict[FeatureTap, Tensor] = {}
        handles = []
        for tap in taps:

            def hook(_: nn.Module, __: Any, output: Tensor, tap: FeatureTap = tap) -> None:
                found.setdefault(tap, output)  # an adapter at part strength evaluates twice: the first has it
                if stop and len(found) == len(taps):
                    raise StopForward

            handles.append(self.taps[tap.block].register_forward_hook(hook))
        end: tuple[Tensor, ...] = ()
        try:
            end = (self.call.ask(x, at, changes),)
        except StopForward:
            pass
        finally:
            for handle in handles:
                handle.remove()
        if missing := [tap for tap in taps if tap not in found]:
            raise DragError(
                f"the model never reached its block {missing[0].block}: another patch replaces the UNet's "
                "forward; connect the model before it"
            )
        return (*(found[tap] for tap in taps), *end)

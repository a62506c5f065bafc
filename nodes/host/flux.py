"""Backbone over the host's FLUX: taps, early stop, K/V exchange, per-block checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ...drag_core.backends.hooks import check_tokens, remembered, replaced
from ...drag_core.types import KV, DragError, FeatureTap, KVInject, KVRecord
from . import grad
from .call import Call, StopForward, forced_attention, owners_of

SESSION = f"{__package__}.session"  # its wrapper asks for memory and sees no tensor


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
    doubles = [f"double.{i}" for i in range(len(net.double_blocks))]
    return doubles + [f"single.{i}" for i in range(len(net.single_blocks))]


def modulations(block: nn.Module) -> list[nn.Module]:
    """The linear layers of a block that see only time and prompt: a third of a double block's weights."""
    parts = (getattr(block, name, None) for name in ("img_mod", "txt_mod", "modulation"))
    return [part.lin for part in parts if part is not None and hasattr(part, "lin")]


def kv_patch(
    kv: KV, t: Callable[[dict[str, Any]], float], hits: set[str] | None = None
) -> Callable[..., Any]:
    """An attn1_patch of the host's FLUX blocks: records or replaces K and V of the image tokens.

    `t` gives the core's level from the block's options; `hits` collects the blocks that were reached. After
    the norm and before RoPE, which act per token: the same as exchanging the projections' outputs.
    """
    wanted = set(kv.blocks) if kv is not None else set()

    def patch(q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any], **kw: Any) -> dict[str, Tensor]:
        name = f"{extra_options['block_type']}.{extra_options['block_index']}"
        if name not in wanted or kv is None:
            return {}
        if hits is not None:
            hits.add(name)
        first = extra_options["img_slice"][0]
        room = k.shape[2] - first
        here = extra_options.get("drag_tokens")  # a reference picture's tokens come after the picture's own
        if isinstance(kv, KVRecord):
            last = first + (room if here is None else here)
            text = first if kv.text and extra_options["block_type"] == "single" else 0
            kept = [x[:, :, first - text : last].contiguous() for x in (k, v)]
            kv.cache.put(t(extra_options), name, kept[0], kept[1], text)
            return {}
        stored = kv.cache.get(t(extra_options), name, v, kv.cleaner)
        text = kv.cache.text(name)
        image = stored[1].shape[2] - text
        check_tokens(text, first, image, min(image, room) if here is None else here)
        out = {}
        for key, own, new in (("k", k, stored[0]), ("v", v, stored[1])):
            if new is not None:
                out[key] = own.clone()
                out[key][:, :, first - text : first + image] = new
        return out

    return patch


def _only_q(qkv: nn.Module, tokens: int) -> Callable[[Tensor], Tensor]:
    """For a block whose `tokens` K and V are replaced afterwards: zeros in their place."""
    whole = qkv.forward

    def forward(x: Tensor) -> Tensor:
        if x.shape[1] != tokens or not x.requires_grad:
            out: Tensor = whole(x)
            return out
        q = grad.first_rows(qkv, x, qkv.out_features // 3)
        return torch.cat([q, q.new_zeros(*q.shape[:-1], 2 * q.shape[-1])], -1)

    return forward


class ComfyFlux:
    """The host's Flux as a Backbone. `remember` checkpoints every block: four tenths more work, a sixth of
    the memory. `origin` is the same model under the conditioning of the inversion, where a run has both.

    For features, what the level alone decides is computed once for all updates of a level, and K and V that
    are injected are not computed; not where other packs' patches might see or change them.
    """

    def __init__(self, call: Call, remember: bool = False) -> None:
        self.call, self.checkpoint = call, remember
        self.origin: ComfyFlux | None = None
        self.alone = not [o for o in owners_of(call.options["transformer_options"]) if o != SESSION]
        self.answers: dict[nn.Module, Tensor] = {}  # of the modulations, at the level of the last pass
        self._level: float | None = None
        self.net = call.model.diffusion_model
        self.half = call.model.get_dtype_inference() == torch.float16
        self.hits: set[str] = set()

    @property
    def blocks(self) -> list[str]:
        return block_names(self.net)

    def _changes(self, kv: KV, t: float, z: Tensor) -> dict[str, Any]:
        if kv is None:
            return {}
        if missing := [b for b in kv.blocks if b not in self.blocks]:
            raise DragError(f"K/V block {missing[0]!r} is not in this model; it has {', '.join(self.blocks)}")
        before = self.call.options["transformer_options"].get("patches", {})
        patches = {k: list(v) for k, v in before.items()}
        patches.setdefault("attn1_patch", []).append(kv_patch(kv, lambda _: t, self.hits))
        h, w = z.shape[-2:]
        return {"patches": patches, "drag_tokens": -(-h // 2) * -(-w // 2)}

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        return self.call(z, t, self._changes(kv, t, z))

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        found: dict[FeatureTap, Tensor] = {}
        x, finish = grad.scaled(z) if self.half else (z, list)
        options = self.call.options["transformer_options"]
        changes = self._changes(kv, t, z) | forced_attention(options)
        if self._level != t or not torch.is_grad_enabled():  # a reference pass starts anew
            self._level, self.answers = t, {}
        replace = {k: dict(v) for k, v in options.get("patches_replace", {}).items()}
        others = replace.get("dit", {})
        replace["dit"] = {**others, **self._blocks(z, taps, found, stop, others, kv)}
        changes["patches_replace"] = replace
        prediction: Tensor | None = None
        try:
            prediction = self.call(x, t, changes)
        except StopForward:
            pass
        if missing := [tap for tap in taps if tap not in found]:
            raise DragError(
                f"the model never reached its block {missing[0].block}: another patch replaces FLUX's "
                "forward; connect the model before it"
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
        kv: KV,
    ) -> dict[tuple[str, int], Callable[..., Any]]:
        """A replacement for every block up to the last tapped one: the host's own block on cloned inputs."""
        h, w = -(-z.shape[-2] // 2), -(-z.shape[-1] // 2)
        names = self.blocks
        for tap in taps:
            if tap.block not in names:
                raise DragError(f"feature tap {tap.block!r} is not in this model; it has {', '.join(names)}")
        last = max((names.index(tap.block) for tap in taps), default=-1)
        return {
            (f"{name.split('.')[0]}_block", int(name.split(".")[1])): self._block(
                name, [t for t in taps if t.block == name], found, (h, w), stop and i == last, others, kv
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
        kv: KV,
    ) -> Callable[..., Any]:
        kind, index = name.split(".")
        double = kind == "double"
        block = (self.net.double_blocks if double else self.net.single_blocks)[int(index)]
        attention_input = block.img_attn.qkv if double else block.linear1
        other = others.get((f"{kind}_block", int(index)))
        reads_input = any(tap.site == "norm1" for tap in taps)
        answers = self.answers  # this level's, also when a checkpoint runs again later
        stored = double and isinstance(kv, KVInject) and name in kv.blocks and kv.cache.with_keys
        stored = stored and grad.plain(attention_input)

        @contextmanager
        def spared() -> Iterator[None]:
            if not self.alone:
                yield
                return
            short = {attention_input: _only_q(attention_input, size[0] * size[1])} if stored else {}
            with remembered(modulations(block), answers), replaced(short):
                yield

        def replacement(args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Tensor]:
            # a snapshot: the host changes the one dict block by block, and a checkpoint runs again later
            to = dict(args["transformer_options"])
            fixed = {
                "vec": args["vec"],
                "pe": args["pe"],
                "attn_mask": args.get("attn_mask"),
                "transformer_options": to,
            }

            def own(a: dict[str, Any]) -> dict[str, Tensor]:
                # never extra["original_block"]: it is bound to the host's loop variable
                given = {k: a[k] for k in ("vec", "pe", "attn_mask", "transformer_options")}
                with spared():
                    if double:
                        img, txt = block(img=a["img"], txt=a["txt"], **given)
                        return {"img": img, "txt": txt}
                    return {"img": block(a["img"], **given)}

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
            replacement.bare = self._block(name, taps, found, size, ends, {}, kv)
        return replacement

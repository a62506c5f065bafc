"""Backbone over the host's FLUX and the other joint transformers.

Taps, early stop, K/V exchange, per-block checkpoints. What differs between the models is in layouts.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ....drag_core.backends.graphed import Graphs
from ....drag_core.backends.hooks import memoised, replaced
from ....drag_core.backends.scaling import scaled
from ....drag_core.types import KV, DragError, FeatureTap, KVInject
from . import grad
from .call import Call, StopForward, forced_attention, owners_of
from .joint_kv import host_key, kv_blocks, kv_patch
from .layouts import as_it_is, layout_of, patch_of

SESSION = (
    __name__.removesuffix("backbones.flux") + "session"
)  # its wrapper asks for memory and sees no tensor


@contextmanager
def _input_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """Context manager: holds what `module` is called with."""
    seen: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    try:
        yield seen
    finally:
        handle.remove()


Replacement = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]  # what patches_replace["dit"] holds


@dataclass(frozen=True, eq=False)
class Around:
    """A drag's replacement of a block, inside of which another pack's runs.

    run: the drag's.
    inner: the other pack's.
    bare: `run` without it, for an adapter that takes its own patches out of a call.
    """

    run: Replacement
    inner: Replacement
    bare: Replacement

    def __call__(self, args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        return self.run(args, extra)


def modulations(block: nn.Module) -> list[nn.Module]:
    """Lists the linear layers of a block that see only time and prompt.

    They are a third of a double block's weights.
    """
    parts = (getattr(block, name, None) for name in ("img_mod", "txt_mod", "modulation"))
    return [part.lin for part in parts if part is not None and hasattr(part, "lin")]


def _only_q(qkv: Any, tokens: int) -> Callable[[Tensor], Tensor]:
    """Makes a block's forward of `qkv` that gives zeros for K and V.

    tokens: how many K and V are replaced afterwards.
    qkv: one of the host's linear layers, not all of which are an nn.Linear.
    """
    whole = qkv.forward

    def forward(x: Tensor) -> Tensor:
        if x.shape[1] != tokens or not x.requires_grad:
            out: Tensor = whole(x)
            return out
        q = grad.first_rows(qkv, x, qkv.out_features // 3)
        return torch.cat([q, q.new_zeros(*q.shape[:-1], 2 * q.shape[-1])], -1)

    return forward


class ComfyFlux:
    """A joint transformer of the host as a Backbone.

    checkpoint: checkpoints every block: four tenths more work, a sixth of the memory.
    origin: the same model under the conditioning of the inversion, where a run has both.

    For features, what the level alone decides is computed once for all updates of a level, and K and V that
    are injected are not computed; not where other packs' patches might see or change them.
    """

    by_block = True  # checkpoints
    graphs: Graphs | None = None  # bound by the device, not by launches
    ungraphed = ""

    def __init__(self, call: Call, checkpoint: bool = False) -> None:
        self.call, self.checkpoint = call, checkpoint
        self.origin: ComfyFlux | None = None
        self.alone = not [o for o in owners_of(call.options["transformer_options"]) if o != SESSION]
        self.answers: dict[nn.Module, Tensor] = {}  # of the modulations, at the level of the last pass
        self._level: float | Tensor | None = None
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

    def reached(self, layers: tuple[str, ...], taps: tuple[FeatureTap, ...]) -> tuple[str, ...]:
        """Lists those of the K/V `layers` that a pass which stops at the last tap comes to."""
        return tuple(b for b in layers if b in self._up_to(taps))

    def _up_to(self, taps: tuple[FeatureTap, ...]) -> list[str]:
        """Lists the blocks up to the last tapped one."""
        names = self.blocks
        return names[: 1 + max((names.index(t.block) for t in taps if t.block in names), default=-1)]

    def _tokens(self, z: Tensor) -> tuple[int, int]:
        return -(-z.shape[-2] // self.patch), -(-z.shape[-1] // self.patch)

    def _changes(self, kv: KV, t: float | Tensor, z: Tensor) -> dict[str, Any]:
        if kv is None:
            return {}
        assert not isinstance(t, Tensor)  # a level of its own for each row: in training, which has no K/V
        if missing := [b for b in kv.blocks if b not in self.blocks]:
            raise DragError(f"K/V block {missing[0]!r} is not in this model; it has {', '.join(self.blocks)}")
        options = self.call.options["transformer_options"]
        if not self.layout.patches_kv:
            replacing = {k: dict(v) for k, v in options.get("patches_replace", {}).items()}
            there = replacing.get("dit", {})
            replacing["dit"] = {**there, **kv_blocks(kv, lambda _: t, there, self.hits)}
            return {"patches_replace": replacing}
        patches = {k: list(v) for k, v in options.get("patches", {}).items()}
        patches.setdefault("attn1_patch", []).append(kv_patch(kv, lambda _: t, self.hits))
        h, w = self._tokens(z)
        return {"patches": patches, "drag_tokens": h * w}

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        return self.call(z, t, self._changes(kv, t, z))

    def features(
        self, z: Tensor, t: float | Tensor, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        found: dict[FeatureTap, Tensor] = {}
        if stop and kv is not None:  # what is behind changes nothing, and a pruned model does not have it
            kv = replace(kv, blocks=self.reached(kv.blocks, taps))
        x, finish = scaled(z) if self.half else (z, list)
        options = self.call.options["transformer_options"]
        changes = self._changes(kv, t, z) | forced_attention(options)
        if torch.is_tensor(t) or self._level != t or not torch.is_grad_enabled():
            self._level, self.answers = t, {}  # a reference pass, or a training's, starts anew
        there = changes.get("patches_replace", options.get("patches_replace", {}))
        replacing = {k: dict(v) for k, v in there.items()}
        others = replacing.get("dit", {})
        replacing["dit"] = {**others, **self._blocks(z, taps, found, stop, others, kv)}
        changes["patches_replace"] = replacing
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
        kv: KV,
    ) -> dict[tuple[str, int], Replacement]:
        """Replaces every block up to the last tapped one by the host's own block on cloned inputs."""
        size, names = self._tokens(z), self.blocks
        for tap in taps:
            if tap.block not in names:
                raise DragError(f"feature tap {tap.block!r} is not in this model; it has {', '.join(names)}")
        run = self._up_to(taps) if stop else names
        return {
            host_key(name): self._block(
                name, [t for t in taps if t.block == name], found, size, stop and name == run[-1], others, kv
            )
            for name in run
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
    ) -> Replacement:
        block, stream = self.modules[name]
        double, call = stream.kind == "double", self.layout.call
        attention_input = block.get_submodule(stream.reader)
        other = others.get(host_key(name))
        reads_input = any(tap.site == "norm1" for tap in taps)
        answers = self.answers  # this level's, also when a checkpoint runs again later
        # with `where` the tokens elsewhere need their own
        stored = (
            double
            and isinstance(kv, KVInject)
            and kv.where is None
            and name in kv.blocks
            and kv.cache.with_keys
        )
        stored = stored and stream.reader.endswith(".qkv") and grad.plain(attention_input)

        @contextmanager
        def spared() -> Iterator[None]:
            if not self.alone:
                yield
                return
            short = {attention_input: _only_q(attention_input, size[0] * size[1])} if stored else {}
            with memoised(modulations(block), answers), replaced(short):
                yield

        def replacement(args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Tensor]:
            # a snapshot: the host changes the one dict block by block, and a checkpoint runs again later
            to = dict(args["transformer_options"])
            fixed = {k: v for k, v in args.items() if k not in ("img", "txt")} | {"transformer_options": to}
            hosts = as_it_is(extra["original_block"])

            def own(a: dict[str, Any]) -> dict[str, Tensor]:
                with spared():
                    out: dict[str, Tensor] = hosts(a) if call is None else call(block, a)
                    return out

            def run(*streams: Tensor) -> tuple[Tensor, ...]:
                copies = [s.clone() for s in streams]  # the host adds its residuals in place
                given = dict(zip(("img", "txt"), copies, strict=False)) | fixed
                reading: AbstractContextManager[list[Tensor]] = nullcontext([])
                if reads_input:
                    reading = _input_of(attention_input)
                with reading as seen:
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

        if other is None:
            return replacement
        return Around(replacement, other, self._block(name, taps, found, size, ends, {}, kv))

"""An adapter's attention in the host's FLUX: hooks that chain with everybody else's and carry gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key
from torch import Tensor

from ....drag_core.adapters.attention import Network, Strength, looked_at, token_mask
from ....drag_core.types import DragError
from ..backbones.grad import fetched
from ..whole import net_of

KEY = "drag_ip_adapter"
MIXED = "drag_adapter"  # DragAdapterInjection's


@dataclass
class _Now:
    """This call of the model: how strongly, at which level, on which of the image's tokens."""

    scale: float
    level: float
    tokens: int
    mask: Tensor | None
    reached: int = 0


class Injection:
    """Adds network's attention, times its strength, to the image's own tokens (not to those of references).

    The wrapper puts what holds for one call into that call's options; without it, so outside the range and
    at scale 0, the hooks do nothing at all.
    """

    def __init__(self, network: Network, strength: Strength, mask: Tensor | None, patcher: Any) -> None:
        self.network, self.strength, self.mask = network, strength, mask
        self.net = patcher.model.diffusion_model  # as it runs
        self.doubles = len(net_of(patcher).double_blocks)
        self.key = f"{KEY}_{id(self)}"

    def install(self, patcher: Any) -> None:
        # in the options, not on the patcher: there a wrapper makes the host load all weights again
        add_wrapper_with_key(
            WrappersMP.DIFFUSION_MODEL, KEY, self.around, patcher.model_options, is_model_options=True
        )
        if self.network.after == "attention":
            patcher.set_model_attn1_patch(self.take)
            patcher.set_model_attn1_output_patch(self.give)
            return
        others = patcher.model_options["transformer_options"].get("patches_replace", {}).get("dit", {})
        for i in range(self.doubles):
            patch = self.behind(others.get(("double_block", i)))
            patcher.set_model_patch_replace(patch, "dit", "double_block", i)

    def around(self, executor: Any, x: Tensor, *args: Any, **kw: Any) -> Any:
        options = next(a for a in (*args, *kw.values()) if isinstance(a, dict) and "sigmas" in a)
        level = float(options["sigmas"].flatten()[0])
        scale = self.strength.at(level)
        if not scale:
            return executor(x, *args, **kw)
        rows, columns = -(-x.shape[-2] // 2), -(-x.shape[-1] // 2)
        mask = None if self.mask is None else token_mask(self.mask, rows, columns).to(x)
        now = _Now(scale, level, rows * columns, mask)
        ours = {**options, self.key: now}

        def swap(a: Any) -> Any:
            return ours if a is options else a

        out = executor(x, *map(swap, args), **{k: swap(v) for k, v in kw.items()})
        if not now.reached:
            raise DragError(
                "the adapter's hooks were not reached: another patch replaces FLUX's blocks; connect the "
                "model before it"
            )
        return out

    def take(
        self, q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any], **kw: Any
    ) -> dict[str, Any]:
        """Takes, as attn1_patch, the image's queries, after their norm and before their rotation."""
        if (now := extra_options.get(self.key)) is not None:
            first = extra_options["img_slice"][0]
            extra_options[f"{self.key} q"] = q[:, :, first : first + now.tokens]
        return {}

    def give(self, attention: Tensor, extra_options: dict[str, Any]) -> Tensor:
        """Adds the result, as attn1_output_patch, before the output projection."""
        if (q := extra_options.pop(f"{self.key} q", None)) is None:
            return attention
        now, first = extra_options[self.key], extra_options["img_slice"][0]
        kind, index = extra_options["block_type"], extra_options["block_index"]
        return _added(attention, self.seen(q, kind, index, now), first)

    def behind(self, previous: Callable[..., Any] | None) -> Callable[..., Any]:
        """Makes a replacement of a double block: whatever ran there, and the adapter's share behind it."""

        def patch(args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
            def run(a: dict[str, Any]) -> dict[str, Any]:
                own: dict[str, Any] = extra["original_block"](a) if previous is None else previous(a, extra)
                return own

            to = args["transformer_options"]
            now: _Now | None = to.get(self.key)
            if now is None:
                return run(args)
            queries: list[Tensor] = []

            def take(q: Tensor, k: Tensor, v: Tensor, extra_options: Any, **kw: Any) -> dict[str, Any]:
                first = extra_options["img_slice"][0]
                queries.append(q[:, :, first : first + now.tokens])
                return {}

            patches = {**to.get("patches", {})}
            patches["attn1_patch"] = [*patches.get("attn1_patch", []), take]
            out = run({**args, "transformer_options": {**to, "patches": patches}})
            if not queries:
                return out  # reached stays 0
            share = self.seen(queries[-1], "double", to["block_index"], now)
            return {**out, "img": _added(out["img"], share, 0)}

        return patch

    def seen(self, q: Tensor, kind: str, index: int, now: _Now) -> Tensor:
        now.reached += 1
        layer = index if kind == "double" else self.doubles + index
        if self.network.raw_query:
            q = self.unweighted(q, kind, index)
        out = now.scale * looked_at(self.network, layer, q, now.level)
        return out if now.mask is None else out * now.mask

    def unweighted(self, q: Tensor, kind: str, index: int) -> Tensor:
        """Undoes the weight of the model's own norm.

        Its length is not undone, as the adapter's norm divides it out again (measured: the model's output is
        that of the query before the norm within 1e-6).
        """
        block = (self.net.double_blocks if kind == "double" else self.net.single_blocks)[index]
        norm = (block.img_attn.norm if kind == "double" else block.norm).query_norm
        with torch.no_grad(), fetched(norm, q) as (weight, _):
            scale = torch.where(weight == 0, torch.zeros_like(weight), 1 / weight)
        return q * scale


def worn_by(patcher: Any) -> bool:
    """Tells whether an adapter of ours, or another one at our strength, is on a patcher."""
    there = patcher.model_options.get("transformer_options", {}).get("wrappers", {})
    kinds = (patcher.wrappers, there)
    return any(k in (KEY, MIXED) for w in kinds for k in w.get(WrappersMP.DIFFUSION_MODEL, {}))


def _added(x: Tensor, share: Tensor, first: int) -> Tensor:
    out = x.clone()
    out[:, first : first + share.shape[1]] += share
    return out

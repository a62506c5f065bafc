"""Somebody's patched MODEL as an adapter: what was patched, and how strongly and when it acts."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from comfy.patcher_extension import WrapperExecutor, WrappersMP
from torch import Tensor

from ....drag_core.types import DragError
from ..backbones.compiler import KEY as UNCOMPILED
from ..backbones.compiler import uncompiled_sampling
from ..backbones.flux import Around
from ..backbones.layouts import layout_of
from ..whole import net_of
from .injection import MIXED


@dataclass(frozen=True)
class Found:
    """What an adapted MODEL has on top of the plain one, as names for people.

    weights: can be scaled in the weights.
    options: can be taken off within a run.
    fixed: can only be used whole.
    """

    weights: int
    options: tuple[str, ...]
    fixed: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"{self.weights} patched weights (LoRA)"] if self.weights else []
        parts += [f"hooks ({', '.join(self.options)})"] if self.options else []
        parts += [f"parts that only act as a whole ({', '.join(self.fixed)})"] if self.fixed else []
        return ", ".join(parts) or "nothing"


def _wrappers(patcher: Any) -> dict[str, dict[Any, list[Any]]]:
    out = {kind: dict(keys) for kind, keys in patcher.wrappers.items() if keys}
    for kind, keys in patcher.model_options.get("transformer_options", {}).get("wrappers", {}).items():
        out.setdefault(kind, {}).update(keys)
    return out


def compare(plain: Any, adapted: Any) -> Found:
    """Finds what `adapted` adds; both must be patchers of one loaded model."""
    if not adapted.is_clone(plain):
        raise DragError(
            "the adapted model is not made from this model: connect the same loader's MODEL to the adapter "
            "node and here"
        )
    weights = sum(len(entries) > len(plain.patches.get(k, [])) for k, entries in adapted.patches.items())
    mine, theirs = (p.model_options.get("transformer_options", {}) for p in (plain, adapted))
    options = [k for k in theirs if k not in ("wrappers", "callbacks") and theirs[k] != mine.get(k)]
    fixed = [
        k for k in adapted.object_patches if adapted.object_patches[k] is not plain.object_patches.get(k)
    ]
    fixed += [f"injection {k}" for k in adapted.injections if k not in plain.injections]
    fixed += [
        k
        for k, v in adapted.model_options.items()
        if k not in ("transformer_options", "to_load_options") and v != plain.model_options.get(k)
    ]
    before = _wrappers(plain)
    for kind, keys in _wrappers(adapted).items():
        for key, functions in keys.items():
            if key != UNCOMPILED and functions != before.get(kind, {}).get(key):
                (options if kind == WrappersMP.DIFFUSION_MODEL else fixed).append(f"{kind} wrapper {key}")
    return Found(weights, tuple(options), tuple(fixed))


def _scale_weights(plain: Any, adapted: Any, scale: float) -> Any:
    """Clones a patcher with its added weight patches at `scale` times their strength.

    This is exact, as they are linear in it.
    """
    clone = adapted.clone()
    for key, entries in clone.patches.items():
        own = {id(e) for e in plain.patches.get(key, [])}
        clone.patches[key] = [e if id(e) in own else (e[0] * scale, *e[1:]) for e in entries]
    clone.patches_uuid = uuid.uuid4()
    return clone


class _Mix:
    """off + scale·(on − off) on the network's output, within a range of sigmas: any hook's strength."""

    def __init__(self, plain: Any, adapted: Any, scale: float, sigmas: tuple[float, float]) -> None:
        self.scale, self.sigmas = scale, sigmas
        mine, theirs = (p.model_options.get("transformer_options", {}) for p in (plain, adapted))
        lists, before = theirs.get("patches", {}), mine.get("patches", {})
        self.added = {id(f) for k, fs in lists.items() for f in fs if f not in before.get(k, [])}
        replaced, kept = theirs.get("patches_replace", {}), mine.get("patches_replace", {})
        self.swapped = {
            id(f): kept.get(kind, {}).get(key)
            for kind, keys in replaced.items()
            for key, f in keys.items()
            if f is not kept.get(kind, {}).get(key)
        }
        plain_keys = ("patches", "patches_replace", "wrappers", "callbacks")
        self.others = {k: mine.get(k) for k, v in theirs.items() if k not in plain_keys and v != mine.get(k)}
        self.wrappers = [
            f for fs in _wrappers(plain).get(WrappersMP.DIFFUSION_MODEL, {}).values() for f in fs
        ]

    def _without(self, options: dict[str, Any]) -> dict[str, Any]:
        """Takes the adapter's own out of the options of this call; what a drag added for the call stays."""
        out = {k: v for k, v in options.items() if k not in self.others}
        out |= {k: v for k, v in self.others.items() if v is not None}
        lists = options.get("patches", {})
        out["patches"] = {k: [f for f in fs if id(f) not in self.added] for k, fs in lists.items()}

        def before(f: Any) -> Any:
            if isinstance(f, Around) and id(f.inner) in self.swapped:  # a drag's, with the adapter's inside
                return f.bare
            return self.swapped.get(id(f), f)

        out["patches_replace"] = {
            kind: {key: g for key, f in keys.items() if (g := before(f)) is not None}
            for kind, keys in options.get("patches_replace", {}).items()
        }
        return out

    def __call__(self, executor: Any, *args: Any, **kw: Any) -> Tensor:
        options = next(a for a in (*args, *kw.values()) if isinstance(a, dict) and "sigmas" in a)
        here = float(options["sigmas"].flatten()[0])
        scale = self.scale if self.sigmas[0] <= here <= self.sigmas[1] else 0.0
        with_adapter: Tensor | None = executor(*args, **kw) if scale else None
        if with_adapter is not None and scale == 1:
            return with_adapter
        bare = self._without(options)

        def swap(a: Any) -> Any:
            return bare if a is options else a

        off = WrapperExecutor.new_class_executor(executor.original, executor.class_obj, self.wrappers)
        without: Tensor = off.execute(*map(swap, args), **{k: swap(v) for k, v in kw.items()})
        return without if with_adapter is None else without + scale * (with_adapter - without)


def inject(plain: Any, adapted: Any, scale: float, sigmas: tuple[float, float], whole: bool) -> Any:
    """Makes a MODEL with the adapter at `scale` while sigma is within `sigmas` (`whole`: all of sampling)."""
    found = compare(plain, adapted)
    if scale == 0:
        return plain
    if scale == 1 and whole:
        return adapted
    if found.fixed:
        raise DragError(
            f"this adapter has {found.fixed[0]}, which only acts as a whole: set scale to 1 and the range to "
            "0 - 1"
        )
    if found.weights and not whole:
        raise DragError(
            "this adapter patches weights (a LoRA), which cannot change within a run: set the range to 0 - 1"
        )
    layout = layout_of(net_of(plain))
    if found.options and layout is not None and not layout.wrapped:
        raise DragError(
            f"this adapter has {found.options[0]}, whose strength ComfyUI lets nobody change in "
            f"{layout.label}: set scale to 1 and the range to 0 - 1"
        )
    out = _scale_weights(plain, adapted, scale) if found.weights else adapted.clone()
    if found.options:
        mix = _Mix(plain, adapted, scale, sigmas)
        uncompiled_sampling(out)
        there = out.wrappers.pop(WrappersMP.DIFFUSION_MODEL, {})
        out.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, MIXED, mix)
        for key, functions in there.items():  # ours first: outermost
            for function in functions:
                out.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, key, function)
    return out

"""A few tiny passes before a model's first drag.

Are its gradients right, are all hooks reached, and does it stay whole when passes stop early? Nothing tells
when a host update or another pack makes a gradient silently wrong; this does, in a fraction of a step.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import comfy.ops
import comfyui_version
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ....drag_core.trajectory.kvcache import KVPlain
from ....drag_core.types import DragError, FeatureTap, KVInject, KVRecord
from .call import owners_of
from .exact import exact
from .kernels import versions
from .layouts import layout_of

PACK = __name__.removesuffix(".nodes.host.backbones.selftest")  # the name that the host gave this pack
NOBODYS = (PACK, "torch", "comfy.ops")
SIDE, SEED = 16, 0  # latent cells; of the noise that is looked at
STEP, SLACK = 0.05, 0.03  # of the finite difference: its length, and what curvature and rounding may take
_passed: set[tuple[Any, ...]] = set()


@dataclass(frozen=True)
class Measure:
    """How far "features" or "gradient" are from `against`, relative in the 2-norm.

    bar: up to which they are right.
    """

    what: str
    against: str
    error: float
    bar: float


def self_test(
    backbone: Any,
    t: float,
    taps: tuple[FeatureTap, ...],
    kv_blocks: tuple[str, ...] = (),
    again: bool = False,
) -> None:
    """Tests a backbone and raises what is wrong.

    Runs once per model class, precision, kind of weights, set of patches, taps and K/V layers.

    A whole pass after two that stopped early must give the features of the first; the gradient of a plain
    loss with and without checkpoints must agree, be finite and not zero, and in float32 agree with a finite
    difference along itself, which finds what both share; every K/V layer must have been reached. Needs
    frozen() open.
    """
    key = (*_identity(backbone), taps, kv_blocks)
    if key in _passed and not again:
        return
    found, graphs = [], backbone.graphs
    try:
        backbone.graphs = None  # these few passes are of a size of their own
        with exact():  # the hooks and checkpoints are asked, not the card's rounding
            for m in _measures(backbone, t, taps, kv_blocks):
                if not m.error <= m.bar:  # nor is NaN right
                    raise DragError(_sentence(backbone, m))
                found.append(m)
    finally:
        backbone.graphs = graphs
    logging.info(
        "drag: self-test passed (%s): %s",
        _where(backbone),
        ", ".join(f"{m.against} {m.error:.1e} of {m.bar:.1e}" for m in found),
    )
    _passed.add(key)


def _measures(
    backbone: Any, t: float, taps: tuple[FeatureTap, ...], kv_blocks: tuple[str, ...]
) -> Iterator[Measure]:
    model = backbone.call.model
    exactly = model.get_dtype_inference() == torch.float32
    bar = 1e-4 if exactly else 2e-2
    z = torch.randn(
        1, model.latent_format.latent_channels, SIDE, SIDE, generator=torch.Generator().manual_seed(SEED)
    ).to(backbone.call.device)
    kv = _stored(backbone, z, t, taps, kv_blocks)
    again = _repeated(backbone, z, t, taps, kv)
    yield Measure("features", "passes that stopped early", again, bar)
    plain = _gradient(backbone, z, t, taps, kv, False)
    checkpointed = _gradient(backbone, z, t, taps, kv, True)
    size = float(plain.norm())
    if not torch.isfinite(plain).all() or size == 0:
        raise DragError(
            f"the gradient through this model is {'zero' if size == 0 else 'not finite'} in the self-test"
            f"{_about(backbone, _where(backbone))}: connect the model without patches, or load it in another "
            "precision"
        )
    error = float((plain - checkpointed).norm()) / size
    yield Measure("gradient", "recomputed passes", error, bar)
    if exactly:
        along = plain / size
        with torch.no_grad():
            ahead, behind = (_loss(backbone, z + h * along, t, taps, kv) for h in (STEP, -STEP))
        slope = float(ahead - behind) / (2 * STEP)
        yield Measure("gradient", "a finite difference", abs(slope / size - 1), SLACK + bar)


def _stored(
    backbone: Any, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv_blocks: tuple[str, ...]
) -> KVInject | None:
    """Records the model's own K/V at z, for injection; raises where a layer's hook was not reached."""
    if not kv_blocks:
        return None
    cache = KVPlain()
    backbone.hits.clear()
    with torch.no_grad():
        early = kv_blocks == backbone.reached(kv_blocks, taps)
        backbone.features(z, t, taps, KVRecord(cache, kv_blocks), stop=early)
    if lost := [b for b in kv_blocks if b not in backbone.hits]:
        raise DragError(
            f"the K/V hooks of {', '.join(lost)} were not reached{_about(backbone)}: connect the model "
            "before it"
        )
    return KVInject(cache, kv_blocks)


def _repeated(backbone: Any, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: Any) -> float:
    """Measures how much the maps of repeated passes differ from the first's.

    These are two passes that stop early and a whole one after them: a host that records and replays passes
    goes wrong there.
    """
    with torch.no_grad():
        passes = [backbone.features(z, t, taps, kv)[0] for _ in range(2)]
        if not _cut(backbone.net):
            passes.append(backbone.features(z, t, taps, kv, stop=False)[0])
    first = passes[0]
    if not all(torch.isfinite(m).all() for m in first):
        return 0.0  # the gradient says it better
    pairs = [pair for maps in passes[1:] for pair in zip(maps, first, strict=True)]
    changes = [(a - b).norm() / b.norm().clamp(min=1e-30) for a, b in pairs]
    return float(torch.stack(changes).max())


def _cut(net: Any) -> bool:
    """Tells whether the blocks behind the last tap were taken off (memory.pruned): no pass is whole then."""
    layout = layout_of(net)
    return layout is not None and any(isinstance(getattr(net, n, None), nn.Identity) for n in layout.end)


def _gradient(
    backbone: Any, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: Any, checkpoints: bool
) -> Tensor:
    x = z.clone().requires_grad_()
    before, by_block = backbone.checkpoint, backbone.by_block
    try:
        backbone.checkpoint = checkpoints and by_block
        if checkpoints and not by_block:

            def whole(y: Tensor) -> tuple[Tensor, ...]:
                return tuple(backbone.features(y, t, taps, kv)[0])

            maps = list(checkpoint(whole, x, use_reentrant=False, preserve_rng_state=False))
            loss = _square(maps)
        else:
            loss = _loss(backbone, x, t, taps, kv)
        (gradient,) = torch.autograd.grad(loss, x)
    finally:
        backbone.checkpoint = before
    return gradient.float()


def _loss(backbone: Any, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: Any) -> Tensor:
    return _square(backbone.features(z, t, taps, kv)[0])


def _square(maps: list[Tensor]) -> Tensor:
    return torch.stack([m.square().mean() for m in maps]).sum()


def _identity(backbone: Any) -> tuple[Any, ...]:
    """Collects what decides whether a gradient is right.

    Class, shapes, precision, how weights are kept and patched (their kind, not their numbers), and
    everybody's hooks.
    """
    model, net = backbone.call.model, backbone.call.model.diffusion_model
    patcher = model.current_patcher
    channels = (model.latent_format.latent_channels, getattr(net, "in_channels", None))
    dtypes = (model.get_dtype_inference(), model.get_dtype(), patcher.is_dynamic(), str(backbone.call.device))
    weights = frozenset(
        (f"{type(m).__module__}.{type(m).__qualname__}", str(getattr(w, "dtype", "")), type(w).__name__)
        for m in net.modules()
        if isinstance(m, comfy.ops.CastWeightBiasOp)
        for w in (getattr(m, "weight", None),)
    )
    patches = frozenset(_adapter(entry) for entries in patcher.patches.values() for entry in entries)
    objects = frozenset((name, type(o).__qualname__) for name, o in patcher.object_patches.items())
    owners = owners_of(backbone.call.options["transformer_options"])
    kind = (comfyui_version.__version__, type(model), type(net), channels, dtypes)
    return (*kind, weights, patches, objects, frozenset(map(str, patcher.injections)), owners)


def _adapter(entry: Any) -> str:
    """Names the kind of one weight patch: "diff", a class of the host's (LoRA, LoKr) or of a pack."""
    value = entry[1]
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], str):
        return value[0]
    return type(value).__name__


def _where(backbone: Any) -> str:
    dtype = str(backbone.call.model.get_dtype_inference()).removeprefix("torch.")
    return f"{dtype} on {backbone.call.device}"


def _others(backbone: Any) -> list[str]:
    """Lists the modules of all that is not ours: hooks, wrappers, object patches, other packs' layers."""
    patcher = backbone.call.model.current_patcher
    parts = [*patcher.object_patches.values()]
    parts += [m for m in backbone.net.modules() if isinstance(m, comfy.ops.CastWeightBiasOp)]
    found = {getattr(p, "__module__", type(p).__module__) for p in parts}
    found.update(owners_of(backbone.call.options["transformer_options"]))
    return sorted(o for o in found if not any(o == n or o.startswith(f"{n}.") for n in NOBODYS))


def _about(backbone: Any, *facts: str) -> str:
    """Says what a reader of a message has to know, in brackets: `facts`, and whose parts are on the model."""
    others = _others(backbone)
    told = [*facts, *([f"patches on it: {', '.join(others)}"] if others else [])]
    return f" ({'; '.join(told)})" if told else ""


def _sentence(backbone: Any, m: Measure) -> str:
    """Says what is wrong by how much, by which measure, and what to do."""
    facts = _about(backbone, f"against {m.against}", f"{m.bar:.1e} is allowed", _where(backbone))
    without = "connect the model without that, or " if _others(backbone) else ""
    said = {
        "features": f"the features of this model change by {m.error:.1e} in the self-test",
        "gradient": f"the gradient through this model is wrong by {m.error:.1e} in the self-test",
    }
    return f"{said[m.what]}{facts}: {without}report it with {versions()}"


def forget() -> None:
    """Makes every model new again, for tests."""
    _passed.clear()

"""Gradients through the host's modules without touching or saving a weight ("frozen ops").

The host's weights may be inference tensors, views of a buffer that the next layer overwrites, quantised, or
patched by a LoRA on the fly. So a linear or a convolution runs as an autograd function of our own that saves
no weight and asks the host for it again in backward; a norm runs on a copy of its input, since the host's
blocks add their residuals in place. Exact in every memory mode (tests/host/inside/test_memory_modes.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import comfy.model_management as mm
import comfy.ops
import torch
import torch.nn.functional as F
import torch.nn.grad
from torch import Tensor, nn

from ....drag_core.autocast import uncast
from ....drag_core.types import DragError
from .kernels import plain_kernels

Forward = Callable[..., Tensor]
HELD: dict[nn.Module, tuple[Tensor, Tensor | None]] = {}  # weights of held.py
NORMS = (nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)


def kept(m: nn.Module, like: Tensor) -> tuple[Tensor, Tensor | None] | None:
    """Returns weight and bias of `m` if they are held as they are used on `like`."""
    pair = HELD.get(m)
    return pair if pair is not None and pair[0].dtype == like.dtype else None


@contextmanager
def fetched(m: nn.Module, like: Tensor) -> Iterator[tuple[Any, Any]]:
    """Context manager: weight and bias of `m` as the host would use them on `like`.

    They are cast, moved and patched, and given back afterwards.
    """
    if (pair := kept(m, like)) is not None:
        yield pair
        return
    own = getattr(m, "cast_bias_weight", None)  # GGUF modules bring their own
    if own is not None:
        got = own(like)
        yield got[0], got[1]
        return
    got = comfy.ops.cast_bias_weight(m, like, offloadable=True)
    try:
        yield got[0], got[1]
    finally:
        comfy.ops.uncast_bias_weight(m, *got)


def dense(weight: Any) -> Tensor:
    out: Tensor = weight.dequantize() if hasattr(weight, "_qdata") else weight
    return out


class _Linear(torch.autograd.Function):
    """A linear layer with a gradient for its input alone.

    rows: only the first so many outputs of the layer.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, m: nn.Module, forward: Forward | None, rows: int | None) -> Tensor:
        ctx.m, ctx.rows = m, rows
        if forward is not None:
            with uncast(x.device):
                out: Tensor = forward(x.detach())  # detached: a quantised layer keeps its fast path
            return out
        with uncast(x.device), fetched(m, x) as (weight, bias):
            return F.linear(x.detach(), weight[:rows], None if bias is None else bias[:rows])

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None, None]:
        with torch.no_grad(), uncast(g.device), fetched(ctx.m, g) as (weight, _):
            out = g @ dense(weight)[: ctx.rows].to(g.dtype)
            # quantised layers may scale their input first (AWQ smoothing, which NVFP4 files bring)
            smoothing = getattr(ctx.m, "pre_quant_scale", None)
            return out if smoothing is None else out * smoothing.to(out), None, None, None


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, m: nn.Conv2d, forward: Forward) -> Tensor:
        ctx.m, ctx.shape = m, x.shape
        with uncast(x.device):
            return forward(x.detach())

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        m = ctx.m
        with torch.no_grad(), uncast(g.device), fetched(m, g) as (weight, _):
            w = dense(weight).to(g.dtype)
            out = torch.nn.grad.conv2d_input(ctx.shape, w, g, m.stride, m.padding, m.dilation, m.groups)
        return out, None, None


# torch's apply() has no annotations
_linear_op: Callable[..., Tensor] = _Linear.apply
_conv_op: Callable[..., Tensor] = _Conv.apply


def _linear(m: nn.Module, forward: Forward, x: Tensor) -> Tensor:
    # 2-D inside, a view outside: the host adds in place to the result, which a function's own view forbids
    return _linear_op(x.reshape(-1, x.shape[-1]), m, forward, None).view(*x.shape[:-1], -1)


def first_rows(m: nn.Module, x: Tensor, rows: int) -> Tensor:
    """Computes the first `rows` outputs of a linear layer that plain() says yes to.

    Has a gradient for x alone.
    """
    return _linear_op(x.reshape(-1, x.shape[-1]), m, None, rows).view(*x.shape[:-1], -1)


def plain(m: nn.Module) -> bool:
    """Tells whether a linear layer holds its weight as numbers, of which some rows can be taken."""
    weight = getattr(m, "weight", None)
    return (
        type(weight) is nn.Parameter
        and weight.is_floating_point()
        and weight.element_size() > 1
        and not hasattr(m, "cast_bias_weight")
    )


def _conv(m: nn.Module, forward: Forward, x: Tensor) -> Tensor:
    return _conv_op(x, m, forward)


def _norm(m: Any, forward: Forward, x: Tensor) -> Tensor:
    if getattr(m, "weight", None) is None:
        weight = bias = None
    elif (pair := kept(m, x)) is not None:
        weight, bias = pair
    else:
        with fetched(m, x) as (w, b):
            weight, bias = w.clone(), None if b is None else b.clone()
    x = x.clone()
    if isinstance(m, nn.GroupNorm):
        return F.group_norm(x, m.num_groups, weight, bias, m.eps)
    if isinstance(m, nn.RMSNorm):
        return F.rms_norm(x, m.normalized_shape, weight, m.eps)
    return F.layer_norm(x, m.normalized_shape, weight, bias, m.eps)


def _kind(m: nn.Module) -> Callable[[nn.Module, Forward, Tensor], Tensor] | None:
    if not isinstance(m, comfy.ops.CastWeightBiasOp) or isinstance(m, nn.Embedding):
        return None
    if hasattr(m, "in_features"):
        return _linear
    if isinstance(m, nn.Conv2d):
        return _conv
    return _norm if isinstance(m, NORMS) else None


def replaced(root: nn.Module) -> list[tuple[str, nn.Module]]:
    """Lists the modules whose forward somebody replaced on the instance (a bypass LoRA, another pack)."""
    return [(name, m) for name, m in root.named_modules() if "forward" in m.__dict__ and not _own(m)]


def _own(m: nn.Module) -> bool:
    """Returns the module's own forward, kept on the instance: so the host leaves it after a bypass LoRA."""
    f = m.__dict__["forward"]
    if m in HELD:
        return True  # ours
    return getattr(f, "__self__", None) is m and getattr(f, "__func__", None) is type(m).forward


def _alias(x: Tensor) -> Tensor:
    """Returns the same memory as a tensor that is no inference tensor."""
    out = torch.empty(0, dtype=x.dtype, device=x.device)
    return out.set_(x.untyped_storage(), x.storage_offset(), x.size(), x.stride())


@contextmanager
def _aliased(root: nn.Module) -> Iterator[None]:
    """Context manager: inference parameters that no op of the host's fetches as plain ones, and back.

    These are bare nn.Parameter.
    """
    kept: list[tuple[nn.Module, str, nn.Parameter]] = []
    try:
        for m in root.modules():
            if isinstance(m, comfy.ops.CastWeightBiasOp):
                continue
            for name, p in list(m._parameters.items()):
                if p is not None and p.is_inference() and type(p) is nn.Parameter:
                    kept.append((m, name, p))
                    m._parameters[name] = nn.Parameter(_alias(p), requires_grad=False)
        yield
    finally:
        for m, name, p in kept:
            m._parameters[name] = p


@contextmanager
def frozen(root: nn.Module) -> Iterator[None]:
    """Context manager: gradients flow through `root` to its inputs and to nothing else.

    Backward must run inside. Every module's own forward is back afterwards, whatever happened. Must be
    entered outside inference mode.
    """
    if taken := replaced(root):
        name, m = taken[0]
        owner = getattr(m.__dict__["forward"], "__module__", "?")
        raise DragError(
            f"the model's layer {name} has been replaced by {owner} (a LoRA in bypass mode, or another node "
            "pack): no exact gradient passes it; load that LoRA without bypass, or connect the model before "
            "it"
        )
    done: list[nn.Module] = []
    training = getattr(mm, "in_training", None)
    try:
        with _aliased(root), plain_kernels():
            for m in root.modules():
                kind = _kind(m)
                if kind is None:
                    continue

                def run(
                    x: Tensor, *args: Any, _m: Any = m, _f: Any = m.forward, _k: Any = kind, **kw: Any
                ) -> Any:
                    if torch.is_grad_enabled() and x.requires_grad:
                        return _k(_m, _f, x)
                    return _f(x, *args, **kw)

                m.forward = run
                done.append(m)
            if training is not None:
                mm.in_training = True  # the host's rope in plain torch: its fused one has no backward
            yield
    finally:
        if training is not None:
            mm.in_training = training
        for m in done:
            m.__dict__.pop("forward", None)

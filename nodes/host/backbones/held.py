"""A network's weights, asked of the host once and held for the length of a session.

The host casts, moves and patches a weight at every use. Where all stay on the device that is 500 calls a pass
for what is there already, and a recorded pass needs them to keep their places.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import comfy.ops
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import grad

KINDS = (nn.Linear, nn.Conv2d, nn.GroupNorm, nn.LayerNorm)
PLAIN = (Tensor, nn.Parameter)
CHANNELS_LAST = False  # convolutions on copies of their weights as cuDNN wants them; other bits


class Direct:
    """A layer's forward on the weights that are held; its own for anything else."""

    def __init__(self, m: Any, own: grad.Forward) -> None:
        self.m, self.own = m, own

    def __call__(self, x: Tensor, *args: Any, **kw: Any) -> Tensor:
        pair = grad.kept(self.m, x)
        if pair is None or args or kw:
            return self.own(x, *args, **kw)
        comfy.ops.run_every_op()  # an interrupt
        m, (weight, bias) = self.m, pair
        if isinstance(m, nn.Linear):
            return F.linear(x, weight, bias)
        if isinstance(m, nn.Conv2d):
            out: Tensor = m._conv_forward(x, weight, bias)
            return out
        if isinstance(m, nn.GroupNorm):
            return F.group_norm(x, m.num_groups, weight, bias, m.eps)
        return F.layer_norm(x, m.normalized_shape, weight, bias, m.eps)


class NotHeld(Exception):
    """What keeps the weights from being held."""


def _layers(root: nn.Module) -> Iterator[Any]:
    for m in root.modules():
        if not isinstance(m, comfy.ops.CastWeightBiasOp):
            continue
        weight = getattr(m, "weight", None)
        if weight is None:
            continue  # a norm without
        if not isinstance(m, KINDS) or hasattr(m, "cast_bias_weight") or type(weight) not in PLAIN:
            raise NotHeld(f"the weights of {type(m).__name__} are not held as plain numbers")
        if m.weight_function or m.bias_function:
            raise NotHeld("weights are patched in every pass")
        yield m


@contextmanager
def held(root: nn.Module, device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Context manager: all layers of `root` use the weights that the host has for `dtype` on `device` now.

    Copied are those of norms, and what is cast. The host can't move any meanwhile; afterwards it may, and all
    forwards are back. Raises NotHeld where some weight is not there to stay.
    """
    like = torch.empty(0, device=device, dtype=dtype)
    done: list[Any] = []
    with ExitStack() as stack:
        try:
            for m in _layers(root):
                weight, bias = stack.enter_context(grad.fetched(m, like))
                _check(m, device, weight)
                if isinstance(m, grad.NORMS):  # autograd keeps these, and takes no inference tensor
                    weight, bias = weight.clone(), None if bias is None else bias.clone()
                if CHANNELS_LAST and isinstance(m, nn.Conv2d):  # what they put out follows
                    weight = weight.contiguous(memory_format=torch.channels_last)
                grad.HELD[m] = (weight, bias)
                m.forward = Direct(m, m.forward)
                done.append(m)
            yield
        finally:
            for m in done:
                m.__dict__.pop("forward", None)
                del grad.HELD[m]


def _check(m: Any, device: torch.device, weight: Any) -> None:
    """Refuses a weight that the host has only lent until the next one is asked for."""
    if type(weight) not in PLAIN:
        raise NotHeld("weights are quantised")
    at_home = all(p is None or p.device == device for p in (m.weight, m.bias))
    if not at_home and getattr(m, "_v_signature", None) is None:  # of dynamic VRAM: its pages are there
        raise NotHeld("a part of the weights is not on the device")

"""The host's fused kernels (comfy-kitchen) as plain torch while gradients are taken: those have none."""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import comfy
import comfy.model_management as mm
import comfyui_version
import torch

from ....drag_core.types import DragError

FUSED = ("apply_rope", "rms_", "adaln")  # how the names of what models call begin
LIBRARIES = ("comfy-kitchen", "comfy-aimdo")  # both change without ComfyUI's own version


def versions() -> str:
    """Lists the versions of ComfyUI and of its libraries that are there, for messages."""
    out = [f"ComfyUI {comfyui_version.__version__}"]
    for name in LIBRARIES:
        try:
            out.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(out)


def _called_alike(fused: Any, plain: Any) -> bool:
    """Tells whether both take the same arguments; annotations differ between them already."""
    try:
        a, b = (inspect.signature(f).parameters.values() for f in (fused, plain))
    except (TypeError, ValueError):
        return False
    return [(p.name, p.kind, p.default) for p in a] == [(p.name, p.kind, p.default) for p in b]


def _kept(x: Any) -> Any:
    """Copies a weight: the host takes it back after the call, and autograd needs it in backward."""
    return x.clone() if torch.is_tensor(x) and x.ndim == 1 else x


def _keeping(plain: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(plain)
    def op(*args: Any, **kw: Any) -> Any:
        return plain(*map(_kept, args), **{k: _kept(v) for k, v in kw.items()})

    return op


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Context manager: models call the plain versions of the fused rotations and norms, under the same names.

    An op that has none, or one that is called otherwise, stays; without comfy-kitchen nothing happens.
    """
    kitchen = getattr(getattr(comfy, "quant_ops", None), "ck", None)
    eager = getattr(getattr(kitchen, "backends", None), "eager", None)
    fused = {name: f for name, f in vars(kitchen).items() if name.startswith(FUSED)} if kitchen else {}
    plain = {name: getattr(eager, name, None) for name, f in fused.items()}
    swapped = {name: f for name, f in plain.items() if f is not None and _called_alike(fused[name], f)}
    if fused and not swapped and not hasattr(mm, "in_training"):
        raise DragError(
            f"the fused kernels of this host ({versions()}) have no gradient and no plain version that this "
            "pack knows: update the pack, or drag in an older ComfyUI"
        )
    try:
        for name, f in swapped.items():
            setattr(kitchen, name, _keeping(f))
        yield
    finally:
        for name in swapped:
            setattr(kitchen, name, fused[name])

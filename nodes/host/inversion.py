"""Inverts a latent with the user's MODEL, and remembers the last inversions."""

from __future__ import annotations

import hashlib
import time
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any

import node_helpers
import psutil
import torch
from torch import Tensor

from ...drag_core.drag import Step, invert
from ...drag_core.solvers import Solver, alf, ddim, euler, fireflow
from ...drag_core.types import DragError, KVCache, Trajectory
from . import schedule as levels
from .family import family_of
from .progress import listener
from .session import Need, run

SOLVERS: dict[str, Solver] = {"ddim": ddim, "fireflow": fireflow, "alf": alf, "euler": euler}
KEPT = 2  # inversions remembered beside the host's own cache
MOST = 0.6  # of the free memory that K/V may take


@dataclass(frozen=True)
class Inversion:
    """A trajectory on the CPU, how it was made, and of which model (`base`: the host's BaseModel)."""

    trajectory: Trajectory
    solver: str
    label: str
    key: str
    seconds: float
    calls: int
    base: Any = field(compare=False)

    def moved(self, device: torch.device) -> Trajectory:
        """The trajectory on `device`, outside inference mode; the K/V stay where they are."""
        t = self.trajectory
        carry = None if t.carry is None else t.carry.to(device, copy=True)
        return replace(t, z=tuple(z.to(device, copy=True) for z in t.z), carry=carry)

    def need_model(self, patcher: Any) -> None:
        """Refuses a MODEL that is not the inverted one (patches on it may differ)."""
        if self.base() is not patcher.model:
            raise DragError(
                f"the trajectory was inverted with another {self.label} model: connect the same checkpoint "
                "to DragInvert and here"
            )


_last: OrderedDict[str, tuple[Any, Inversion]] = OrderedDict()
_used: dict[str, int] = {}


def used_before(inversion: Inversion) -> int:
    """How many drags have used this inversion before; counts this one."""
    _used[inversion.key] = _used.get(inversion.key, 0) + 1
    return _used[inversion.key] - 1


def _digest(x: Any, out: Any) -> None:
    if torch.is_tensor(x):
        out.update(str(tuple(x.shape)).encode())
        out.update(x.detach().float().cpu().contiguous().numpy().tobytes())
    elif isinstance(x, dict):
        for k in sorted(x, key=str):
            out.update(str(k).encode())
            _digest(x[k], out)
    elif isinstance(x, (list, tuple)):
        for y in x:
            _digest(y, out)
    elif isinstance(x, (str, int, float, bool, type(None))):
        out.update(repr(x).encode())
    else:
        out.update(str(id(x)).encode())  # a ControlNet, a hook: itself or nothing


def digest(x: Any) -> str:
    """What tensors, numbers and texts in lists and dicts are made of, in 16 letters."""
    out = hashlib.sha256()
    _digest(x, out)
    return out.hexdigest()[:16]


def choose_solver(name: str, kind: str) -> str:
    """The solver's name for a "velocity" or "noise" model; "auto" is fireflow or ddim."""
    if name == "auto":
        return "fireflow" if kind == "velocity" else "ddim"
    if (name == "ddim") != (kind == "noise"):
        fitting = "ddim" if kind == "noise" else "fireflow, alf or euler"
        raise DragError(f"solver {name} does not fit this model, which predicts {kind}: use {fitting}")
    return name


def choose_kv(text: str, auto: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """Layers from "none", "auto" or a list as "single.3, single.7"; unknown ones are refused."""
    word = text.strip().lower()
    if word in ("", "none"):
        return ()
    if word == "auto":
        return auto
    layers = tuple(dict.fromkeys(part.strip() for part in word.replace("\n", ",").split(",") if part.strip()))
    if unknown := [layer for layer in layers if layer not in known]:
        raise DragError(
            f"K/V layer {unknown[0]!r} is not in this model; it has {known[0]} to {known[-1]}: write a list, "
            "auto or none"
        )
    return layers


def kv_layers(patcher: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(the papers' layers, all layers) of this model whose K/V can be exchanged."""
    family = family_of(patcher.model)
    if family.name == "flux":
        return family.kv, family.blocks
    from .unet import self_attentions

    return family.kv, tuple(self_attentions(patcher.model.diffusion_model).values())


def invert_latent(
    patcher: Any,
    positive: Any,
    samples: Tensor,
    solver: str = "auto",
    steps: int = 25,
    strength: float = 0.76,
    shift: str = "auto",
    guidance: float = 1.0,
    kv: str = "none",
) -> Inversion:
    """The trajectory of a LATENT's samples (1, C, h, w) under `positive`, guidance written explicitly.

    The same picture, prompt, model object and settings give the remembered inversion.
    """
    family = family_of(patcher.model)
    sampling = levels.sampling_of(patcher)
    if family.name == "flux":
        positive = node_helpers.conditioning_set_values(positive, {"guidance": guidance})
    name = choose_solver(solver, levels.prediction_of(sampling))
    blocks = choose_kv(kv, *kv_layers(patcher))
    h, w = samples.shape[-2:]
    if h % family.multiple or w % family.multiple:
        raise DragError(
            f"the latent is {w}x{h} cells and FLUX cuts it into 2x2: use a picture whose sides are divisible "
            "by 16 (DragCrop makes one)"
        )
    plan = levels.schedule_for(sampling, steps, strength, shift, h * w // 4)
    key = digest([samples, positive, name, steps, strength, shift, guidance, list(blocks)])
    if key in _last and _last[key][0]() is patcher:
        _last.move_to_end(key)
        return _last[key][1]
    started = time.perf_counter()
    sigmas = levels.host_sigmas(plan)
    tell = listener(patcher)

    def body(backbone: Any, z0: Tensor) -> tuple[Trajectory, int]:
        cache = KVCache("cpu")

        def on_step(step: Step) -> None:
            tell(step)
            if step.done == 2 and blocks:
                _check_room(cache.bytes / step.done * step.total, blocks)

        path = invert(backbone, z0, plan, SOLVERS[name], blocks, on_step, cache)
        carry = None if path.carry is None else path.carry.cpu()
        return replace(path, z=tuple(z.cpu() for z in path.z), carry=carry), backbone.call.calls

    need = Need(sigmas=(0.0, float(sigmas[0])))
    trajectory, calls = run(patcher, positive, samples, body, need, sigmas)
    seconds = time.perf_counter() - started
    out = Inversion(trajectory, name, family.label, key, seconds, calls, weakref.ref(patcher.model))
    _last[key] = (weakref.ref(patcher), out)
    while len(_last) > KEPT:
        _last.popitem(last=False)
    return out


def _check_room(wanted: float, blocks: tuple[str, ...]) -> None:
    free = psutil.virtual_memory().available
    if wanted > MOST * free:
        raise DragError(
            f"the K/V of {len(blocks)} layers would take {wanted / 2**30:.1f} GiB and {free / 2**30:.1f} GiB "
            "are free: name fewer layers in kv_layers, or none"
        )

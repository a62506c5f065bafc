"""Inverts a latent with the user's MODEL, and remembers the last inversions."""

from __future__ import annotations

import hashlib
import logging
import time
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import node_helpers
import psutil
import torch
from torch import Tensor

from ...drag_core.ranges import check_mode
from ...drag_core.recipes.dragflow import INVERSION
from ...drag_core.step import OnStep
from ...drag_core.trajectory.finish import noise_like
from ...drag_core.trajectory.invert import invert
from ...drag_core.trajectory.kvplan import MOST, PINNED, KVMemory, KVPlan, plan_kv
from ...drag_core.trajectory.kvstore import KVStore
from ...drag_core.trajectory.noised import NOISED, noised
from ...drag_core.trajectory.solvers import Solver, alf, ddim, euler, fireflow
from ...drag_core.types import Backbone, DragError, Prediction, Schedule, Trajectory
from . import memory
from . import schedule as levels
from .family import family_in
from .progress import listener
from .recent import Recent
from .session import HostBackbone, SessionNeeds, run

SolverName = Literal["ddim", "fireflow", "alf", "euler", "noised"]
Asked = Literal["auto", SolverName]
SOLVERS: dict[SolverName, Solver] = {"ddim": ddim, "fireflow": fireflow, "alf": alf, "euler": euler}
USUAL: dict[Prediction, SolverName] = {"noise": "ddim", "velocity": "fireflow"}
KEPT = 3  # inversions remembered beside the host's own cache: of a picture, its refill, its draft
COUNTED = 256  # inversions whose uses are counted


@dataclass(frozen=True)
class Inversion:
    """A trajectory on the CPU, how it was made, and of which model (`base`: the host's BaseModel).

    `positive` is the CONDITIONING that it ran under; `plan`: how its K/V are kept.
    """

    trajectory: Trajectory
    solver: SolverName
    label: str
    key: str
    seconds: float
    calls: int
    base: Any = field(compare=False)
    positive: Any = field(default=None, compare=False, repr=False)
    plan: KVPlan | None = None

    def moved(self, device: torch.device) -> Trajectory:
        """Returns the trajectory on `device`, outside inference mode; the K/V stay where they are."""
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


_last: Recent[Inversion] = Recent(KEPT)
_uses: OrderedDict[str, int] = OrderedDict()  # by an inversion's key, of the last COUNTED that were used


def count_use(inversion: Inversion) -> int:
    """Counts one more use of `inversion` and returns how many came before."""
    before = _uses.pop(inversion.key, 0)
    _uses[inversion.key] = before + 1
    while len(_uses) > COUNTED:
        _uses.popitem(last=False)
    return before


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
    """Digests what tensors, numbers and texts in lists and dicts are made of, in 16 letters."""
    out = hashlib.sha256()
    _digest(x, out)
    return out.hexdigest()[:16]


def choose_solver(name: Asked, kind: Prediction) -> SolverName:
    """Names the solver for a "velocity" or "noise" model; "auto" is fireflow or ddim, "noised" none."""
    check_mode("solver", name, Asked)
    if name == "auto":
        return USUAL[kind]
    if name != NOISED and (name == "ddim") != (kind == "noise"):
        fitting = "ddim" if kind == "noise" else "fireflow, alf or euler"
        raise DragError(f"solver {name} does not fit this model, which predicts {kind}: use {fitting}")
    return name


def choose_kv(text: str, auto: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """Lists layers from "none", "auto" or a list as "single.3, single.7"; unknown ones are refused."""
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
    """Lists (the papers' layers, all layers) of this model whose K/V can be exchanged."""
    family = family_in(patcher)
    return family.kv, family.attentions


def invert_latent(
    patcher: Any,
    positive: Any,
    samples: Tensor,
    *,
    solver: Asked = "auto",
    steps: int = INVERSION.steps,
    strength: float = INVERSION.strength,
    shift: levels.Shift = "auto",
    guidance: float = 1.0,
    kv: str = "none",
    kv_budget: float = 0.0,
    kv_memory: KVMemory = "auto",
    kv_text: bool = False,
    seed: int = 0,
) -> Inversion:
    """Inverts a LATENT's samples (1, C, h, w) under `positive`, guidance written explicitly.

    kv_budget: GiB that K/V take at most (0: a share of what is free).
    kv_memory: their storage, of drag_core.trajectory.kvplan.
    kv_text: FLUX's single blocks keep the prompt's tokens too.
    seed: of the noise where `solver` is "noised".

    The same picture, prompt, model object and settings give the remembered inversion.
    """
    family = family_in(patcher)
    sampling = levels.sampling_of(patcher)
    if family.guided:
        positive = node_helpers.conditioning_set_values(positive, {"guidance": guidance})
    name = choose_solver(solver, levels.prediction_of(sampling))
    blocks = choose_kv(kv, *kv_layers(patcher))
    h, w = samples.shape[-2:]
    family.check_size(h, w)
    rule = None if family.layout is None else family.layout.shift
    tokens = h * w // family.multiple**2
    schedule = levels.schedule_for(sampling, steps, strength, shift, tokens, rule)
    kept_as = [kv_budget, kv_memory, kv_text, *([seed] if name == NOISED else [])]
    key = digest([samples, positive, name, steps, strength, shift, guidance, list(blocks), *kept_as])
    if (before := _last.get(key, patcher)) is not None:
        return before
    started = time.perf_counter()
    sigmas = levels.host_sigmas(schedule)
    tell = listener(patcher)

    text = positive[0][0].shape[1] if kv_text and family.joint else 0
    plan = plan_memory(patcher, (h, w), blocks, calls_of(schedule, name), text, kv_budget, kv_memory)

    def body(backbone: HostBackbone, z0: Tensor) -> tuple[Trajectory, KVStore, int]:
        cache = KVStore("pageable" if plan is None else plan.storage)
        noise = levels.noise_scale(sampling) * noise_like(z0, seed) if name == NOISED else None
        path = walked(name, noise, backbone, z0, schedule, blocks, tell, cache, kv_text)
        cache.finish()
        carry = None if path.carry is None else path.carry.cpu()
        return replace(path, z=tuple(z.cpu() for z in path.z), carry=carry), cache, backbone.call.calls

    need = SessionNeeds(sigmas=(0.0, float(sigmas[0])))
    trajectory, cache, calls = run(patcher, positive, samples, body, need, sigmas=sigmas)
    seconds = time.perf_counter() - started
    kept = None if plan is None else cache.as_kept(plan)
    base = weakref.ref(patcher.model)
    out = Inversion(trajectory, name, family.label, key, seconds, calls, base, positive, kept)
    return _last.put(key, patcher, out)


def walked(
    solver: SolverName,
    noise: Tensor | None,
    backbone: Backbone,
    z0: Tensor,
    schedule: Schedule,
    blocks: tuple[str, ...],
    on_step: OnStep,
    cache: KVStore,
    kv_text: bool = False,
) -> Trajectory:
    """Takes the clean latent z0 through the noise: with `noise` where there is one, else by inversion."""
    if noise is not None:
        return noised(backbone, z0, schedule, noise.to(z0), blocks, on_step, cache, kv_text)
    return invert(backbone, z0, schedule, SOLVERS[solver], blocks, on_step, cache, kv_text)


def calls_of(schedule: Schedule, solver: SolverName) -> int:
    """Counts the evaluations of an inversion: FireFlow and ALF make one before their first step."""
    return len(schedule.t) - 1 + (solver in ("fireflow", "alf"))


def back(inversion: Inversion) -> Solver:
    """Returns the solver that a drag denoises with: that of the inversion, or the model's usual one."""
    kind = inversion.trajectory.schedule.prediction
    return SOLVERS[USUAL[kind] if inversion.solver == NOISED else inversion.solver]


def plan_memory(
    patcher: Any,
    size: tuple[int, int],
    blocks: tuple[str, ...],
    evaluations: int,
    text: int = 0,
    budget: float = 0.0,
    storage: KVMemory = "auto",
    tell: bool = True,
) -> KVPlan | None:
    """Plans how the K/V of `blocks` will be kept for a latent (h, w), before anything runs; None without."""
    if not blocks:
        return None
    ram = psutil.virtual_memory()
    room = int(budget * 2**30) if budget > 0 else int(MOST * ram.available)
    can_pin = int(PINNED * ram.total) if patcher.load_device.type == "cuda" else 0
    plan = plan_kv(memory.kv_size(patcher, size, blocks, evaluations, text), room, can_pin, storage)
    if tell:
        logging.info("drag: %s", plan)
    return plan

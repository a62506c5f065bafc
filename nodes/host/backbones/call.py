"""One call of the host's model inside a session: conditioning, patches and wrappers are the host's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import comfy.samplers
import torch
from comfy.ldm.modules.attention import attention_pytorch
from torch import Tensor

from ....drag_core.types import DragError
from ..schedule import host_sigma, prediction_of
from ..shape import core_shape, host_shape
from .layouts import FLUX1, layout_of

# whether the host runs under the inversion's conditioning, where a run has that and the edit's; such a pass
# has no gradient, so that what a checkpoint runs again is always the edit's
BESIDE = ContextVar("drag_beside", default=False)


class StopForward(BaseException):
    """The signal that the hook of the last tap raises: nothing after it runs.

    No pack's `except Exception` swallows it.
    """


@dataclass
class Call:
    """One call of the host's model.

    model: the host's BaseModel.
    cond: the one processed conditioning.
    options: the run's model options.
    beside: the conditioning is the inversion's, beside the edit's.
    """

    model: Any
    cond: list[dict[str, Any]]
    options: dict[str, Any]
    beside: bool = False
    calls: int = 0
    _sigmas: dict[float, float] = field(default_factory=dict)  # asked of the device once a level
    _steps: dict[tuple[float, int], Tensor] = field(default_factory=dict)  # likewise

    def __post_init__(self) -> None:
        self.sampling = self.model.model_sampling
        self.device = self.model.current_patcher.load_device
        self.kind = prediction_of(self.sampling)

    def __call__(self, z: Tensor, t: float | Tensor, changes: dict[str, Any]) -> Tensor:
        """Predicts noise or velocity at the core's latents z (B, C, h, w).

        t: one level for all, or each latent's own (B,).
        changes: merged into a copy of the transformer options.
        Gradients flow to z when it asks for them and frozen() is open.
        """
        x, at, sigma = self.given(z, t)
        return self.prediction(x, self.ask(x, at, changes), sigma)

    def given(self, z: Tensor, t: float | Tensor) -> tuple[Tensor, Tensor, Any]:
        """Makes of the core's z and t what the host is given: its latents, their sigmas (B,), and sigma."""
        self.calls += 1
        if torch.is_tensor(t):
            at = torch.tensor([host_sigma(self.sampling, x) for x in t.tolist()], device=z.device)
            sigma: Any = at.view(-1, 1, 1, 1)
        else:
            if t not in self._sigmas:
                self._sigmas[t] = host_sigma(self.sampling, t)
            sigma = self._sigmas[t]
            at = torch.full((z.shape[0],), sigma, device=z.device, dtype=torch.float32)
        x = host_shape(self.model, z if self.kind == "velocity" else z * (sigma**2 + 1) ** 0.5)
        return x, at, sigma

    def ask(self, x: Tensor, at: Tensor, changes: dict[str, Any]) -> Tensor:
        """Asks the host at its latents x: its clean estimate, or of a flow what its network says."""
        raw: list[Tensor] = []
        options = {**self.options, "transformer_options": {**self.options["transformer_options"], **changes}}
        # on the network itself, so that what all wrappers do to its output is seen
        handle = self.model.diffusion_model.register_forward_hook(lambda _, __, out: raw.append(out))
        whose = BESIDE.set(self.beside)
        try:
            clean: Tensor = comfy.samplers.calc_cond_batch(self.model, [self.cond], x, at, options)[0]
        finally:
            BESIDE.reset(whose)
            handle.remove()
        if self.kind == "noise":
            return clean
        if len(raw) != 1:
            raise DragError(
                f"the model was evaluated {len(raw)} times for one step (context windows?): remove that patch"
            )
        return raw[0]

    def prediction(self, x: Tensor, got: Tensor, sigma: Any) -> Tensor:
        """Makes of what ask() gave what the core calls the prediction."""
        return core_shape((x - got) / sigma if self.kind == "noise" else got.float())  # noise also of v

    def steps(self, t: float, at: Tensor) -> Tensor:
        """Looks up the network's own time at level t, which the host does on the CPU in every pass."""
        key = (t, at.shape[0])
        if key not in self._steps:
            self._steps[key] = self.sampling.timestep(at)
        return self._steps[key]

    @contextmanager
    def standing(self, steps: Tensor) -> Iterator[None]:
        """Context manager: the host neither looks the network's time up nor asks how much memory is free.

        Both wait for the device. For passes at one level, with nothing of others on the way.
        """
        patcher = self.model.current_patcher
        own = {self.sampling: "timestep", patcher: "get_free_memory"}
        before = {m: m.__dict__.get(name) for m, name in own.items()}
        try:
            self.sampling.__dict__["timestep"] = lambda sigma: steps
            patcher.__dict__["get_free_memory"] = lambda device: 2**62
            yield
        finally:
            for m, name in own.items():
                m.__dict__.pop(name, None)
                if before[m] is not None:
                    m.__dict__[name] = before[m]


def owners_of(options: dict[str, Any]) -> tuple[str, ...]:
    """Lists the modules of everything that other nodes hung on this model's blocks."""
    found = [p for several in options.get("patches", {}).values() for p in several]
    found += [p for keys in options.get("patches_replace", {}).values() for p in keys.values()]
    found += [w for kinds in options.get("wrappers", {}).values() for ws in kinds.values() for w in ws]
    found += [options[k] for k in ("optimized_attention_override",) if options.get(k) is not None]
    return tuple(sorted({getattr(p, "__module__", type(p).__module__) for p in found}))


def forced_attention(transformer_options: dict[str, Any]) -> dict[str, Any]:
    """Chooses PyTorch's attention for the pass that has gradients.

    Sage and int8 kernels lose them silently.
    """
    before = transformer_options.get("optimized_attention_override")

    def plain(_: Any, *args: Any, **kw: Any) -> Any:
        out = attention_pytorch(*args, **kw) if before is None else before(attention_pytorch, *args, **kw)
        wanted = torch.is_grad_enabled() and any(torch.is_tensor(a) and a.requires_grad for a in args)
        if wanted and not out.requires_grad:
            owner = getattr(before, "__module__", "a patch")
            raise DragError(f"the attention of {owner} has no gradient: connect the model before that node")
        return out

    return {"optimized_attention_override": plain}


def plain_conds(cond: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Copies the conditioning, with tensors made outside inference mode, which autograd may save.

    They are on `device`, where the host would copy them at every call.

    Without its range of sigmas, which check_cond has found to hold: the host would wait for the device at
    every call to compare.
    """

    def plain(x: Any) -> Any:
        if torch.is_tensor(x):
            return x.to(device, copy=True)
        if isinstance(x, (list, tuple)):
            return type(x)(plain(y) for y in x)
        return x

    held = {
        k: v._copy_with(plain(v.cond)) if hasattr(v, "_copy_with") else v
        for k, v in cond["model_conds"].items()
    }
    kept = {k: v for k, v in cond.items() if k not in ("timestep_start", "timestep_end")}
    return {**kept, "model_conds": held}


def check_cond(conds: list[dict[str, Any]], sigmas: tuple[float, float], net: Any) -> None:
    """Refuses all but one plain conditioning, active over the whole range of sigmas that the run visits.

    sigmas: (low, high).
    """
    if len(conds) != 1:
        raise DragError(
            f"the conditioning has {len(conds)} parts and a drag takes one: don't combine prompts here"
        )
    cond = conds[0]
    for key, what in (
        ("area", "an area"),
        ("mask", "a mask"),
        ("hooks", "hooks"),
        ("control", "a ControlNet"),
    ):
        if cond.get(key) is not None:
            raise DragError(
                f"the conditioning has {what}, through which a drag has no gradient: connect it without"
            )
    method = getattr(cond["model_conds"].get("ref_latents_method"), "cond", None)
    if method == "index_timestep_zero" and layout_of(net) is FLUX1:  # the host has it for other models
        raise DragError(
            "the reference latents use the method index_timestep_zero, which FLUX.1 does not know: set it to "
            "offset, index or uxo"
        )
    check_range(cond, sigmas)


def check_range(cond: dict[str, Any], sigmas: tuple[float, float]) -> None:
    """Refuses a conditioning that is not active over the whole range of sigmas (low, high)."""
    (low, high), start, end = sigmas, cond.get("timestep_start"), cond.get("timestep_end")
    if (start is not None and float(start) < high) or (end is not None and float(end) > low):
        active = (
            f"from sigma {'the highest' if start is None else f'{float(start):.3g}'} to {float(end or 0):.3g}"
        )
        raise DragError(
            f"the conditioning is active {active} and the drag runs from {high:.3g} to {low:.3g}: without "
            "conditioning a step would return noise; widen its timestep range"
        )

"""One call of the host's model inside a session: conditioning, patches and wrappers are the host's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.samplers
import torch
from comfy.ldm.modules.attention import attention_pytorch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ...drag_core.types import DragError
from .schedule import host_sigma, prediction_of


class StopForward(BaseException):
    """Raised by the hook of the last tap: nothing after it runs. No pack's `except Exception` swallows it."""


@dataclass
class Call:
    """`model` is the host's BaseModel, `cond` the one processed conditioning, `options` the run's model
    options.
    """

    model: Any
    cond: list[dict[str, Any]]
    options: dict[str, Any]
    calls: int = 0

    def __post_init__(self) -> None:
        self.sampling = self.model.model_sampling
        self.device = self.model.current_patcher.load_device
        self.kind = prediction_of(self.sampling)

    def __call__(self, z: Tensor, t: float | Tensor, changes: dict[str, Any]) -> Tensor:
        """Noise or velocity at the core's latents z (B, C, h, w), all at level t or each at its own (B,).
        `changes` are merged into a copy of the transformer options. Gradients flow to z when it asks for them
        and frozen() is open.
        """
        if torch.is_tensor(t):
            at = torch.tensor([host_sigma(self.sampling, x) for x in t.tolist()], device=z.device)
            sigma: Any = at.view(-1, 1, 1, 1)
        else:
            sigma = host_sigma(self.sampling, t)
            at = torch.full((z.shape[0],), sigma, device=z.device, dtype=torch.float32)
        raw: list[Tensor] = []

        def keep(executor: Any, *args: Any, **kw: Any) -> Any:
            out = executor(*args, **kw)
            raw.append(out)
            return out

        to = dict(self.options["transformer_options"])
        to.update(changes)
        wrappers = {k: dict(v) for k, v in to.get("wrappers", {}).items()}
        # outermost, so that what other wrappers do to the output is seen
        wrappers[WrappersMP.DIFFUSION_MODEL] = {
            "drag": [keep],
            **wrappers.get(WrappersMP.DIFFUSION_MODEL, {}),
        }
        to["wrappers"] = wrappers
        options = {**self.options, "transformer_options": to}
        x = z if self.kind == "velocity" else z * (sigma**2 + 1) ** 0.5
        self.calls += 1
        clean = comfy.samplers.calc_cond_batch(self.model, [self.cond], x, at, options)[0]
        if self.kind == "noise":
            return (x - clean) / sigma  # also of a v-prediction
        if len(raw) != 1:
            raise DragError(
                f"the model was evaluated {len(raw)} times for one step (context windows?): remove that patch"
            )
        return raw[0].float()


def forced_attention(transformer_options: dict[str, Any]) -> dict[str, Any]:
    """PyTorch's attention for the pass that has gradients: sage and int8 kernels lose them silently."""
    before = transformer_options.get("optimized_attention_override")

    def plain(_: Any, *args: Any, **kw: Any) -> Any:
        out = attention_pytorch(*args, **kw) if before is None else before(attention_pytorch, *args, **kw)
        wanted = torch.is_grad_enabled() and any(torch.is_tensor(a) and a.requires_grad for a in args)
        if wanted and not out.requires_grad:
            owner = getattr(before, "__module__", "a patch")
            raise DragError(f"the attention of {owner} has no gradient: connect the model before that node")
        return out

    return {"optimized_attention_override": plain}


def plain_conds(cond: dict[str, Any]) -> dict[str, Any]:
    """The conditioning with tensors made outside inference mode, which autograd may save."""

    def plain(x: Any) -> Any:
        if torch.is_tensor(x):
            return x.clone()
        if isinstance(x, (list, tuple)):
            return type(x)(plain(y) for y in x)
        return x

    held = {
        k: v._copy_with(plain(v.cond)) if hasattr(v, "_copy_with") else v
        for k, v in cond["model_conds"].items()
    }
    return {**cond, "model_conds": held}


def check_cond(conds: list[dict[str, Any]], sigmas: tuple[float, float]) -> None:
    """One plain conditioning, active over the whole range of sigmas (low, high) that the run visits."""
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
    (low, high), start, end = sigmas, cond.get("timestep_start"), cond.get("timestep_end")
    if (start is not None and float(start) < high) or (end is not None and float(end) > low):
        active = (
            f"from sigma {'the highest' if start is None else f'{float(start):.3g}'} to {float(end or 0):.3g}"
        )
        raise DragError(
            f"the conditioning is active {active} and the drag runs from {high:.3g} to {low:.3g}: without "
            "conditioning a step would return noise; widen its timestep range"
        )

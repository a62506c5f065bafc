"""Runs a body of ours inside the host's own sampling.

Loading, conditioning, devices and clean-up are the host's.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import comfy.model_management as mm
import comfy.model_patcher
import comfy.samplers
import torch
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key
from torch import Tensor

from ...drag_core.autocast import uncast
from ...drag_core.types import DragError, FeatureTap
from . import memory
from .backbones.call import Call, check_cond, plain_conds
from .backbones.compiler import uncompiled
from .backbones.flux import ComfyFlux
from .backbones.grad import frozen
from .backbones.layouts import layout_of
from .backbones.unet import ComfyUNet
from .family import family_in, in_the_way
from .graphs import recording
from .shape import core_shape, one_picture
from .whole import net_of

T = TypeVar("T")
HostBackbone = ComfyFlux | ComfyUNet
Body = Callable[[HostBackbone, Tensor], T]


@dataclass(frozen=True)
class SessionNeeds:
    """What a session must prepare.

    taps: features that are read.
    gradients: whether they carry gradients.
    whole: whether the network also runs past the last tap, with a gradient (a penalty on the prediction).
    sigmas: the host's, (low, high), that are visited.
    origin: CONDITIONING of the inversion, if it is another: for what is the picture's own beside the edit.
    rows: how many latents at once.
    """

    taps: tuple[FeatureTap, ...] = ()
    gradients: bool = False
    whole: bool = False
    sigmas: tuple[float, float] = (0.0, 0.0)
    origin: Any = None
    rows: int = 1


class _Sampler(comfy.samplers.Sampler):
    """The host's sampler whose whole work is the body."""

    def __init__(self, body: Body[Any], need: SessionNeeds, checkpoint: bool) -> None:
        self.body, self.need, self.checkpoint = body, need, checkpoint
        self.result: Any = None

    @uncompiled()
    def sample(
        self,
        model_wrap: Any,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: Any,
        noise: Tensor,
        latent_image: Any = None,
        denoise_mask: Any = None,
        disable_pbar: bool = False,
    ) -> Any:
        # the executor runs nodes in inference mode, where no autograd exists
        with torch.inference_mode(False), torch.enable_grad():
            model = model_wrap.inner_model
            conds = model_wrap.conds["positive"]
            check_cond(conds, self.need.sigmas, model.diffusion_model)
            device = model.current_patcher.load_device
            call = Call(model, [plain_conds(c, device) for c in conds], extra_args["model_options"])
            kind = ComfyUNet if layout_of(model.diffusion_model) is None else ComfyFlux
            backbone = kind(call, self.checkpoint)
            if "origin" in model_wrap.conds:
                origin = model_wrap.conds["origin"]
                check_cond(origin, self.need.sigmas, model.diffusion_model)
                backbone.origin = kind(
                    replace(call, cond=[plain_conds(c, device) for c in origin], beside=True)
                )
            still = frozen(model.diffusion_model) if self.need.gradients else nullcontext()
            with recording(backbone, self.need.taps, self.need.whole), still:
                self.result = self.body(backbone, core_shape(latent_image).clone())
        return latent_image


def _once(
    patcher: Any,
    positive: Any,
    samples: Tensor,
    body: Body[T],
    need: SessionNeeds,
    checkpoint: bool,
    sigmas: Tensor,
    seed: int,
) -> T:
    size = (int(samples.shape[-2]), int(samples.shape[-1]))
    net = net_of(patcher)
    guider = comfy.samplers.CFGGuider(patcher)
    origin = {} if need.origin is None else {"origin": need.origin}
    guider.inner_set_conds({"positive": positive, **origin})
    guider.set_cfg(1.0)
    guider.model_options = comfy.model_patcher.create_model_options_clone(guider.model_options)
    if need.gradients:
        wanted = need.rows * memory.activation_bytes(net, size, need.taps, need.whole, checkpoint)
        one = max(float(patcher.model.memory_required([1, *samples.shape[1:]])), 1.0)
        rows = math.ceil(max(wanted / one, 1.0))

        def prepare(executor: Any, model: Any, shape: Any, *args: Any, **kw: Any) -> Any:
            # the host's estimate is for inference and linear in the batch: as many rows as the gradient pass
            # takes
            return executor(model, [rows * shape[0], *shape[1:]], *args, **kw)

        add_wrapper_with_key(
            WrappersMP.PREPARE_SAMPLING, "drag", prepare, guider.model_options, is_model_options=True
        )
    sampler = _Sampler(body, need, checkpoint)
    with uncast(patcher.load_device):  # as the host samples: another pack may have left autocast open
        guider.sample(torch.zeros_like(samples), samples, sampler, sigmas, disable_pbar=True, seed=seed)
    out: T = sampler.result
    return out


def run(
    patcher: Any,
    positive: Any,
    samples: Tensor,
    body: Body[T],
    need: SessionNeeds = SessionNeeds(),
    *,
    sigmas: Tensor | None = None,
    seed: int = 0,
) -> T:
    """Runs body(backbone, clean latent) inside the host's sampling of `patcher` with one conditioning.

    samples: a LATENT's (1, C, h, w), or with an axis of time that is one frame long. The body runs outside
    inference mode with gradients on; it may be run a second time, with checkpoints, when memory did not
    suffice. Afterwards nothing of ours is left on the model.
    """
    if (obstacle := in_the_way(patcher)) is not None:
        raise DragError(obstacle)
    samples, family = one_picture(patcher.model, samples), family_in(patcher)
    size = (int(samples.shape[-2]), int(samples.shape[-1]))
    net = net_of(patcher)
    steps = torch.tensor([1.0, 0.0]) if sigmas is None else sigmas
    can_remember = need.gradients and family.joint
    act = need.rows * memory.activation_bytes(net, size, need.taps, need.whole, False)
    weights = sum(int(p.model_size()) for p in (patcher, *patcher.get_nested_additional_models()))
    start = can_remember and act + weights > memory.free_bytes(patcher)
    for checkpoint in (False, True)[int(start) : 1 + int(can_remember)]:
        try:
            return _once(patcher, positive, samples.clone(), body, need, checkpoint, steps, seed)
        except Exception as error:
            if not mm.is_oom(error):
                raise
            logging.warning("drag: out of memory%s", " with checkpoints" if checkpoint else "")
        mm.soft_empty_cache()
    wanted = memory.activation_bytes(net, size, need.taps, need.whole, can_remember)
    cell = family.cell
    side = max(memory.largest_side(patcher, size, wanted, cell), 64)
    raise DragError(
        f"a drag at {size[1] * cell}x{size[0] * cell} needs about {wanted / 2**30:.1f} GiB beside the "
        f"weights, more than this device has: use DragCrop, or a picture of about {side}x{side}"
    )

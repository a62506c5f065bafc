"""Predictions of any model that the host samples, as its own samplers ask for them: nothing is hooked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import comfy.samplers
import torch
from torch import Tensor

from ...drag_core.autocast import uncast
from ...drag_core.types import KV, DragError, FeatureTap
from .backbones.call import check_range
from .schedule import host_sigma, prediction_of
from .shape import core_shape, host_shape, one_picture

T = TypeVar("T")
NO_HOOKS = "this model is asked for predictions only: its keys, values and features are not read"


class Plain:
    """The host's model as a Backbone that predicts.

    ask: the host's guider, as a sampler calls it.
    """

    def __init__(self, ask: Any, extra: dict[str, Any]) -> None:
        self.ask, self.extra = ask, extra
        self.model = ask.inner_model
        self.kind = prediction_of(self.model.model_sampling)
        self.calls = 0

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        if kv is not None:
            raise DragError(NO_HOOKS)
        sigma = host_sigma(self.model.model_sampling, t)
        x = host_shape(self.model, z if self.kind == "velocity" else z * (sigma**2 + 1) ** 0.5)
        self.calls += 1
        clean = self.ask(x, torch.full((z.shape[0],), sigma, device=z.device), **self.extra)
        return core_shape((x - clean) / sigma)

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        raise DragError(NO_HOOKS)


class _Sampler(comfy.samplers.Sampler):
    """The host's sampler whose whole work is the body."""

    def __init__(self, body: Callable[[Plain, Tensor], Any]) -> None:
        self.body = body
        self.result: Any = None

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
        conds = model_wrap.conds["positive"]
        if len(conds) == 1:  # several may take turns
            check_range(conds[0], (float(sigmas[-2]), float(sigmas[0])))
        self.result = self.body(Plain(model_wrap, extra_args), core_shape(latent_image).clone())
        return latent_image


def run_plain(
    patcher: Any,
    positive: Any,
    samples: Tensor,
    body: Callable[[Plain, Tensor], T],
    sigmas: Tensor,
    seed: int = 0,
) -> T:
    """Runs body(backbone, clean latent) inside the host's sampling of `patcher`, at CFG 1.

    samples: a LATENT's (1, C, h, w), or with an axis of time that is one frame long.
    sigmas: the host's, that will be visited, with the clean end. Of a model of any kind that samples as
    Stable Diffusion or a flow; all that acts in a sampler of the host's acts here.
    """
    given = one_picture(patcher.model, samples)
    guider = comfy.samplers.CFGGuider(patcher)
    guider.inner_set_conds({"positive": positive})
    guider.set_cfg(1.0)
    sampler = _Sampler(body)
    with uncast(patcher.load_device):  # as the host samples: another pack may have left autocast open
        guider.sample(torch.zeros_like(given), given, sampler, sigmas, disable_pbar=True, seed=seed)
    out: T = sampler.result
    return out

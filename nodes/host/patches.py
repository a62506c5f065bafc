"""Patched MODELs for stock samplers: the background kept at every step, K/V from the inversion."""

from __future__ import annotations

from typing import Any

import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ...drag_core.recipes.released import KVPairing, kv_view
from ...drag_core.trajectory.background import (
    BackgroundSource,
    Reconstructed,
    background_at,
    background_of,
)
from ...drag_core.types import DragError, KVInject
from .backbones import joint_kv, unet
from .backbones.call import owners_of
from .backbones.compiler import uncompiled_sampling
from .backbones.layouts import layout_of
from .inversion import Inversion
from .schedule import core_level, sampling_of
from .shape import cell_of, host_shape
from .whole import net_of


class _Background:
    """Puts the inverted picture's own latent outside the editable cells before and after every model call.

    The model then sees the true background at each level, and its clean estimate there is the picture:
    whatever sampler runs, it ends on the picture outside the mask. `reconstruct` carries a second latent
    along by Euler's rule instead, at the cost of a second model call a step.
    """

    def __init__(self, model: Any, inversion: Inversion, cells: Tensor, reconstruct: bool) -> None:
        self.source, self.cells, self.reconstruct = inversion.trajectory, cells, reconstruct
        self.model = model
        self.state: tuple[float, Tensor, Tensor] | None = None

    def _at(self, sigma: float) -> Tensor:
        return host_shape(self.model, background_at(self.source, sigma))

    def _keep(self, x: Tensor, background: Tensor) -> Tensor:
        if x.shape[-2:] != self.cells.shape[-2:]:
            cell = cell_of(self.model)
            there, here = (f"{y.shape[-1] * cell}x{y.shape[-2] * cell}" for y in (self.cells, x))
            raise DragError(
                f"the background was inverted at {there} and this latent is of {here}: sample at the "
                "inverted size"
            )
        return torch.where(self.cells.to(x.device) > 0.5, x, background.to(x).expand_as(x))

    def predict(self, executor: Any, x: Tensor, timestep: Tensor, *args: Any, **kw: Any) -> Tensor:
        sigma = float(timestep.flatten()[0])
        if self.reconstruct:
            _, noisy, clean = self._reconstructed(executor, x, timestep, sigma, args, kw)
        else:
            noisy, clean = self._at(sigma), host_shape(self.model, self.source.z[-1])
        out = executor(self._keep(x, noisy), timestep, *args, **kw)
        return self._keep(out, clean)

    def _reconstructed(
        self, executor: Any, x: Tensor, timestep: Tensor, sigma: float, args: Any, kw: Any
    ) -> tuple[float, Tensor, Tensor]:
        if self.state is None or sigma > self.state[0]:
            noisy = self._at(sigma).to(x)
        elif sigma == self.state[0]:
            return self.state
        else:
            before, z, clean = self.state
            noisy = z + (sigma - before) / before * (z - clean)
        clean = executor(noisy.expand(x.shape[0], *noisy.shape[1:]), timestep, *args, **kw)[:1]
        self.state = (sigma, noisy, clean)
        return self.state

    def sample(self, executor: Any, guider: Any, sigmas: Tensor, *args: Any, **kw: Any) -> Any:
        self.state = None
        out = executor(guider, sigmas, *args, **kw)
        last = float(sigmas[-1])
        if self.reconstruct and self.state is not None and last < self.state[0]:
            before, z, clean = self.state
            background = z + (last - before) / before * (z - clean)
        else:
            background = self._at(last)
        sampling = guider.inner_model.model_sampling  # what the host's samplers do to their result
        return self._keep(out, sampling.inverse_noise_scaling(sigmas[-1:], background.to(sigmas.device)))


def keep_background(patcher: Any, inversion: Inversion, cells: Tensor, source: BackgroundSource) -> Any:
    """Clones `patcher` so that any sampler keeps the picture outside `cells` (1, 1, h, w)."""
    inversion.need_model(patcher)
    patch = _Background(patcher.model, inversion, cells, background_of(source) == Reconstructed())
    clone = patcher.clone()
    clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "drag_background", patch.predict)
    clone.add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, "drag_background", patch.sample)
    return uncompiled_sampling(clone)


def inject_kv(
    patcher: Any,
    inversion: Inversion,
    layers: tuple[str, ...],
    sigmas: tuple[float, float],
    pairing: KVPairing = "level",
    where: Tensor | None = None,
) -> Any:
    """Clones `patcher` so that its self-attentions look at the inverted picture's K and V.

    sigmas: (low, high): they do so while the sampler's sigma is within.
    pairing: each at the stored level nearest to it, or at the next cleaner one ("released").
    where: (1, 1, h, w) in {0, 1}, in cells of the trajectory's latent: only there. None: everywhere.
    """
    inversion.need_model(patcher)
    cache = inversion.trajectory.kv
    stored = cache.blocks if cache is not None else ()
    if missing := [layer for layer in layers if layer not in stored]:
        raise DragError(
            f"the trajectory holds no K/V of {missing[0]}; it holds {', '.join(stored) or 'none'}: name that "
            "layer in DragInvert's kv_layers"
        )
    if cache is None or not layers:
        raise DragError("there is no K/V to inject: set kv_layers to auto in DragInvert")
    if cache.replays:
        raise DragError(
            "this trajectory holds no K/V: they are made anew at every step (recompute), which only "
            "DragOptimize does; raise kv_budget_gb in DragInvert"
        )
    net = net_of(patcher)
    view, stored_kv = kv_view(pairing), cache.copy()
    kv = KVInject(stored_kv if view is None else view(stored_kv), layers, where)
    sampling = sampling_of(patcher)

    def level(options: dict[str, Any]) -> float:
        return core_level(sampling, float(options["sigmas"].flatten()[0]))

    def active(options: dict[str, Any]) -> bool:
        return sigmas[0] <= float(options["sigmas"].flatten()[0]) <= sigmas[1]

    layout, clone = layout_of(net), uncompiled_sampling(patcher.clone())
    if layout is not None and not layout.patches_kv:
        there = patcher.model_options["transformer_options"].get("patches_replace", {}).get("dit", {})
        for key, inside in joint_kv.kv_blocks(kv, level, there).items():

            def block(args: Any, extra: Any, key: Any = key, inside: Any = inside) -> Any:
                if active(args["transformer_options"]):
                    return inside(args, extra)
                return there[key](args, extra) if key in there else extra["original_block"](args)

            clone.set_model_patch_replace(block, "dit", *key)
        return clone
    if layout is not None:
        inject = joint_kv.kv_patch(kv, level)

        def patch(*args: Any, **kw: Any) -> Any:
            return inject(*args, **kw) if active(kw["extra_options"]) else {}
    else:
        replaced = unet.kv_patch(kv, net, level)

        def patch(*args: Any, **kw: Any) -> Any:
            return replaced(*args, **kw) if active(args[3]) else args[:3]

    clone.set_model_attn1_patch(patch)
    return clone


def refuse_injected(patcher: Any) -> None:
    """Refuses a drag on a model that inject_kv() has patched, whatever ran before, at whatever size."""
    if __name__ in owners_of(patcher.model_options.get("transformer_options", {})):
        raise DragError(
            "DragKVInject on this model would also bend the features of the picture that the drag compares "
            "with: connect the model without it, and DragInvert of the draft to draft"
        )


def sigma_range(patcher: Any, start_percent: float, end_percent: float) -> tuple[float, float]:
    """Computes the host's sigmas (low, high) between two percentages of sampling.

    They count as in its own nodes.
    """
    if not 0 <= start_percent < end_percent <= 1:
        raise DragError(
            f"the range goes from {start_percent:g} to {end_percent:g}; start must be below end, both within "
            "0 and 1"
        )
    sampling = sampling_of(patcher)
    return float(sampling.percent_to_sigma(end_percent)), float(sampling.percent_to_sigma(start_percent))

"""A patched MODEL that guides stock samplers by CLoss (AdaptiveDrag §3.5)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ...drag_core.features.correspondence import Correspondence, usual_radius
from ...drag_core.types import DragError, Grid, Task
from .backbones.compiler import uncompiled_sampling
from .schedule import prediction_of, sampling_of
from .shape import cell_of, core_shape, latent_in


class _Guide:
    """Shifts the sampler's clean estimate, which is the leaf.

    Whatever the model and its precision, no gradient goes through it, and a step costs no more memory than
    before.
    """

    def __init__(
        self,
        guide: Correspondence,
        source: Tensor,
        sigmas: tuple[float, float],
        velocity: bool,
        cell: int,
    ) -> None:
        self.guide, self.source, self.sigmas = guide, source, sigmas
        self.velocity, self.cell = velocity, cell

    def _pixels(self, z: Tensor) -> str:
        return f"{z.shape[-1] * self.cell}x{z.shape[-2] * self.cell}"

    def predict(self, executor: Any, x: Tensor, timestep: Tensor, *args: Any, **kw: Any) -> Tensor:
        out: Tensor = executor(x, timestep, *args, **kw)
        sigma = float(timestep.flatten()[0])
        if not self.sigmas[0] <= sigma <= self.sigmas[1]:
            return out
        whole, out = out.shape, core_shape(out)
        if out.shape[-2:] != self.source.shape[-2:]:
            raise DragError(
                f"the guide's picture is {self._pixels(self.source)} and this latent is of "
                f"{self._pixels(out)}: sample at the picture's size"
            )
        share = sigma if self.velocity else sigma / (1 + sigma**2) ** 0.5
        with torch.inference_mode(False), torch.enable_grad():
            shifted = []
            for one in out.split(1):
                leaf = one.detach().float().clone().requires_grad_()
                way = self.guide.gradient(leaf, self.source.to(leaf), leaf)
                if way is not None:
                    one = (leaf.detach() - self.guide.step * share * way).to(one)
                shifted.append(one)
        return torch.cat(shifted).reshape(whole)


def guide_correspondence(
    patcher: Any, samples: Tensor, task: Task, strength: float, radius: int, sigmas: tuple[float, float]
) -> Any:
    """Clones `patcher` to guide every sampler while its sigma is within `sigmas` (low, high).

    samples: the LATENT (1, C, h, w) of the picture that `task` was drawn on.
    radius: in its pixels (0: as recipe adaptivedrag has it).
    """
    if not task.handles:
        raise DragError("the guide compares points and this drag has none: set a point pair or a region")
    h, w = samples.shape[-2:]
    if samples.shape[0] != 1 or core_shape(samples).ndim != 4:
        raise DragError(
            f"the latent has shape {tuple(samples.shape)} and the guide needs one picture: use "
            "LatentFromBatch"
        )
    task = replace(task, cell=cell_of(patcher.model))
    if task.latent != Grid(h, w):
        raise DragError(
            f"the drag was drawn on {task.image.width}x{task.image.height} and the latent is of a "
            f"{task.cell * w}x{task.cell * h} picture: encode the picture that the drag was drawn on"
        )
    velocity = prediction_of(sampling_of(patcher)) == "velocity"
    with torch.inference_mode(False):
        source = latent_in(patcher.model, samples.clone()).float().cpu()
    cells = max(1, round(radius / task.cell)) if radius else usual_radius(task)
    guide = Correspondence(task.handles, task.image, cells, strength)
    clone = patcher.clone()
    if strength > 0:
        patch = _Guide(guide, source, sigmas, velocity, task.cell)
        clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "drag_guide", patch.predict)
        uncompiled_sampling(clone)
    return clone

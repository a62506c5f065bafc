"""The background of an edit at any noise level, for samplers that stop elsewhere than the trajectory did."""

from __future__ import annotations

from bisect import bisect_left

from torch import Tensor

from ..types import Trajectory


def background_at(source: Trajectory, sigma: float) -> Tensor:
    """The source's own latent (1, C, h, w) at noise level `sigma`: exact at the stored levels, straight
    between them, and the noisiest level's noise scaled beyond it; the clean latent at 0.

    Flow schedules: sigma is t in [0, 1]. VP schedules: sigma = sigma_t / alpha_t and the latent is divided by
    alpha_t, the frame that ComfyUI's and k-diffusion's samplers work in.
    """
    s, clean = source.schedule, source.z[-1]
    flow = s.prediction == "velocity"
    levels = [0.0] + [d if flow else d / a for d, a in zip(s.sigma[-2::-1], s.alpha[-2::-1], strict=True)]

    def stored(k: int) -> Tensor:
        if k == 0:
            return clean
        i = len(s.t) - 1 - k
        return source.z[i] if flow else source.z[i] / s.alpha[i]

    k = bisect_left(levels, sigma)
    if k < len(levels) and levels[k] == sigma:
        return stored(k)
    if k == len(levels):
        top = levels[-1]
        noise = (stored(k - 1) - ((1 - top) if flow else 1.0) * clean) / top
        return ((1 - sigma) if flow else 1.0) * clean + sigma * noise
    share = (sigma - levels[k - 1]) / (levels[k] - levels[k - 1])
    return stored(k - 1) + share * (stored(k) - stored(k - 1))

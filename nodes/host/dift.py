"""DIFT features through the user's own Stable Diffusion 2.1."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import comfy.model_management as mm
import comfy.utils
import torch
from torch import Tensor, nn

from ...drag_core.features.dift import check_model, dift_features
from ...drag_core.metrics.distance import dift
from ...drag_core.metrics.matched import Features
from ...drag_core.metrics.protocols import FeatureRule
from ...drag_core.trajectory.schedules import every_level
from ...drag_core.types import FeatureTap, Grid
from .family import family_in
from .schedule import host_sigma, prediction_of, sampling_of
from .session import HostBackbone, SessionNeeds, run

_hashes: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()


def host_features(
    patcher: Any, clip: Any, vae: Any, image: Tensor, rules: Sequence[FeatureRule], prompt: str, seed: int
) -> Features:
    """Computes what `rules` want of a picture (1, 3, H, W) in [0, 1].

    Every map is a sampling of the host's of its own: weights, memory and devices are the host's affair.
    """
    family = family_in(patcher)
    check_model(family.label)
    sampling = sampling_of(patcher)
    prediction_of(sampling)
    schedule = every_level(1 / (1 + sampling.sigmas.double().cpu() ** 2))
    bar = comfy.utils.ProgressBar(len(rules))

    def look(picture: Tensor, said: str, rule: FeatureRule) -> Tensor:
        def body(backbone: HostBackbone, z0: Tensor) -> Tensor:
            return dift(backbone, z0, schedule, rule.t, rule.tap, rule.ensemble, seed).cpu()

        mm.throw_exception_if_processing_interrupted()
        need = SessionNeeds(taps=(FeatureTap(rule.tap),), sigmas=(0.0, float(host_sigma(sampling, rule.t))))
        # as the host runs its own nodes: weights moved to a card outside inference mode are of no use after
        with torch.inference_mode():
            positive = clip.encode_from_tokens_scheduled(clip.tokenize(said))
            samples = vae.encode(picture.movedim(1, -1))
            found: Tensor = run(patcher, positive, samples, body, need)
        return found

    maps = dift_features(image, look, rules, prompt, lambda done, total: bar.update_absolute(done, total))
    digest = weights_sha256(patcher.model.diffusion_model)
    return Features(maps, Grid(*image.shape[-2:]), family.label, digest, prompt, seed)


def weights_sha256(net: nn.Module) -> str:
    """Hashes a network's weights by their names, once a network: 2 s for Stable Diffusion's.

    Not its file's hash, which the host does not hand on; the same for the same weights in the same precision.
    """
    if net not in _hashes:
        digest = hashlib.sha256()
        for name, x in sorted(net.state_dict().items()):
            digest.update(name.encode())
            digest.update(x.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        _hashes[net] = digest.hexdigest()
    return _hashes[net]

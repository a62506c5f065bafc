"""Feature maps of a picture from the user's own models: what super-pixels are cut along."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...drag_core.types import DragError, FeatureTap
from .family import family_in
from .schedule import host_sigma, prediction_of, sampling_of
from .session import HostBackbone, SessionNeeds, run

LEVEL = 261.0  # DIFT's level: enough noise that the UNet has to say what things are


def unet_features(patcher: Any, positive: Any, vae: Any, image: Tensor) -> tuple[Tensor, str]:
    """(1, C, h, w) of the second-lowest up block of a Stable Diffusion UNet (DIFT), and what to call it.
    `image` (1, H, W, 3) in [0, 1].
    """
    family = family_in(patcher)
    if family.joint:
        raise DragError(
            f"super-pixels follow the features of a Stable Diffusion UNet and this is a {family.label} "
            "model: connect an SD model, a CLIP vision model, or neither for colour"
        )
    if positive is None or vae is None:
        raise DragError(
            "features of a model need its vae and positive too: connect all three, or none for colour"
        )
    sampling = sampling_of(patcher)
    prediction_of(sampling)
    tap = FeatureTap("up.1")
    alpha, sigma = _level(float(host_sigma(sampling, LEVEL)))

    def body(backbone: HostBackbone, z0: Tensor) -> Tensor:
        noise = torch.randn(z0.shape, generator=torch.Generator().manual_seed(0)).to(z0)
        with torch.no_grad():
            maps, _ = backbone.features(alpha * z0 + sigma * noise, LEVEL, (tap,))
        return maps[0].float().cpu()

    # as the host runs its own nodes: weights moved to a card outside inference mode are of no use after
    with torch.inference_mode():
        samples = vae.encode(image[..., :3])
        at = float(host_sigma(sampling, LEVEL))
        found: Tensor = run(patcher, positive, samples, body, SessionNeeds(taps=(tap,), sigmas=(0.0, at)))
    return found, f"{family.label}'s features (up block 1)"


def _level(host: float) -> tuple[float, float]:
    """alpha and sigma of a VP level from the host's sigma / alpha."""
    alpha = 1 / (1 + host**2) ** 0.5
    return alpha, host * alpha


def vision_features(clip_vision: Any, image: Tensor) -> tuple[Tensor, str]:
    """(1, C, n, n) of a CLIP vision, SigLIP or DINO model of the host's, and what to call it. The picture is
    seen whole, made square.
    """
    with torch.inference_mode():
        tokens = clip_vision.encode_image(image[..., :3], crop=False)["penultimate_hidden_states"]
    tokens = tokens.detach().float().cpu().clone()[:1]
    side = int(tokens.shape[1] ** 0.5)
    kind = getattr(clip_vision, "model_type", "vision model")
    kind = kind.removesuffix("_model").removesuffix("_vision")
    if side < 2:
        raise DragError(
            f"this {kind} model gives {tokens.shape[1]} tokens, which make no map: connect another one"
        )
    patches = tokens[:, -side * side :]  # class and register tokens come first
    return patches[0].T.reshape(1, -1, side, side), f"{kind} features ({side}x{side})"

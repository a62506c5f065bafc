"""The networks that a benchmark's metrics look with, each loaded once a process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from ..backends.diffusers_unet import DiffusersUNet
from ..backends.load import Model, load_model
from ..features.dift import LOOKS, Look, check_model, dift_features, looking
from ..metrics.lpips import LpipsNet
from ..metrics.lpips_weights import read_lpips
from ..metrics.matched import Features
from ..metrics.protocols import EVERY, LOOKED, FeatureRule, rules_of
from ..metrics.report import Looks
from ..trajectory.schedules import every_level
from ..types import DragError, Grid
from .loaded import hash_of
from .samples import Sample

SEED = 42  # of DIFT's noises: the papers' scripts seed with it; every map starts from it anew


@dataclass(frozen=True)
class Weights:
    """Files of the networks that metrics look with; None: their columns stay empty and say what they need.

    lpips, heads: AlexNet's or VGG16's weights, and the package lpips' heads.
    dift: a Stable Diffusion 2.1, as load_model() takes it.
    protocol: whose mean distances are computed in it, a name in PROTOCOLS, or all.
    """

    lpips: Path | None = None
    heads: Path | None = None
    dift: str | None = None
    protocol: str = EVERY


def looks_for(weights: Weights, sample: Sample, picture: Tensor, device: str) -> Looks:
    """Makes what measure() looks with at a sample and its edit (3, H, W); the sample's features are kept."""
    net = _net(weights.lpips, weights.heads) if weights.lpips and weights.heads else None
    if weights.dift is None:
        return Looks(net)
    prompt = sample.instruction.source_prompt
    rules = rules_of(weights.protocol)
    key = (weights.dift, prompt, device, rules)
    if (sample.digest, key) not in _before:
        _before.clear()
        _before[sample.digest, key] = _features(sample.image, *key)
    return Looks(net, _before[sample.digest, key], _features(picture[None], *key))


def check(weights: Weights, device: str) -> None:
    """Raises DragError now for what looks_for() would refuse at the first sample."""
    if weights.lpips and weights.heads:
        _net(weights.lpips, weights.heads)
    if weights.dift is not None:
        if not rules_of(weights.protocol):
            known = ", ".join((EVERY, *LOOKED))
            raise DragError(f"the protocol {weights.protocol!r} has no mean distance: use one of {known}")
        _look(weights.dift, "", device)


_before: dict[object, Features] = {}


def _features(image: Tensor, model: str, prompt: str, device: str, rules: Sequence[FeatureRule]) -> Features:
    label, look = _look(model, prompt, device)
    return features_through(look, label, image.to(device), rules, prompt, _hash(model), SEED)


@lru_cache(1)
def _look(name: str, prompt: str, device: str) -> tuple[str, Look]:
    """Loads the model under the empty prompt and the sample's own."""
    return look_through(load_model(name, target_prompt=prompt, device=device), SEED)


def look_through(model: Model, seed: int) -> tuple[str, Look]:
    """Returns a model's label and how DIFT looks through it; DragError where it has no such features.

    model: loaded under the empty prompt, and for a picture's own with that as its target.
    """
    width = model.backbone.text.shape[-1] if isinstance(model.backbone, DiffusersUNet) else 0
    label = LOOKS.get(width, model.name)
    check_model(label)
    own = model.target or model.backbone
    return label, looking(model.codec.encode, lambda p: own if p else model.backbone, every_level(), seed)


def features_through(
    look: Look, label: str, image: Tensor, rules: Sequence[FeatureRule], prompt: str, sha256: str, seed: int
) -> Features:
    """Makes the features of a picture (1, 3, H, W) in [0, 1], on the model's device."""
    maps = dift_features(image, look, rules, prompt)
    return Features(maps, Grid(*image.shape[-2:]), label, sha256, prompt, seed)


@lru_cache(1)
def _net(backbone: Path, heads: Path) -> LpipsNet:
    return read_lpips(backbone, heads)


_hash = lru_cache(1)(hash_of)

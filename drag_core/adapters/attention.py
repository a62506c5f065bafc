"""The decoupled attention itself, how strongly it acts at a noise level, and on which tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ranges import check_mode
from .parts import attend

After = Literal["attention", "block"]
Fade = Literal["constant", "linear", "cosine"]


class Network(Protocol):
    """What an adapter offers: K and V of a layer at a level, and the query it takes.

    after: where the result is added: "attention", to the attention's output before the projection, or
        "block", to the block's.
    raw_query: whether it takes the query before the model's own norm.
    """

    @property
    def after(self) -> After: ...
    @property
    def raw_query(self) -> bool: ...
    def keys_values(self, layer: int, t: float, like: Tensor) -> tuple[Tensor, Tensor]: ...
    def query(self, layer: int, q: Tensor) -> Tensor: ...


def looked_at(network: Network, layer: int, q: Tensor, t: float) -> Tensor:
    """Computes softmax(q K_ipᵀ/√d) V_ip (Ye et al. 2023, eq. 5).

    q: queries (b, heads, tokens, 128) before their rotation; the result is (b, tokens, heads·128).
    K and V carry no gradient, q does.
    """
    with torch.inference_mode(False), torch.no_grad():  # autograd may save what was made in the executor
        k, v = network.keys_values(layer, t, q)
    return attend(network.query(layer, q), k, v)


@dataclass(frozen=True)
class Strength:
    """`scale` while the level is within `levels` (low, high), falling towards the low end as `fade` says."""

    scale: float
    levels: tuple[float, float] = (0.0, 1.0)
    fade: Fade = "constant"

    def __post_init__(self) -> None:
        check_mode("fade", self.fade, Fade)

    def at(self, level: float) -> float:
        low, high = self.levels
        if not low <= level <= high:
            return 0.0
        gone = (high - level) / (high - low) if high > low else 0.0
        left = {"constant": 1.0, "linear": 1 - gone, "cosine": (1 + math.cos(math.pi * gone)) / 2}
        return self.scale * left[self.fade]


def token_mask(mask: Tensor, rows: int, columns: int) -> Tensor:
    """Turns mask (H, W) in 0 to 1 into (1, rows·columns, 1), the share of each token's area that is white."""
    return F.adaptive_avg_pool2d(mask[None, None].float(), (rows, columns)).reshape(1, -1, 1)

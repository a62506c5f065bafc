"""Feature maps as pictures: their three strongest directions as red, green and blue (DragFlow, fig. 7-8)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..types import Grid

SPACE, ROUNDS = 16, 12  # directions iterated, and how often: at most 2e-7 off on the embedded models
REACH = 2.5  # standard deviations from grey to full colour


def principal(x: Tensor, count: int = 3) -> tuple[Tensor, Tensor]:
    """Computes the principal components of the channels of x (1, C, h, w).

    Returns scores (count, h, w), float64 on the CPU, and each one's share of the variance (count,). They are
    zeros beyond the rank.

    Subspace iteration (Halko et al. 2011, algorithm 4.4) from a fixed start. The sign makes the third moment
    positive: the rarer side, often the thing before its background, is the bright one. So the result depends
    on the map alone, not on the order or rotation of its channels.
    """
    h, w = x.shape[-2:]
    flat = x[0].detach().flatten(1).T.double().cpu()  # (cells, C)
    flat = flat - flat.mean(0)
    total = flat.square().sum()
    if total <= 1e-24 * flat.numel():
        return torch.zeros(count, h, w, dtype=torch.float64), torch.zeros(count, dtype=torch.float64)
    if flat.shape[0] < flat.shape[1]:  # iterate on the shorter side
        scores, size = _top(flat.T)
    else:
        rows, size = _top(flat)
        scores = flat @ rows / size.clamp_min(1e-30)
    scores = scores * size * (size > 1e-12 * size[0])
    third, most = scores.pow(3).sum(0), scores.gather(0, scores.abs().argmax(0, keepdim=True))[0]
    plain = third.abs() > 1e-9 * scores.abs().pow(3).sum(0)
    scores = scores * torch.where(torch.where(plain, third, most) < 0, -1.0, 1.0)
    share = scores.square().sum(0) / total
    missing = max(count - scores.shape[1], 0)
    scores, share = F.pad(scores, (0, missing))[:, :count], F.pad(share, (0, missing))[:count]
    return scores.T.reshape(count, h, w), share


def _top(a: Tensor) -> tuple[Tensor, Tensor]:
    """Computes leading right singular vectors (n, k) and singular values (k,) of a (m, n)."""
    k = min(SPACE, *a.shape)
    start = torch.randn(a.shape[1], k, generator=torch.Generator().manual_seed(0), dtype=a.dtype)
    q = torch.linalg.qr(start).Q
    for _ in range(ROUNDS):
        q = torch.linalg.qr(a.T @ (a @ q)).Q
    _, size, turned = torch.linalg.svd(a @ q, full_matrices=False)
    return q @ turned.T, size


def feature_picture(x: Tensor, size: Grid) -> tuple[Tensor, Tensor]:
    """Draws a feature map (1, C, h, w) as (3, H, W) in [0, 1], every cell one flat patch.

    Also returns the shares of variance of its three colours. Grey is the mean; full colour is `REACH`
    standard deviations.
    """
    scores, share = principal(x)
    spread = scores.square().mean((1, 2), keepdim=True).sqrt()
    colours = 0.5 + scores / (2 * REACH * spread.clamp_min(1e-30))
    big = F.interpolate(colours.clamp(0, 1)[None].float(), (size.height, size.width), mode="nearest-exact")
    return big[0], share

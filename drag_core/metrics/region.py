"""PSNR, SSIM and L1 of two pictures, whole or over a mask; computed in float64.

Pictures are (3, H, W) in [0, 1], masks (H, W) in {0, 1}. A part under 20 pixels gives nan: too few to say
anything.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor

FEWEST = 20
FRAME = 5  # half of SSIM's window: closer to the border there is no SSIM


def psnr(a: Tensor, b: Tensor, mask: Tensor | None = None) -> float:
    """Computes PSNR in dB, from the mean squared error over the channels of the set pixels.

    100 stands for equal.
    """
    d = (a.double() - b.double()).square().mean(0)
    mse = _mean(d, mask)
    return math.nan if math.isnan(mse) else -10 * math.log10(max(mse, 1e-10))


def l1(a: Tensor, b: Tensor, mask: Tensor | None = None) -> float:
    """Computes the mean absolute difference, 0 to 1."""
    return _mean((a.double() - b.double()).abs().mean(0), mask)


def ssim(a: Tensor, b: Tensor, mask: Tensor | None = None) -> float:
    """Averages the SSIM map over the set pixels at least 5 px inside the picture; 1 is equal.

    The map is that of the whole pictures, so the windows at a mask's rim see 5 px of what lies outside.
    """
    h, w = a.shape[-2:]
    if min(h, w) <= 2 * FRAME:
        return math.nan
    inner = (slice(FRAME, h - FRAME), slice(FRAME, w - FRAME))
    return _mean(ssim_map(a, b)[inner], None if mask is None else mask[inner])


def ssim_map(a: Tensor, b: Tensor) -> Tensor:
    """Computes SSIM of Wang et al. 2004, (H, W), mean over the channels.

    Meaningful 5 px and more inside the border. 11x11 Gaussian window of sigma 1.5, variances of the
    population, K = 0.01 and 0.03: scikit-image's with gaussian_weights=True, use_sample_covariance=False.
    """
    c1, c2 = 0.01**2, 0.03**2
    x, y = (np.ascontiguousarray(p.detach().cpu().double().permute(1, 2, 0).numpy()) for p in (a, b))
    mx, my = _blur(x), _blur(y)
    vx, vy, cov = _blur(x * x) - mx * mx, _blur(y * y) - my * my, _blur(x * y) - mx * my
    s = (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return torch.from_numpy(s.mean(2))


def _blur(x: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(x, (2 * FRAME + 1, 2 * FRAME + 1), 1.5))


def _mean(values: Tensor, mask: Tensor | None) -> float:
    kept = values if mask is None else values[mask.to(values.device) > 0.5]
    return float(kept.mean()) if kept.numel() >= FEWEST else math.nan

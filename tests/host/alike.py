"""Whether two runs of a server did the same: equal bits on a CPU; on a card, where cuDNN chooses its
algorithms by free memory, about the same.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

ON_CARD = (os.environ.get("DRAG_MODE") or "cpu") != "cpu"
NOISE = 255**2 * 1e-4  # of a picture: 40 dB


def same_picture(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    if not ON_CARD:
        return np.array_equal(a, b)
    off = float(((a.astype(float) - b.astype(float)) ** 2).mean())
    print(f"two runs: mean squared difference {off:.2e} of 255 squared")
    return a.shape == b.shape and off <= NOISE


def same_losses(a: list[float], b: list[float]) -> bool:
    return len(a) == len(b) and bool(np.allclose(a, b, rtol=1e-3)) if ON_CARD else a == b

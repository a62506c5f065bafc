"""One periodic tile of noise, which every texture reads somewhere else.

Its finest grain is 8 px of 256 and more: a codec of cells of 8x8 pixels has few numbers for finer ones.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

CLOUDS, MOTTLE, CELLS, GRAIN = range(4)
SIDE = 256
# CLOUDS, MOTTLE and GRAIN: how fast high frequencies fade, and which there are (periods a tile)
SPECTRA = {CLOUDS: (2.0, 1, 40), MOTTLE: (1.6, 3, 40), GRAIN: (1.0, 8, 40)}
POINTS = 220  # of CELLS: away from the nearest of them


def _cells(generator: torch.Generator) -> Tensor:
    points = torch.rand(POINTS, 2, generator=generator)
    axis = (torch.arange(SIDE) + 0.5) / SIDE
    dx = (axis[:, None] - points[:, 0]).abs()
    dy = (axis[:, None] - points[:, 1]).abs()
    dx, dy = torch.minimum(dx, 1 - dx), torch.minimum(dy, 1 - dy)
    near: Tensor = (dy[:, None, :] ** 2 + dx[None, :, :] ** 2).amin(-1).sqrt()
    return near / near.max()


def _filtered(generator: torch.Generator, slope: float, low: int, high: int) -> Tensor:
    f = torch.fft.fftfreq(SIDE)
    radius = torch.hypot(f[:, None], f[None, :]) * SIDE
    spectrum = torch.fft.fft2(torch.randn(SIDE, SIDE, generator=generator))
    spectrum = spectrum * radius.clamp_min(1) ** -slope * ((radius >= low) & (radius <= high))
    field: Tensor = torch.fft.ifft2(spectrum).real
    return ((field - field.mean()) / field.std() * 0.2 + 0.5).clamp(0, 1)


@lru_cache(maxsize=4)
def _tile(device: str) -> Tensor:
    """Makes the tile (1, 4, 258, 258), each channel in about [0, 1], with a rim of one pixel all round."""
    g = torch.Generator().manual_seed(20)
    made = [_cells(g) if i == CELLS else _filtered(g, *SPECTRA[i]) for i in range(4)]
    return F.pad(torch.stack(made)[None], (1, 1, 1, 1), mode="circular").to(device)


def noise(x: Tensor, y: Tensor, channel: int) -> Tensor:
    """Reads a channel of the tile at (x, y), maps (N, H, W); its period is 1."""
    tile = _tile(str(x.device))[:, channel : channel + 1]
    where = torch.stack([x % 1, y % 1], -1) * (2 * SIDE / (SIDE + 2)) - SIDE / (SIDE + 2)
    return F.grid_sample(tile.expand(len(x), -1, -1, -1), where, mode="bilinear", align_corners=False)[:, 0]

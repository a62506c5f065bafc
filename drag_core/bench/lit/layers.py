"""Things drawn on their windows, with their shadows, and put over pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .canvas import Canvas
from .look import Look
from .scene import Scenes, Things
from .seeded import lerp
from .shapes import Plane
from .things.table import KINDS, NAMES

COOL = (1.0, 0.96, 0.88)  # how much of red, green and blue a shadow takes: it is bluish


@dataclass(frozen=True)
class Layer:
    """B things on windows (W, W) of pictures whose side is `size`.

    First row and column (B,), the lowest row that is covered (B,), colour (B, 3, W, W), coverage, that of the
    movable part, and depth of the shadow (B, W, W).
    """

    size: int
    first_row: Tensor
    first_column: Tensor
    lowest: Tensor
    rgb: Tensor
    alpha: Tensor
    part: Tensor
    shadow: Tensor


def canvas_of(s: Scenes, t: Things, rows: Tensor, corner: tuple[Tensor, Tensor], window: int) -> Canvas:
    """Stretches the canvases of some of the things on windows whose first (row, column) is `corner` (B,)."""
    m = t.matrix[rows]
    det = m[:, 0, 0] * m[:, 1, 1] - m[:, 0, 1] * m[:, 1, 0]
    at = torch.arange(window, device=m.device, dtype=torch.float32)
    y0, x0 = corner[0][rows], corner[1][rows]
    x = (at[None, :] + (x0 - m[:, 0, 2]).float()[:, None])[:, None, :]
    y = (at[None, :] + (y0 - m[:, 1, 2]).float()[:, None])[:, :, None]
    inverse = (m[:, 1, 1], -m[:, 0, 1], -m[:, 1, 0], m[:, 0, 0])
    a, b, c, d = ((v / det).float()[:, None, None] for v in inverse)
    own = Plane(a * x + b * y, c * x + d * y)
    pixels = det.abs().sqrt().float()
    return Canvas(own, pixels, s.light[rows], s.ink[rows], s.relief[rows], t.swing[rows])


def look_of(t: Things, rows: Tensor) -> Look:
    """Returns how some of the things look."""
    chance = t.chance[rows]
    main, accent, dark, light = t.colours[rows].unbind(1)
    return Look(chance, main, accent, dark, light, t.texture[rows], lerp(chance[:, 14], 1.6, 3.2))


def draw(s: Scenes, t: Things, window: int) -> Layer:
    """Draws things of every kind, kind by kind; coverage is 0 where none is present."""
    n, device = len(s), s.seed.device
    window = min(window, s.size)
    y, x = ((t.matrix[:, i, 2].round().long() - window // 2).clamp(0, s.size - window) for i in (1, 0))
    corner = y, x
    rgb = torch.zeros(n, 3, window, window, device=device)
    alpha, part = torch.zeros(2, n, window, window, device=device)
    kinds, present = t.kind.tolist(), t.present.tolist()
    for k, name in enumerate(NAMES):
        where = [i for i in range(n) if kinds[i] == k and present[i]]
        if where:
            rows = torch.tensor(where, device=device)
            c = canvas_of(s, t, rows, corner, window)
            KINDS[name].draw(c, look_of(t, rows))
            rgb[rows], alpha[rows], part[rows] = c.rgb, c.alpha, c.part_alpha
    rgb = rgb / alpha.clamp_min(1e-4)[:, None]
    lowest = corner[0] + lowest_row(alpha)
    return Layer(s.size, *corner, lowest, rgb, alpha, part, shadow_of(s, t, alpha, corner[0], lowest))


def lowest_row(alpha: Tensor) -> Tensor:
    """Returns the lowest row of the window that is covered by more than half, (B,)."""
    rows = torch.arange(alpha.shape[-1], device=alpha.device)
    return ((alpha.amax(2) > 0.5) * rows).amax(1)


def shadow_of(s: Scenes, t: Things, alpha: Tensor, first_row: Tensor, lowest: Tensor) -> Tensor:
    """Draws the shadows of things, or parts of them, of this coverage: (B, W, W) in [0, 1].

    A dropped one is moved away from the light and blurred; a cast one is laid down behind the thing from its
    `lowest` row on, and ends at the horizon.
    """
    rows = torch.arange(alpha.shape[-1], device=alpha.device, dtype=torch.float32)
    where = _laid(s, t, (lowest - first_row).float(), rows)
    out = _blurred(F.grid_sample(alpha[:, None], where, align_corners=False)[:, 0])
    fade = (torch.minimum(rows, len(rows) - 1 - rows) / 12).clamp(0, 1)
    depth = lerp(t.chance[:, 12], 0.22, 0.42) * (t.casts | t.drops)
    ground = ((first_row[:, None] + rows - (s.horizon * s.size)[:, None]) / 4).clamp(0, 1)
    ground = torch.where(t.casts[:, None], ground, torch.ones_like(ground))
    return out * depth[:, None, None] * fade * (fade * ground)[:, :, None]


def _laid(s: Scenes, t: Things, lowest: Tensor, rows: Tensor) -> Tensor:
    """Returns where in the thing's window a shadow's pixels lie, (B, W, W, 2), as grid_sample wants it.

    shadow(x, y) = alpha(x - lean h, lowest - h) with h = (lowest - y) / lie, or alpha((x, y) + reach light).
    """
    lean, lie = -s.light[:, 0] * 0.9, lerp(t.chance[:, 13], 0.22, 0.4)
    away = (0.13 * t.size)[:, None] * s.light
    high = (lowest[:, None] - rows) / lie[:, None]
    right = torch.where(t.casts[:, None], -lean[:, None] * high, away[:, :1])
    x = rows + right[:, :, None]
    y = torch.where(t.casts[:, None], lowest[:, None] - high, rows + away[:, 1:])[:, :, None].expand_as(x)
    return torch.stack([x, y], -1) * (2 / len(rows)) + (1 / len(rows) - 1)


def _blurred(x: Tensor, width: int = 7) -> Tensor:
    """Takes means over squares of `width` pixels, twice; 0 outside."""
    margin = (width - 1) // 2
    for dim in (1, 2, 1, 2):
        wide = F.pad(x, (0, 0, margin, margin) if dim == 1 else (margin, margin))
        total = wide.narrow(dim, 0, x.shape[dim]).clone()
        for i in range(1, width):
            total += wide.narrow(dim, i, x.shape[dim])
        x = total / width
    return x


def _where(layer: Layer) -> Tensor:
    """Returns the numbers of the window's pixels in the picture, row by row: (B, W * W)."""
    at = torch.arange(layer.alpha.shape[-1], device=layer.alpha.device)
    rows, columns = layer.first_row[:, None] + at, layer.first_column[:, None] + at
    return (rows[:, :, None] * layer.size + columns[:, None, :]).flatten(1)


def paste(picture: Tensor, layer: Layer) -> Tensor:
    """Puts the layer over pictures (B, 3, size, size), its shadow under it."""
    where, flat = _where(layer)[:, None].expand(-1, 3, -1), picture.flatten(2)
    alpha, shadow = layer.alpha.flatten(1)[:, None], layer.shadow.flatten(1)[:, None]
    below = flat.gather(2, where) * (1 - shadow * torch.tensor(COOL, device=picture.device)[:, None])
    over = below * (1 - alpha) + layer.rgb.flatten(2) * alpha
    return flat.scatter(2, where, over).view_as(picture)


def on_picture(layer: Layer, what: Tensor) -> Tensor:
    """Puts a map of the layer (B, W, W) on the whole picture (B, size, size), 0 elsewhere."""
    out = torch.zeros(len(what), layer.size * layer.size, device=what.device)
    return out.scatter(1, _where(layer), what.flatten(1)).view(-1, layer.size, layer.size)

"""Things drawn on their windows, with their shadows, and put over pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .canvas import Canvas
from .look import Look
from .scene import CAST, NO_SHADOW, Scenes, Things
from .seeded import lerp
from .shapes import Plane
from .things.table import KINDS, NAMES

COOL = (1.0, 0.96, 0.88)  # how much of red, green and blue a shadow takes: it is bluish


@dataclass(frozen=True)
class Layer:
    """B things on windows (W, W) of pictures whose side is `size`.

    First row and column (B,), colour (B, 3, W, W), coverage, that of the movable part, and depth of the shadow
    (B, W, W).
    """

    size: int
    first_row: Tensor
    first_column: Tensor
    rgb: Tensor
    alpha: Tensor
    part: Tensor
    shadow: Tensor


def canvas_of(s: Scenes, t: Things, rows: Tensor, corner: tuple[Tensor, Tensor], window: int) -> Canvas:
    """Stretches the canvases of some of the things on windows whose first (row, column) is `corner` (B,)."""
    m = t.matrix[rows]
    det = m[:, 0, 0] * m[:, 1, 1] - m[:, 0, 1] * m[:, 1, 0]
    at = torch.arange(window, device=m.device, dtype=torch.float32)
    y0, x0 = (c[rows].float() for c in corner)
    x = (at[None, :] + (x0 - m[:, 0, 2])[:, None])[:, None, :]
    y = (at[None, :] + (y0 - m[:, 1, 2])[:, None])[:, :, None]
    a, b, c, d = ((v / det)[:, None, None] for v in (m[:, 1, 1], -m[:, 0, 1], -m[:, 1, 0], m[:, 0, 0]))
    own = Plane(a * x + b * y, c * x + d * y)
    return Canvas(own, det.abs().sqrt(), s.light[rows], s.ink[rows], s.relief[rows], t.swing[rows])


def look_of(t: Things, rows: Tensor) -> Look:
    """Returns how some of the things look."""
    chance = t.chance[rows]
    main, accent, dark, light = t.colours[rows].unbind(1)
    return Look(chance, main, accent, dark, light, t.texture[rows], lerp(chance[:, 14], 1.6, 3.2))


def draw(s: Scenes, t: Things, window: int) -> Layer:
    """Draws things of every kind, kind by kind; coverage is 0 where none is present."""
    n, device = len(s), s.seed.device
    window = min(window, s.size)
    corner = (torch.zeros_like(t.kind), torch.zeros_like(t.kind))
    if window < s.size:
        y, x = (t.matrix[:, i, 2].round().long().clamp(0, s.size - 1) - window // 2 for i in (1, 0))
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
    return Layer(s.size, *corner, rgb, alpha, part, shadow_of(s, t, alpha))


def shadow_of(s: Scenes, t: Things, alpha: Tensor) -> Tensor:
    """Draws the shadows of things of this coverage, (B, W, W) in [0, 1].

    A dropped one is moved away from the light and blurred, a cast one is laid down behind the thing from its
    lowest row on.
    """
    n, w = len(s), alpha.shape[-1]
    rows = torch.arange(w, device=alpha.device, dtype=torch.float32)
    lowest = ((alpha.amax(2) > 0.5) * rows).amax(1)
    cast = (t.shadow == CAST).float()
    lean, lie = -s.light[:, 0] * 0.9, lerp(t.chance[:, 13], 0.22, 0.4)
    reach = 0.13 * t.size
    # shadow(x, y) = alpha(x - lean·h, lowest - h) with h = (lowest - y) / lie, or alpha((x, y) + reach·light)
    xy = cast * lean / lie
    yy = cast / lie + (1 - cast)
    tx = cast * (-xy * lowest) + (1 - cast) * reach * s.light[:, 0]
    ty = cast * (lowest - lowest / lie) + (1 - cast) * reach * s.light[:, 1]
    # to grid_sample's coordinates: p = (g + 1)·w/2 - 1/2
    half, off = w / 2, (w - 1) / 2
    theta = torch.zeros(n, 2, 3, device=alpha.device)
    theta[:, 0, 0], theta[:, 0, 1] = 1, xy
    theta[:, 0, 2] = (off + xy * off + tx - off) / half
    theta[:, 1, 1], theta[:, 1, 2] = yy, (yy * off + ty - off) / half
    where = F.affine_grid(theta, [n, 1, w, w], align_corners=False)
    out = F.grid_sample(alpha[:, None], where, align_corners=False)
    for _ in range(2):
        out = F.avg_pool2d(out, 7, 1, 3, count_include_pad=True)
    fade = (torch.minimum(rows, w - 1 - rows) / 12).clamp(0, 1)
    depth = (lerp(t.chance[:, 12], 0.22, 0.42) * (t.shadow != NO_SHADOW))[:, None, None]
    return out[:, 0] * depth * fade[:, None] * fade


def _where(layer: Layer, margin: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the indices of the windows in pictures that are wider by `margin` all round."""
    at = torch.arange(layer.alpha.shape[-1], device=layer.alpha.device) + margin
    rows, columns = layer.first_row[:, None] + at, layer.first_column[:, None] + at
    b = torch.arange(len(layer.alpha), device=layer.alpha.device)
    return b[:, None, None], rows[:, :, None], columns[:, None, :]


def _margin(layer: Layer) -> int:
    window = layer.alpha.shape[-1]
    return 0 if window == layer.size else window // 2


def paste(picture: Tensor, layer: Layer) -> Tensor:
    """Puts the layer over pictures (B, 3, size, size), its shadow under it."""
    margin = _margin(layer)
    where = _where(layer, margin)
    wide = F.pad(picture, (margin,) * 4).permute(0, 2, 3, 1)
    alpha, shadow = layer.alpha[..., None], layer.shadow[..., None]
    below = wide[where] * (1 - shadow * torch.tensor(COOL, device=picture.device))
    wide[where] = below * (1 - alpha) + layer.rgb.permute(0, 2, 3, 1) * alpha
    return wide.permute(0, 3, 1, 2)[..., margin : margin + layer.size, margin : margin + layer.size]


def on_picture(layer: Layer, what: Tensor) -> Tensor:
    """Puts a map of the layer (B, W, W) on the whole picture (B, size, size), 0 elsewhere."""
    margin = _margin(layer)
    side = layer.size + 2 * margin
    wide = torch.zeros(len(what), side, side, device=what.device)
    wide[_where(layer, margin)] = what
    return wide[:, margin : margin + layer.size, margin : margin + layer.size]

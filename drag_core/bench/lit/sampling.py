"""Port."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from .affine import identity
from .colours import hsv
from .places.table import ROWS
from .scene import Scenes, Things
from .seeded import choose, lerp, uniforms
from .things.table import ANY, KINDS, NAMES, NATURAL, WAYS

SLOTS = 3


def sample(seeds: Tensor, size: int = 256) -> Scenes:
    """The scenes of whole-number seeds (B,), on the seeds' device."""
    device = seeds.device
    r = uniforms(seeds, 1, 16)
    weights = torch.tensor([p.weight for p in ROWS], device=device).cumsum(0)
    place = (r[:, :1] * weights[-1] > weights).sum(1).clamp(max=len(ROWS) - 1)
    spans = torch.tensor([p.horizon for p in ROWS], device=device)[place]
    horizon = spans[:, 0] + (spans[:, 1] - spans[:, 0]) * r[:, 1]
    slant = lerp(r[:, 2], 0.35, 0.8) * torch.sign(r[:, 3] - 0.5)
    light = torch.stack([slant, -(1 - slant**2).sqrt()], 1)
    tint = 1 + (r[:, 6:9] - 0.5) * 0.12
    scenes = Scenes(
        seeds,
        size,
        place,
        uniforms(seeds, 2, 44),
        horizon,
        light,
        lerp(r[:, 4], 0.1, 0.5),
        lerp(r[:, 5], 0.16, 0.36),
        tint,
        (),
    )
    things: tuple[Things, ...] = ()
    for slot in range(SLOTS):
        present = r[:, 9 + slot] < (0.3, 0.45, 2.0)[slot]
        things = (*things, _thing(scenes, slot, present, things))
    return replace(scenes, things=things)


def _thing(s: Scenes, slot: int, present: Tensor, before: tuple[Things, ...]) -> Things:
    device, top = s.seed.device, slot == SLOTS - 1
    r, n, unit = uniforms(s.seed, 10 + slot, 64), len(s.seed), s.size / 256
    longest = max(len(p.fits) for p in ROWS)
    table = [[NAMES.index(k) for k in (p.fits or NAMES)] for p in ROWS]
    counts = torch.tensor([len(t) for t in table], device=device)[s.place]
    fits = torch.tensor([t + [0] * (max(longest, len(NAMES)) - len(t)) for t in table], device=device)[
        s.place
    ]
    own = fits.gather(1, (r[:, 0] * counts).long().clamp(max=counts - 1)[:, None])[:, 0]
    kind = torch.where(r[:, 1] < 0.78, own, choose(r[:, 2], len(NAMES)))
    way = torch.tensor([WAYS.index(k.way) for k in KINDS.values()], device=device)[kind]
    foot = torch.tensor([k.foot for k in KINDS.values()], device=device)[kind]
    where = [p.way for p in ROWS]
    ground = torch.tensor([w == "ground" for w in where], device=device)[s.place]
    water = torch.tensor([w == "water" for w in where], device=device)[s.place]
    open_ = torch.tensor([w in ("air", "water", "deep") for w in where], device=device)[s.place]
    size = lerp(r[:, 3], 42, 66) if top else lerp(r[:, 3], 24, 42)
    standing = ground & ((way == 0) | (way == 2)) | water & (way == 2)
    flying = (ground | water) & (way == 1)
    k = r[:, 4:28].view(n, 12, 2)
    x = size[:, None] + 4 + k[:, :, 0] * (248 - 2 * size[:, None])
    y = size[:, None] + 4 + k[:, :, 1] * (248 - 2 * size[:, None])
    h = s.horizon[:, None] * 256
    near = 0.45 if top else 0.12
    span = (0.96 - s.horizon[:, None]) * 256
    shore = torch.tensor([0.32 if p.draw.__name__ == "beach" else 0.0 for p in ROWS], device=device)[s.place][
        :, None
    ]
    low = near + shore * (1 - near)
    base = h + span * (low + ((1.0 if top else 0.5 + shore) - low) * k[:, :, 1])
    y = torch.where(standing[:, None], (base - (foot * size)[:, None]).clamp_min(size[:, None] * 0.9), y)
    lowest = torch.minimum(size[:, None] + 6 + k[:, :, 1] * 60, h)
    y = torch.where(flying[:, None], lowest, y)
    candidates = torch.stack([x, y], 2)
    score = torch.zeros_like(x)
    for other in before:
        away = (candidates - other.centre[:, None] / unit).norm(dim=2) / (
            size[:, None] + other.size[:, None] / unit
        )
        score = score - torch.where(other.present[:, None], (1.1 - away).clamp_min(0), 0 * away)
    centre = candidates[torch.arange(n, device=device), score.argmax(1)]
    freedom = torch.tensor([0.1, 0.3, 0.08, 0.35, 0.4], device=device)[way]
    freedom = torch.where(standing | (way != 0), freedom, torch.full_like(freedom, 0.3))
    freedom = torch.where((way == 4) & (r[:, 28] < 0.4), torch.full_like(freedom, math.pi), freedom)
    reach = torch.tensor([k.swing for k in KINDS.values()], device=device)[kind]
    rules = torch.tensor([NATURAL.get(name, ANY) for name in NAMES], device=device)[kind]
    tone = torch.tensor([p.tone for p in ROWS], device=device)[s.place]
    tries = [_main(rules, r[:, 36 + 3 * i : 39 + 3 * i]) for i in range(3)]
    best = torch.stack([(t - tone).abs().sum(1) for t in tries], 1).argmax(1)
    main = torch.stack(tries, 1)[torch.arange(n, device=device), best]
    hue = (
        torch.stack([rules[:, 0] + (rules[:, 1] - rules[:, 0]) * r[:, 36 + 3 * i] for i in range(3)], 1)
    ).gather(1, best[:, None])[:, 0]
    accent = hsv((hue + lerp(r[:, 45], 0.08, 0.6)) % 1, lerp(r[:, 46], 0.45, 0.85), lerp(r[:, 47], 0.6, 0.95))
    dark = hsv((hue + 0.05) % 1, lerp(r[:, 48], 0.3, 0.6), lerp(r[:, 49], 0.16, 0.34))
    pale = hsv((hue + 0.05 * (r[:, 50] - 0.5)) % 1, lerp(r[:, 51], 0.05, 0.22), lerp(r[:, 52], 0.88, 0.98))
    shadow = torch.where(standing & ground, 2, torch.where(open_ | flying, 0, 1))
    return Things(
        present, kind, centre * unit + (unit - 1) / 2, size * unit,
        (r[:, 29] * 2 - 1) * freedom, torch.where((r[:, 30] < 0.5) & (kind != NAMES.index("letter")), -1.0, 1.0),
        (r[:, 31] * 2 - 1) * reach * 0.4, shadow, uniforms(s.seed, 20 + slot, 16),
        torch.stack([main, accent, dark, pale], 1), choose(r[:, 32], 6), identity(centre),
    )  # fmt: skip


def _main(rules: Tensor, r: Tensor) -> Tensor:
    h, s, v = (rules[:, 2 * i] + (rules[:, 2 * i + 1] - rules[:, 2 * i]) * r[:, i] for i in range(3))
    return hsv(h % 1, s, v)

"""What Drag Edit's candidates share, the levels of an inversion, and what each has of its own, its hole."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ...drag_core.motion.areas import hole
from ...drag_core.recipes import METHODS
from ...drag_core.recipes.choice import COPY_PASTE
from ...drag_core.trajectory.finish import noise_like
from ...drag_core.types import Task
from .family import HostModel
from .inversion import Inversion, digest
from .own_start import Start

# of the noise in a candidate's hole: all of it costs 0.3 to 0.8 dB of what may change (lit moves), this 0.3
FRESH = 0.7


def levels_of(family: HostModel, name: str) -> tuple[int, float]:
    """Returns (steps, strength) that a recipe inverts with on a model of this family."""
    if family.preset is not None:
        return family.preset.inversion
    if name == COPY_PASTE:
        name = next(m.name for m in METHODS.values() if m.family == family.name)
    own = METHODS[name].inversion
    return own.steps, own.strength


def with_fresh_hole(start: Start, task: Task, seed: int) -> Start:
    """Gives the inversion that a drag starts from noise of its own where the regions leave; 0: as it is.

    So another seed draws another hole, and nothing is inverted again.
    """
    if seed == 0 or not task.regions:
        return start
    cells = hole(task)
    draft, refill = (None if x is None else _noised(x, cells, seed) for x in (start.draft, start.refill))
    return replace(start, draft=draft, refill=refill)


def _noised(inversion: Inversion, cells: Tensor, seed: int) -> Inversion:
    """Mixes noise of `seed` into what the inversion found in `cells`, at equal variance."""
    path = inversion.trajectory
    s, clean = path.schedule, path.z[-1]
    fresh, where = noise_like(clean, seed), cells.to(clean) > 0.5
    z = []
    for x, a, b in zip(path.z[:-1], s.alpha[:-1], s.sigma[:-1], strict=True):
        mixed = math.sqrt(1 - FRESH**2) * (x - a * clean) + FRESH * b * fresh
        z.append(torch.where(where, a * clean + mixed, x))
    key = digest([inversion.key, seed, cells])
    return replace(inversion, trajectory=replace(path, z=(*z, clean)), key=key)

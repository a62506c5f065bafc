"""Port."""

from __future__ import annotations
from dataclasses import dataclass
import torch
from torch import Tensor
from .affine import carried
from .edits import Motions, edited, motions
from .joints import far_end
from .layers import Layer, on_picture, paste
from .render import backdrops, finished, top_layer
from .sampling import sample
from .scene import SIZE


@dataclass(frozen=True)
class Cases:
    edit: str
    valid: Tensor
    source: Tensor
    truth: Tensor
    empty: Tensor
    mask: Tensor
    truth_mask: Tensor
    with_shadow: Tensor
    motions: Motions
    handle: Tensor
    target: Tensor


def make_cases(seeds: Tensor, edit: str, size: int = SIZE) -> Cases:
    s = sample(seeds, size)
    m = motions(s, edit)
    here, there = top_layer(s), top_layer(edited(s, edit, m))
    behind = backdrops(s)
    mask, truth_mask = (
        on_picture(x, ((x.part if edit == "part" else x.alpha) > 0.5).float()) for x in (here, there)
    )
    handle = far_end(mask, m.anchor) if edit == "part" else m.handle
    area, after = mask.sum((1, 2)), truth_mask.sum((1, 2))
    valid = m.fits & (area > 100 * (size / SIZE) ** 2)
    if edit != "scale":
        valid = valid & (after > 0.6 * area)
    dark = on_picture(here, (here.shadow > 0.08).float())
    source, truth, empty = (finished(s, x) for x in (paste(behind, here), paste(behind, there), behind))
    return Cases(
        edit,
        valid,
        source,
        truth,
        empty,
        mask,
        truth_mask,
        torch.maximum(mask, dark),
        m,
        handle,
        carried(m.matrix, handle),
    )

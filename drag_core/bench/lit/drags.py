"""Drags of many lit scenes at once, with exact answers: thing, light and shadow are drawn anew."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .affine import carried
from .edits import Motions, edited, motions
from .layers import Layer, on_picture, paste, shadow_of
from .render import backdrops, finished, top_layer
from .sampling import sample
from .scene import SIZE, Scenes

SMALLEST = 100  # px of 256x256: what moves covers more
SEEN = {"move": 0.97, "turn": 0.9, "scale": 0.0, "part": 0.6}  # share of its pixels, after the edit at least
DARK = 0.08  # how deep a shadow is where it counts as one


@dataclass(frozen=True)
class Drags:
    """B scenes before and after an edit, their things on top drawn; masks (B, S, S) in {0, 1}.

    mask: the thing, or the part that swings; `valid` (B,): the motion fits and can be seen.
    """

    edit: str
    before: Scenes
    after: Scenes
    motions: Motions
    here: Layer
    there: Layer
    mask: Tensor
    truth_mask: Tensor
    valid: Tensor


@dataclass(frozen=True)
class Cases:
    """B drags as pictures (B, 3, S, S) in [0, 1] and masks (B, S, S) in {0, 1}.

    `with_shadow`: the mask and the shadow of what it covers; `target` (B, 2): where the motions' handle goes.
    """

    drags: Drags
    source: Tensor
    truth: Tensor
    empty: Tensor
    with_shadow: Tensor
    target: Tensor


def drags_of(seeds: Tensor, edit: str, size: int = SIZE) -> Drags:
    """Draws the things on top of seeds (B,) and what an edit makes of them: look at `valid` before use.

    Raises DragError for an unknown edit.
    """
    s = sample(seeds, size)
    here = top_layer(s)
    m = motions(s, edit, here)
    after = edited(s, edit, m)
    there = top_layer(after)
    mask, truth_mask = _covered(here, edit), _covered(there, edit)
    was, left = mask.sum((1, 2)), truth_mask.sum((1, 2))
    shows = (was > SMALLEST * (size / SIZE) ** 2) & (left > SEEN[edit] * was)
    return Drags(
        edit, s, after, m, here, there, mask, truth_mask, m.fits & shows & ~cut_off(here) & ~cut_off(there)
    )


def cases_of(d: Drags) -> Cases:
    """Draws the pictures."""
    behind = backdrops(d.before)
    source, truth = (finished(d.before, paste(behind, layer)) for layer in (d.here, d.there))
    here, t = d.here, d.before.top
    shadow = here.shadow
    if d.edit == "part":
        shadow = shadow_of(d.before, t, here.part, here.first_row, here.lowest)
    with_shadow = torch.maximum(d.mask, on_picture(here, (shadow > DARK).float()))
    target = carried(d.motions.matrix, d.motions.handle)
    return Cases(d, source, truth, finished(d.before, behind), with_shadow, target)


def make_cases(seeds: Tensor, edit: str, size: int = SIZE) -> Cases:
    """Draws one drag a seed (B,), on the seeds' device: look at `drags.valid` before use."""
    return cases_of(drags_of(seeds, edit, size))


def _covered(layer: Layer, edit: str) -> Tensor:
    return on_picture(layer, ((layer.part if edit == "part" else layer.alpha) > 0.5).float())


def cut_off(layer: Layer) -> Tensor:
    """Whether things reach the picture's border, (B,)."""
    covered = on_picture(layer, (layer.alpha > 0.5).float())
    rims = (covered[:, 0], covered[:, -1], covered[:, :, 0], covered[:, :, -1])
    return torch.stack([x.amax(1) for x in rims]).amax(0) > 0

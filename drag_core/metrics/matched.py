"""Mean distances of an edit in DIFT features, as the protocols say; and the pixels that were found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..motion.geometry import apply, motion_matrix
from ..motion.masks import centroid
from ..types import DragError, Grid, Point, Task
from .distance import discs_of, matches
from .line import LOWER, Line, Origin
from .protocols import PROTOCOLS, FeatureRule, Match

NEEDS = "needs features of Stable Diffusion 2.1 (Drag DIFT)"
CHANNELS = 1280  # of Stable Diffusion 2.1 at DIFT's tap


@dataclass(frozen=True, eq=False)
class Features:
    """DIFT features of one picture.

    maps: (1, C, h, w) on the CPU, by the rule they were made by.
    size: of the picture.
    label: of the model, "SD2.x".
    sha256: of its file, where that is known.
    prompt: what FeatureRule.prompt "own" was.
    """

    maps: Mapping[FeatureRule, Tensor]
    size: Grid
    label: str
    sha256: str = ""
    prompt: str = ""
    seed: int = 0

    @property
    def is_sd21(self) -> bool:
        """Whether the model is, by its shapes, the one that the papers look through."""
        return self.label == "SD2.x" and all(m.shape[1] == CHANNELS for m in self.maps.values())


@dataclass(frozen=True)
class Found:
    """Where the content of a pair was looked for and found, in pixels; nan where it could not be."""

    start: Point
    target: Point
    found: Point


def check_features(original: Features, edited: Features, size: Grid) -> None:
    """Refuses features of another picture, or that two settings made."""
    for which, features in (("original", original), ("edited", edited)):
        if features.size != size:
            raise DragError(
                f"the features of the {which} picture are of {features.size.width}x{features.size.height} "
                f"and the picture is {size.width}x{size.height}: make them of this picture"
            )
    settings = [(f.label, f.sha256, f.prompt, f.seed, set(f.maps)) for f in (original, edited)]
    if settings[0] != settings[1]:
        raise DragError(
            "the features of original and edit were made with other settings (model, prompt, protocol or "
            "seed): use the same for both"
        )


def find(match: Match, task: Task, original: Features, edited: Features) -> tuple[Found, ...]:
    """Looks for every pair of the drag as `match` says."""
    pairs = _pairs(match, task)
    starts, targets = [p[0] for p in pairs], [p[1] for p in pairs]
    where = None
    if match.domain == "editable":
        where = task.editable
    elif match.domain == "discs":
        where = discs_of(starts, targets, task.image)
    maps = (original.maps[match.features], edited.maps[match.features])
    got = matches(*maps, starts, task.image, where, match.upsample).tolist()
    return tuple(Found(a, b, (x, y)) for (a, b), (x, y) in zip(pairs, got, strict=True))


def distances(match: Match, found: tuple[Found, ...], size: Grid) -> Tensor:
    """Computes how far from its target each was found, in the match's unit, of those that were looked for."""
    ways = [(f.target[0] - f.found[0], f.target[1] - f.found[1]) for f in found]
    off = torch.tensor(ways, dtype=torch.float64).reshape(-1, 2)
    if match.unit != "px":
        off = off / torch.tensor([size.width, size.height]) * (100 if match.unit == "%" else 1)
    lengths: Tensor = torch.linalg.vector_norm(off, dim=1)
    known: Tensor = lengths[~lengths.isnan()]
    return known


def seen_matches(
    task: Task, original: Features | None, edited: Features | None
) -> list[tuple[str, tuple[Found, ...]]]:
    """Lists what every match that the features are made for has found, by its label."""
    if original is None or edited is None:
        return []
    check_features(original, edited, task.image)
    possible = (m for p in PROTOCOLS.values() for m in p.matches if not _lacks(m, task, original, edited))
    return [(m.label, find(m, task, original, edited)) for m in possible]


def matched(task: Task, original: Features | None, edited: Features | None) -> list[Line]:
    """Computes the mean distances that the features are made for; the others say what they need."""
    if original is not None and edited is not None:
        check_features(original, edited, task.image)
    return [_line(m, p.stamp, task, original, edited) for p in PROTOCOLS.values() for m in p.matches]


def _line(match: Match, stamp: str, task: Task, original: Features | None, edited: Features | None) -> Line:
    digits = {"px": 2, "%": 2, "": 4}[match.unit]
    name, key = f"{match.label} (SD2.1 DIFT)", match.key
    why = _lacks(match, task, original, edited)
    if why or original is None or edited is None:
        origin = Origin(stamp, comparable=False, reason=why)
        return Line(key, name, math.nan, math.nan, digits, match.unit, f"n/a: {why}", origin, 0)
    if not original.is_sd21:
        name, key = f"DIFT distance as {match.label} ({original.label})", f"dift_{match.key}"
    values = [distances(match, find(match, task, original, e), task.image) for e in (edited, original)]
    asked = len(_pairs(match, task))
    said = f"{LOWER}; {len(values[0])} of {asked} pairs"
    if len(values[0]) < asked:
        said += ", the others start outside the picture"
    x, y = (float(v.mean()) if len(v) else math.nan for v in values)
    origin = _origin(match, stamp, original)
    return Line(key, name, x, y, digits, match.unit, said, origin, len(values[0]))


def _lacks(match: Match, task: Task, original: Features | None, edited: Features | None) -> str:
    """Says why this match can't be made; empty if it can."""
    if original is None or edited is None:
        one = "original" if edited is not None else "edited" if original is not None else ""
        return f"{NEEDS} of the {one} picture too" if one else NEEDS
    if match.features not in original.maps:
        return f"{NEEDS[:-1]} for this protocol)"
    if not _pairs(match, task):
        return "needs regions" if match.query == "centroids" else "needs points"
    if match.domain == "editable":
        if task.editable is None:
            return "needs a mask, and everything may change"
        if not (task.editable > 0.5).any():
            return "the mask is empty"
    return ""


def _origin(match: Match, stamp: str, features: Features) -> Origin:
    rule = match.features
    if not features.is_sd21:
        why = f"features of {features.label}; MD is defined by Stable Diffusion 2.1's"
        return Origin(stamp, features.label, features.sha256, False, why)
    said = "the papers' model is the 768-v one, which shapes alone don't tell from the base model"
    if rule.latent == "sample":
        said += "; the script samples the encoder's distribution, here it is its mode"
    return Origin(stamp, features.label, features.sha256, True, said)


def _pairs(match: Match, task: Task) -> list[tuple[Point, Point]]:
    if match.query == "points":
        return [(h.start, h.target) for h in task.handles]
    centres = [centroid(r.mask) for r in task.regions]
    return [(c, apply(motion_matrix(r.motion), c)) for c, r in zip(centres, task.regions, strict=True)]

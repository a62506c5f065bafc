"""What LPIPS says of an edit: the papers' image fidelities and region distances."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..motion.geometry import motion_matrix, warp
from ..motion.masks import moved
from ..types import Task
from .fidelity import Cut, if_bg, if_s2s, if_s2t, part
from .line import HIGHER, LOWER, OURS, Line, Origin
from .lpips import Distance, LpipsNet, distance_of, lpips
from .lpips_weights import ALEX
from .protocols import PROTOCOLS, column_of, protocol_of

NEEDS = "needs the weights of LPIPS (Drag Load LPIPS)"
OTHER_WEIGHTS = f"not the papers' weights ({ALEX.file} with lpips 0.1.4's alex.pth)"
REGIONS, MASK = "needs regions", "needs a mask, and everything may change"
GONE = "needs a target inside the picture"
TABLES = "the table's script carries the whole picture, as the line IF_s2t (released)"
OWN_MASK = "by this drag's mask; the paper's is the data set's own"
NATIVE = 63  # px; at native size AlexNet needs so many a side
SMALL = f"needs pictures of {NATIVE} px a side"
Value = Callable[[Tensor, Tensor], float]  # of original and edit


@dataclass(frozen=True)
class Asked:
    """A fidelity: how it is computed, and what it needs of the drag."""

    key: str
    name: str
    better: str
    value: Value
    lacks: str = ""
    said: str = ""


def perceptual(
    a: Tensor, b: Tensor, task: Task, net: LpipsNet | None, truth: Tensor | None = None
) -> list[Line]:
    """Computes every line that LPIPS gives; without a network each says what it needs.

    a, b, truth: original, edit and right result, (3, H, W) in [0, 1].
    """
    look: Distance = distance_of(net) if net is not None else _blind
    return [_line(asked, a, b, net) for asked in _asked(task, look, net, truth)]


def _blind(a: Tensor, b: Tensor) -> float:
    return math.nan


def _asked(task: Task, look: Distance, net: LpipsNet | None, truth: Tensor | None) -> list[Asked]:
    regions, editable = task.regions, task.editable
    every = torch.ones(task.image.height, task.image.width)
    mask = every if editable is None else editable.float()
    arriving = [(r, there) for r in regions if (there := moved(r)).any()]
    no_mask, no_region = "" if (mask < 0.5).any() else MASK, "" if regions else REGIONS
    no_target = "" if arriving else GONE if regions else REGIONS

    def handles(cut: Cut) -> Value:
        return lambda a, b: _mean([part(a, b, r.mask, r.mask, look, cut) for r in regions])

    def targets(a: Tensor, b: Tensor) -> float:
        """The handle region as it should arrive against the target region of the edit."""
        found = []
        for region, there in arriving:
            carried = warp(a[None], motion_matrix(region.motion), padding="border")[0]
            found.append(part(carried, b, there, there, look, "bbox224"))
        return _mean(found)

    def area(where: Tensor) -> Value:
        return lambda a, b: part(a, b, where, where, look)

    whole, ue, ed, hh, th = (
        _kept(value) for value in (area(every), area(1 - mask), area(mask), handles("bbox224"), targets)
    )
    asked = [
        Asked("lpips", "LPIPS, whole picture at 224", LOWER, whole),
        Asked("if", "IF, whole picture", HIGHER, _one_minus(whole)),
        Asked("if_bg", "IF_bg", HIGHER, lambda a, b: if_bg(a, b, mask, look), no_mask, OWN_MASK),
        Asked(
            "if_s2t", "IF_s2t (Eq. 28)", HIGHER, lambda a, b: if_s2t(a, b, regions, look), no_region, TABLES
        ),
        Asked(
            "if_s2t_released",
            "IF_s2t (released)",
            HIGHER,
            lambda a, b: if_s2t(a, b, regions, look, "released"),
            no_region,
        ),
        Asked("if_s2s", "IF_s2s", LOWER, lambda a, b: if_s2s(a, b, regions, look), no_region),
        Asked("lpips_ue", "LPIPS_ue, uneditable area", LOWER, ue, no_mask),
        Asked("lpips_th", "LPIPS_th, handle to target", LOWER, th, no_target),
        Asked("lpips_hh", "LPIPS_hh, handle to handle", HIGHER, hh, no_region),
        Asked("if_ed", "IF_ed, editable area", HIGHER, _one_minus(ed), no_mask),
        Asked("if_th", "IF_th, handle to target", HIGHER, _one_minus(th), no_target),
        Asked("if_hh", "IF_hh, handle to handle", LOWER, _one_minus(hh), no_region),
    ]
    if truth is not None:
        small = SMALL if min(task.image.height, task.image.width) < NATIVE else ""
        asked.append(
            Asked(
                "reference_lpips", "whole picture, to the reference, LPIPS", LOWER, _near(truth, net), small
            )
        )
    return asked


def _near(truth: Tensor, net: LpipsNet | None) -> Value:
    return lambda a, b: math.nan if net is None else lpips(truth, b, net, None)


def _kept(value: Value) -> Value:
    """Makes `value` look once at every edit: a distance and the fidelity that is 1 - it are one look."""
    seen: dict[int, float] = {}

    def kept(a: Tensor, b: Tensor) -> float:
        if id(b) not in seen:
            seen[id(b)] = value(a, b)
        return seen[id(b)]

    return kept


def _one_minus(value: Value) -> Value:
    return lambda a, b: 1 - value(a, b)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _line(asked: Asked, a: Tensor, b: Tensor, net: LpipsNet | None) -> Line:
    why = asked.lacks or (NEEDS if net is None else "")
    origin = _origin(asked, net)
    if why:
        lacking = replace(origin, comparable=False, reason=why)
        return Line(asked.key, asked.name, math.nan, math.nan, 4, "", f"n/a: {why}", lacking)
    return Line(asked.key, asked.name, asked.value(a, b), asked.value(a, a), 4, "", asked.better, origin)


def _origin(asked: Asked, net: LpipsNet | None) -> Origin:
    column, protocol = column_of(asked.key), protocol_of(asked.key)
    stamp = PROTOCOLS["dragflow"].stamp if asked.key == "if_s2t" else OURS
    stamp = protocol.stamp if protocol is not None else stamp
    name, sha256 = ("", "") if net is None else (net.name, net.sha256)
    if stamp == OURS:
        return Origin(stamp, name, sha256)
    if column is None or not column.published:
        return Origin(stamp, name, sha256, False, asked.said if column is None else column.reason)
    official = net is not None and net.official and ALEX.name in net.name
    return Origin(stamp, name, sha256, official, asked.said if official else OTHER_WEIGHTS)

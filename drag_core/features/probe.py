"""A test of any model, without labels, that finds which features carry a drag.

It warps the picture by a known motion, inverts both, and sees whose features came along.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..motion.geometry import motion_matrix, rescale, sampling_grid, warp
from ..types import AffineMotion, Backbone, DragError, FeatureTap, Grid, Trajectory

# most along the longer side of the grid on which maps of all sizes are compared; 8 pixels at least
CELLS = 32
RADIUS = 1.5  # of its cells: how near a match must be; the motion below is longer nearly everywhere
TOGETHER = 8  # taps in one forward pass: a map of FLUX at 1024x1024 takes 50 MB


@dataclass(frozen=True)
class TapScore:
    """How well a tap follows a known motion, at schedule level `level` (noise level `t`).

    pck: share of cells whose nearest neighbour in the warped picture's features lies within RADIUS of where
        the motion takes them.
    ratio: the drag's L1 loss of the true answer over that of the unchanged picture. 1 says that the loss
        knows nothing there, 0 that the answer is its minimum.
    """

    tap: FeatureTap
    level: int
    t: float
    pck: float
    ratio: float

    @property
    def score(self) -> float:
        """In [0, 1]: what is found, times how much of the loss finding it saves."""
        return self.pck * max(0.0, 1.0 - self.ratio)


def probe_motion(image: Grid) -> AffineMotion:
    """Makes the motion: right and down by a sixth and a tenth, turned by 8 degrees, a tenth smaller."""
    middle = ((image.width - 1) / 2, (image.height - 1) / 2)
    shift = (image.width / 6, image.height / 10)
    return AffineMotion(shift, math.radians(8), (0.9, 0.9), middle)


def warped_picture(image: Tensor, motion: AffineMotion) -> Tensor:
    """Warps image (1, 3, H, W) by the motion; mirrored where nothing arrives."""
    return warp(image, motion_matrix(motion), padding="reflection")


def compare(source: Tensor, moved: Tensor, motion: AffineMotion, image: Grid) -> tuple[float, float]:
    """Computes (pck, ratio) of a pair of maps (1, C, h, w), of a picture and the picture after `motion`."""
    longer = max(image.height, image.width)
    part = min(CELLS, longer // 8) / longer
    grid = Grid(max(round(image.height * part), 2), max(round(image.width * part), 2))
    a, b = (_resized(x.detach().float(), grid) for x in (source, moved))
    matrix = rescale(motion_matrix(motion), image, grid).to(a.device)
    inside = warp(torch.ones_like(a[:, :1]), matrix, padding="zeros") > 0.99
    carried = warp(a, matrix, padding="border")
    still = ((a - carried).abs() * inside).sum()
    ratio = float(((b - carried).abs() * inside).sum() / still.clamp_min(1e-30))
    goal = sampling_grid(torch.linalg.inv(matrix), grid)  # where each cell goes
    limits = goal.new_tensor([grid.width - 1, grid.height - 1])
    asked = ((goal >= 0) & (goal <= limits)).all(-1).flatten()
    unit = [F.normalize((x - x.mean((2, 3), keepdim=True))[0].flatten(1), dim=0) for x in (a, b)]
    likeness = unit[0].T[asked] @ unit[1]
    best = likeness.masked_fill(~inside.flatten(), -2.0).argmax(1)  # not the mirror's: it shows things twice
    found = torch.stack([best % grid.width, best // grid.width], -1)
    away = (found - goal.reshape(-1, 2)[asked]).norm(dim=-1)
    return float((away <= RADIUS).float().mean()), ratio


def _resized(x: Tensor, grid: Grid) -> Tensor:
    size = (grid.height, grid.width)
    if x.shape[-2] >= size[0]:
        return F.interpolate(x, size, mode="area")
    return F.interpolate(x, size, mode="bilinear")


@torch.no_grad()
def probe(
    backbone: Backbone,
    source: Trajectory,
    moved: Trajectory,
    motion: AffineMotion,
    image: Grid,
    taps: Sequence[FeatureTap],
    levels: Sequence[int],
    on_pass: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[TapScore, ...]:
    """Scores every tap at every level.

    source, moved: inversions of a picture (of size `image`) and of the same after `motion`, on one schedule.
    on_pass: is told (done, total) after each pair of passes.
    """
    if not taps:
        raise DragError("there is no feature tap to probe: name some, or write all")
    if source.schedule != moved.schedule:
        raise DragError("the two pictures were inverted at different levels: use the same settings for both")
    out: list[TapScore] = []
    parts = [tuple(taps[i : i + TOGETHER]) for i in range(0, len(taps), TOGETHER)]
    for n, level in enumerate(levels):
        t = source.schedule.t[level]
        for m, part in enumerate(parts):
            maps = [backbone.features(path.z[level], t, part)[0] for path in (source, moved)]
            for tap, a, b in zip(part, *maps, strict=True):
                out.append(TapScore(tap, level, t, *compare(a, b, motion, image)))
            on_pass(n * len(parts) + m + 1, len(levels) * len(parts))
    return tuple(out)


def ranked(scores: Sequence[TapScore]) -> list[tuple[FeatureTap, float]]:
    """Sorts the taps by their mean score over the levels, best first.

    Equal ones stay in the order of the model.
    """
    by_tap: dict[FeatureTap, list[float]] = {}
    for s in scores:
        by_tap.setdefault(s.tap, []).append(s.score)
    means = [(tap, sum(found) / len(found)) for tap, found in by_tap.items()]
    return sorted(means, key=lambda pair: -pair[1])


def tap_text(tap: FeatureTap) -> str:
    """Writes a tap as "double.17" or "double.17:norm1", as DragOptimize reads it."""
    return tap.block if tap.site == "out" else f"{tap.block}:{tap.site}"


def score_table(scores: Sequence[TapScore]) -> str:
    """Lists taps in the order of their rank: PCK and loss ratio at each level, the mean score."""
    levels = list(dict.fromkeys((s.level, s.t) for s in scores))
    at = {(s.tap, s.level): s for s in scores}
    heads = [f"level {level}, t {t:.3g}: PCK, ratio" for level, t in levels]
    lines = ["| tap | " + " | ".join(heads) + " | score |", "|---" * (len(levels) + 2) + "|"]
    for tap, mean in ranked(scores):
        found = [at[tap, level] for level, _ in levels]
        cells = " | ".join(f"{s.pck:.2f}, {s.ratio:.2f}" for s in found)
        lines.append(f"| {tap_text(tap)} | {cells} | {mean:.3f} |")
    return "\n".join(lines)

"""Which features carry a drag? python -m tools.embedded.probe embedded-sd|embedded-flux [--cases 6]

For moves with known answers: invert source and truth, carry the source's features along, and print per tap
and level |F_truth - moved F_source| / |F_source - moved F_source| inside the moved mask: 1 says that the drag
loss knows nothing there, 0 that the true edit is its minimum.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from drag_core.backends.load import load_model
from drag_core.bench.cases import Case, held_out
from drag_core.motion.geometry import motion_matrix, rescale, warp
from drag_core.motion.masks import on_grid
from drag_core.trajectory.invert import invert
from drag_core.trajectory.schedules import ddim as ddim_schedule
from drag_core.trajectory.schedules import flow
from drag_core.trajectory.solvers import ddim, fireflow
from drag_core.types import FeatureTap, Grid

TAPS = {
    "sd": [FeatureTap(b) for b in ("down.0", "down.1", "mid", "up.0", "up.1", "up.2")],
    "flux": [
        FeatureTap("double.0", "norm1"),
        FeatureTap("double.0"),
        FeatureTap("double.1", "norm1"),
        FeatureTap("double.1"),
        FeatureTap("single.0"),
        FeatureTap("single.1"),
    ],
}


def ratio(source: Tensor, truth: Tensor, case: Case) -> float:
    """The loss ratio of one map pair (1, C, h, w)."""
    grid = Grid(*source.shape[-2:])
    matrix = rescale(motion_matrix(case.motion), Grid(*case.mask.shape), grid)
    inside = (warp(on_grid(case.mask, grid), matrix, padding="zeros") > 0.3).float()
    carried = warp(source, matrix, padding="border")
    return float(((truth - carried) * inside).abs().sum() / ((source - carried) * inside).abs().sum())


@torch.no_grad()
def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", choices=["embedded-sd", "embedded-flux"])
    p.add_argument("--cases", type=int, default=6)
    a = p.parse_args()
    model = load_model(a.model)
    taps = TAPS[model.family]
    schedule, solver = (
        (ddim_schedule(50, 0.8), ddim) if model.family == "sd" else (flow(25, skip=3, shift=0.5), fireflow)
    )
    cases = held_out(a.cases, kinds=("move",))
    pairs = [
        [invert(model.backbone, model.codec.encode(x[None]), schedule, solver) for x in (c.source, c.truth)]
        for c in cases
    ]
    print(
        "| level t | latent | "
        + " | ".join(f"{t.block}{' norm1' if t.site == 'norm1' else ''}" for t in taps)
        + " |\n|"
        + "---|" * (len(taps) + 2)
    )
    last = len(schedule.t) - 1
    for i in (0, last // 5, 2 * last // 5, 3 * last // 5, 4 * last // 5):
        rows = []
        for case, (source, truth) in zip(cases, pairs, strict=True):
            maps = [
                [x.z[i], *model.backbone.features(x.z[i], schedule.t[i], tuple(taps))[0]]
                for x in (source, truth)
            ]
            rows.append([ratio(s, t, case) for s, t in zip(*maps, strict=True)])
        means = torch.tensor(rows).nanmean(0).tolist()
        print(f"| {schedule.t[i]:.2f} | " + " | ".join(f"{m:.2f}" for m in means) + " |", flush=True)


if __name__ == "__main__":
    main()

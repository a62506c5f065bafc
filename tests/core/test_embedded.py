"""The embedded models do what the README says: reconstruction, order of the solvers, and drags against exact
answers.

Averages over fixed held-out seeds; single cases vary. Bars are the issue's, not what the models happen to
reach.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from drag_core.backends.load import EMBEDDED, EMBEDDED_VAE, MODELS, Model, load_model
from drag_core.bench.cases import Case, held_out, measure
from drag_core.bench.scenes import HELD_OUT, render, sample_scene
from drag_core.bench.table import run_row
from drag_core.metrics.region import psnr
from drag_core.trajectory.invert import denoise, invert
from drag_core.trajectory.schedules import ddim as ddim_schedule
from drag_core.trajectory.schedules import flow, flux_shift
from drag_core.trajectory.solvers import Solver, alf, ddim, euler, fireflow
from drag_core.types import Schedule

PICTURES = [render(sample_scene(HELD_OUT + 500 + k))[None] for k in range(8)]
model = cache(load_model)


def round_trip(m: Model, z: Tensor, schedule: Schedule, solver: Solver) -> Tensor:
    path = invert(m.backbone, z, schedule, solver)
    return denoise(m.backbone, path.z[0], schedule, solver, path.carry if solver is alf else None)


def quality(m: Model, schedule: Schedule, solver: Solver) -> float:
    """Mean dB over the pictures after inversion and denoising."""
    values = [
        psnr(m.codec.decode(round_trip(m, m.codec.encode(x), schedule, solver))[0], x[0]) for x in PICTURES
    ]
    return sum(values) / len(values)


@cache
def autoencoder() -> float:
    m = model("embedded-sd")
    return sum(psnr(m.codec.decode(m.codec.encode(x))[0], x[0]) for x in PICTURES) / len(PICTURES)


@cache
def fireflow_full() -> float:
    return quality(model("embedded-flux"), flow(25, shift=flux_shift(256)), fireflow)


def test_the_files_are_small_half_precision_safetensors() -> None:
    from safetensors.torch import load_file

    files = [MODELS / p for p in (*EMBEDDED.values(), EMBEDDED_VAE)]
    assert (
        all(f.stat().st_size <= 15_000_000 for f in files)
        and sum(f.stat().st_size for f in files) <= 40_000_000
    )
    assert all(v.dtype == torch.float16 for f in files for v in load_file(f).values())
    assert all(Path(f).with_suffix(".md").exists() for f in files), "a model without its card"


def test_the_autoencoder_alone() -> None:
    assert autoencoder() >= 32


def test_ddim_round_trip_is_within_two_db_of_the_autoencoder() -> None:
    assert quality(model("embedded-sd"), ddim_schedule(50, 0.75), ddim) >= autoencoder() - 2


def test_fireflow_inverts_where_euler_does_not() -> None:
    assert fireflow_full() >= autoencoder() - 2
    assert fireflow_full() >= quality(model("embedded-flux"), flow(25, shift=flux_shift(256)), euler) + 5


@pytest.mark.parametrize(("solver", "low", "high"), [(euler, 1.6, 2.4), (fireflow, 3.0, 6.0)])
def test_order_of_a_round_trip(solver: Solver, low: float, high: float) -> None:
    """There and back on whole schedules of 16, 32 and 64 steps: halving the step divides the error by 2 or,
    of second order, by 4 and a little more (errors of the two ways cancel in part).
    """
    m, errors = model("embedded-flux"), []
    z = m.codec.encode(held_out(1, HELD_OUT, ("move",))[0].source[None])
    for steps in (16, 32, 64):
        errors.append(float((round_trip(m, z, flow(steps), solver) - z).norm() / z.norm()))
    ratios = [a / b for a, b in zip(errors, errors[1:], strict=False)]
    print(solver, errors, ratios)
    assert all(low < r < high for r in ratios)


def test_alf_returns_to_where_it_started() -> None:
    m = model("embedded-flux")
    z = m.codec.encode(PICTURES[0])
    back = round_trip(m, z, flow(25, shift=flux_shift(256)), alf)
    assert float((back - z).norm() / z.norm()) <= 1e-5


@cache
def moves() -> list[Case]:
    return held_out(8, kinds=("move",))


def average(name: str, model_name: str) -> dict[str, float]:
    rows = []
    for case in moves():
        picture, exact = run_row(name, model(model_name), case)
        assert exact, f"{name} changed latents outside the editable mask on seed {case.seed}"
        rows.append(measure(picture, case))
    columns = {k: [r[k] for r in rows if not math.isnan(r[k])] for k in rows[0]}
    return {k: sum(v) / len(v) for k, v in columns.items()}


@pytest.mark.parametrize(
    ("recipe", "model_name", "share"),
    [("dragnext", "embedded-sd", 0.25), ("dragflow", "embedded-flux", 0.35)],
)
def test_objects_are_moved(recipe: str, model_name: str, share: float) -> None:
    ours, none, paste = (average(r, model_name) for r in (recipe, "no edit", "copy_paste"))
    assert ours["centroid"] <= share * none["centroid"]
    assert ours["vacated"] >= none["vacated"] + 8 and ours["vacated"] > paste["vacated"]
    assert ours["background"] >= 38


def test_held_out_cases_are_deterministic_and_never_trained_on() -> None:
    again = held_out(2, kinds=("move",))
    assert all(a.seed >= HELD_OUT for a in again)
    assert all(
        torch.equal(a.source, b.source) and a.motion == b.motion for a, b in zip(again, moves(), strict=False)
    )

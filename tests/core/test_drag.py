"""The loop on backbones linear in the latent: what it calls, what it keeps still, where it moves things."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from drag_core.drag import drag
from drag_core.features.descent import NormalisedDescent
from drag_core.features.supervise import NoSupervision, PointSupervision, RegionSupervision, Supervision
from drag_core.motion.masks import discs
from drag_core.recipes.recipe import Recipe
from drag_core.step import Step
from drag_core.trajectory.background import Background, Reconstructed, Stored
from drag_core.trajectory.constrain import Constraint, FreeBackground, HardBackground, SoftBackground
from drag_core.trajectory.invert import clean_estimate, denoise, invert
from drag_core.trajectory.solvers import Solver, alf, ddim, euler, fireflow
from drag_core.types import AffineMotion, FeatureTap, Grid, Handle, Region, Schedule, Trajectory
from tests.core.analytic import Linear, blob, centre_of_mass, levels

IMAGE = Grid(128, 128)
START, GOAL = (5.0, 6.0), (8.0, 7.0)  # cells: three to the right, one down
FLOW, VP = levels(4, 0.8), levels(4, 0.8, "noise")


def at(cell: tuple[float, float]) -> tuple[float, float]:
    return 8 * cell[0] + 3.5, 8 * cell[1] + 3.5


EDITABLE = torch.zeros(1, 1, 16, 16)
EDITABLE[..., 2:12, 1:13] = 1
SHIFT = AffineMotion(shift=(24.0, 8.0))
REGIONS = RegionSupervision(
    (Region(discs([at(START)], 24, IMAGE), SHIFT),), IMAGE, Grid(32, 32), mean="region"
)
POINTS = PointSupervision(
    (Handle(at(START), at(GOAL)),),
    IMAGE,
    Grid(32, 32),
    radius=3,
    search=4,
    stride=2.0,
    preserve=True,
    factor=49.0,
)


def picture() -> Tensor:
    """A blob on faint noise, so that no background cell equals another."""
    return blob(START) + 0.01 * torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))


def recipe(supervision: Supervision = REGIONS, **choices: object) -> Recipe:
    base = Recipe(
        schedule=FLOW,
        solver=euler,
        taps=(FeatureTap("a"),),
        supervision=supervision,
        constraint=HardBackground(EDITABLE),
        optimizer=partial(torch.optim.Adam, lr=0.05),
        ramp=(tuple((k + 1) / 20 for k in range(20)) + (1.0,) * 20,),
    )
    return replace(base, **choices)  # type: ignore[arg-type]


def source(
    backbone: Linear, s: Schedule = FLOW, solver: Solver = euler, kv_blocks: tuple[str, ...] = ()
) -> Trajectory:
    trajectory = invert(backbone, picture(), s, solver, kv_blocks)
    backbone.calls.clear()
    return trajectory


@pytest.mark.parametrize("solver", [euler, fireflow, alf])
def test_hard_background_is_bit_identical_after_every_step(solver: Solver) -> None:
    backbone = Linear(rate=0.4)
    path = source(backbone, solver=solver)
    outside = EDITABLE.expand(1, 4, 16, 16) == 0
    steps: list[Step] = []

    def check(step: Step) -> None:
        steps.append(step)
        assert torch.equal(step.z[outside], path.z[step.level][outside])

    result = drag(backbone, path, recipe(solver=solver), check)
    assert torch.equal(result.z[outside], picture()[outside]) and torch.equal(
        result.reconstruction, picture()
    )
    assert (result.z - picture())[~outside].abs().max() > 0.1
    assert [s.done for s in steps] == list(range(1, 45)) and all(s.total == 44 for s in steps)
    assert [s.level for s in steps] == [0] * 40 + [1, 2, 3, 4]


@pytest.mark.parametrize("solver", [euler, fireflow])
def test_reconstruction_as_background(solver: Solver) -> None:
    """The branch denoised beside the edit: without injected K/V, a plain denoise of the inverted latent."""
    backbone = Linear(rate=0.4)
    path = source(backbone, solver=solver)
    result = drag(backbone, path, recipe(solver=solver, background=Reconstructed()))
    z = denoise(backbone, path.z[0], FLOW, solver)
    assert torch.equal(result.reconstruction, z) and not torch.equal(z, picture())
    outside = EDITABLE.expand_as(z) == 0
    assert torch.equal(result.z[outside], z[outside])


@pytest.mark.parametrize(
    ("supervision", "choices"),
    [
        (REGIONS, {}),
        (REGIONS, {"optimizer": partial(NormalisedDescent, lr=0.03), "constraint": FreeBackground()}),
        (REGIONS, {"optimizer": partial(torch.optim.SGD, lr=20.0)}),
        (
            REGIONS,
            {
                "ramp": tuple(tuple((10 * i + k + 1) / 40 for k in range(10)) for i in range(4)),
                "schedule": FLOW,
            },
        ),
        (POINTS, {"track_every": 1, "ramp": ((1.0,) * 60,), "constraint": FreeBackground()}),
        (
            POINTS,
            {"track_every": 3, "ramp": ((1.0,) * 30,) * 2, "constraint": SoftBackground(EDITABLE, 0.01)},
        ),
    ],
    ids=["regions", "normalised", "sgd", "four-levels", "points", "points-soft"],
)
def test_a_drag_moves_the_blob_towards_its_target(
    supervision: Supervision, choices: dict[str, object]
) -> None:
    backbone = Linear()
    result = drag(backbone, source(backbone), recipe(supervision, **choices))
    core = slice(1, 13)

    def miss(z: Tensor) -> float:
        x, y = centre_of_mass((z.clamp_min(0) ** 2)[..., core, core])
        return math.dist((x + 1, y + 1), GOAL)

    assert miss(result.z) < 0.65 * miss(picture())


def test_a_drag_lowers_its_loss() -> None:
    """All updates at full progress, so that one loss compares with the next."""
    backbone = Linear()
    losses = drag(backbone, source(backbone), recipe(ramp=((1.0,) * 40,))).losses
    assert len(losses) == 40 and losses[-1] < 0.2 * losses[0]
    assert sum(losses[20:]) < sum(losses[:20])


def test_points_arrive_and_stop() -> None:
    backbone = Linear()
    result = drag(
        backbone,
        source(backbone),
        recipe(POINTS, track_every=1, ramp=((1.0,) * 200,), constraint=FreeBackground()),
    )
    assert len(result.losses) < 200 and len(result.traces) == len(result.losses)
    assert math.dist(result.traces[-1][0], at(GOAL)) < 8  # reach: 2 cells of 4 px


def test_tracking_goes_on_from_level_to_level() -> None:
    backbone = Linear()
    choices = recipe(POINTS, track_every=3, ramp=((1.0,) * 7,) * 2, constraint=FreeBackground())
    result = drag(backbone, source(backbone), choices)
    assert len(result.traces) == 5  # before updates 3 and 6 of the first level, 0, 3 and 6 of the second


@pytest.mark.parametrize("constraint", [HardBackground(EDITABLE), SoftBackground(EDITABLE, 0.1)])
def test_model_calls(constraint: Constraint) -> None:
    """One for the reference, one an update, one a denoising step."""
    backbone = Linear()
    path = source(backbone)
    drag(backbone, path, recipe(constraint=constraint, ramp=((0.5, 1.0), (), (1.0,))))
    assert backbone.calls == [
        *[("features", FLOW.t[0])] * 3,
        ("predict", FLOW.t[0]),
        ("predict", FLOW.t[1]),
        *[("features", FLOW.t[2])] * 2,
        ("predict", FLOW.t[2]),
        ("predict", FLOW.t[3]),
    ]


@pytest.mark.parametrize(("solver", "s"), [(ddim, VP), (euler, FLOW), (fireflow, FLOW), (alf, FLOW)])
def test_without_updates_the_picture_comes_back(solver: Solver, s: Schedule) -> None:
    backbone = Linear(rate=0.3)
    path = source(backbone, s, solver)
    still = recipe(NoSupervision(), solver=solver, schedule=s, ramp=(), constraint=FreeBackground())
    result = drag(backbone, path, still)
    assert (result.z - picture()).norm() < (1e-5 if solver is alf else 0.2) * picture().norm()
    assert result.losses == () and result.traces == ()


def test_soft_background_holds_what_may_not_change() -> None:
    """The pull wants the blob in a place that may not change: the penalty costs it most of its way."""
    nowhere = torch.zeros(1, 1, 16, 16)
    moved = {}
    for weight in (0.0, 1.0):
        backbone = Linear()
        result = drag(backbone, source(backbone), recipe(constraint=SoftBackground(nowhere, weight)))
        moved[weight] = float((result.z - picture()).abs().sum())
    assert moved[1.0] < 0.3 * moved[0.0]


def test_updates_end_when_the_loss_does() -> None:
    """At full progress, looked at every five updates from the tenth on, and level by level."""
    backbone = Linear()
    path = source(backbone)
    whole = drag(backbone, path, recipe(ramp=((0.5,) * 3 + (1.0,) * 60,) * 2)).losses
    ended = drag(backbone, path, recipe(ramp=((0.5,) * 3 + (1.0,) * 60,) * 2, settle=0.2)).losses
    first = next(n for n in range(10, 61, 5) if sum(whole[n - 2 : n + 3]) > 0.8 * sum(whole[n - 7 : n - 2]))
    assert first < 60 and ended[: 3 + first] == whole[: 3 + first]
    assert 3 + first + 13 <= len(ended) < len(whole)  # the second level began anew
    moving = drag(backbone, path, recipe(ramp=((0.5,) * 63,), settle=0.9)).losses
    assert len(moving) == 63
    never = drag(backbone, path, recipe(ramp=((1.0,) * 63,), settle=0.0)).losses
    assert len(never) == 63


def test_hold_gain_and_update_mask() -> None:
    backbone, mask = Linear(), torch.zeros(1, 1, 16, 16)
    mask[..., 5:9, 6:11] = 1
    base = recipe(constraint=FreeBackground(), optimizer=partial(NormalisedDescent, lr=0.1), update_mask=mask)

    def change(progress: float, gain: float) -> Tensor:
        return (
            drag(backbone, source(backbone), replace(base, ramp=((progress,),), hold_gain=gain)).z - picture()
        )

    plain, gained, before = change(1.0, 1.0), change(1.0, 1.5), change(0.9, 1.5)
    assert torch.allclose(gained, 1.5 * plain, atol=1e-5) and plain.abs().max() > 0
    assert float(before.square().sum() / (before != 0).sum()) == pytest.approx(0.01, rel=1e-3)
    assert (plain[(mask == 0).expand_as(plain)] == 0).all()


@pytest.mark.parametrize("background", [Stored(), Reconstructed()], ids=["trajectory", "reconstruction"])
@pytest.mark.parametrize("ramp", [((1.0, 1.0),), ((0.5,), (1.0, 1.0)), ((1.0,), ())])
def test_pause_and_resume_give_the_whole_drag(
    ramp: tuple[tuple[float, ...], ...], background: Background
) -> None:
    backbone = Linear(rate=0.3)
    path = source(backbone)
    r = replace(recipe(ramp=ramp), background=background)
    whole = drag(backbone, path, r)
    steps: list[Step] = []
    half = drag(backbone, path, r, steps.append, pause=True)
    asked = len(backbone.calls)
    rest = drag(backbone, path, r, steps.append, resume=half)
    assert torch.equal(rest.z, whole.z) and torch.equal(rest.reconstruction, whole.reconstruction)
    assert rest.losses == whole.losses and torch.equal(rest.handoff.z, half.handoff.z)
    assert rest.handoff.level == half.handoff.level == max(i for i, u in enumerate(ramp) if u)
    assert [s.done for s in steps] == list(range(1, steps[-1].total + 1))
    assert all(kind == "predict" for kind, _ in backbone.calls[asked:])  # no update is made twice


def test_handoff_is_the_latent_after_the_last_update() -> None:
    backbone = Linear()
    path = source(backbone)
    seen: list[Step] = []
    out = drag(backbone, path, recipe(ramp=((1.0,), (1.0, 1.0))), seen.append)
    updates = [s for s in seen if s.level == 1]
    assert out.handoff.level == 1 and torch.equal(out.handoff.z, updates[-1].z)
    untouched = drag(backbone, path, recipe(ramp=()))
    assert untouched.handoff.level == 0 and torch.equal(untouched.handoff.z, path.z[0])


def test_a_listener_can_cancel() -> None:
    def stop(step: Step) -> None:
        raise InterruptedError

    backbone = Linear()
    with pytest.raises(InterruptedError):
        drag(backbone, source(backbone), recipe(), stop)


def test_inversion_reports_and_keeps_every_level() -> None:
    told: list[Step] = []
    path = invert(Linear(rate=0.2), picture(), FLOW, euler, on_step=told.append)
    assert [s.level for s in told] == [3, 2, 1, 0] and [s.done for s in told] == [1, 2, 3, 4]
    assert len(path.z) == 5 and torch.equal(path.z[-1], picture())
    assert all(torch.equal(s.z, path.z[s.level]) for s in told)
    assert path.kv is None and not path.z[0].requires_grad


def test_clean_estimate_of_the_source_is_the_source() -> None:
    path = source(Linear(rate=0.2))
    assert torch.equal(clean_estimate(path.z[2], path, 2), picture())
    assert torch.allclose(
        clean_estimate(path.z[1] + 0.4, path, 1), picture() + 0.4 / FLOW.alpha[1], atol=1e-6
    )
    noise = replace(path, schedule=levels(4))  # from pure noise, where alpha is 0: at most twenty times
    assert torch.allclose(clean_estimate(path.z[0] + 0.4, noise, 0), picture() + 0.4 / 0.05, atol=1e-5)

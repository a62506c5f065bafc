"""The recipes against the papers' numbers (design: methods.md §8), and the variants against §9."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch.optim import SGD, Adam

from drag_core.features.semantic import SemanticSupervision
from drag_core.features.supervise import NoSupervision, PointSupervision, RegionSupervision
from drag_core.recipes import METHODS
from drag_core.recipes.adaptivedrag import adaptivedrag
from drag_core.recipes.common import SD_KV, SD_UP, linear, per_level
from drag_core.recipes.copy_paste import copy_paste
from drag_core.recipes.dragdiffusion import dragdiffusion
from drag_core.recipes.dragflow import KV as FLUX_KV
from drag_core.recipes.dragflow import dragflow
from drag_core.recipes.dragnext import dragnext
from drag_core.recipes.fast import fast
from drag_core.recipes.gooddrag import gooddrag
from drag_core.recipes.recipe import Recipe
from drag_core.recipes.released import (
    Cleaner,
    CoarseRegions,
    CountedBackground,
    HalfStepAhead,
    Patience,
    Unpacked,
)
from drag_core.trajectory.background import Reconstructed, Stored
from drag_core.trajectory.constrain import FreeBackground, HardBackground, SoftBackground
from drag_core.trajectory.schedules import ddim as ddim_levels
from drag_core.trajectory.schedules import flow, flux_shift
from drag_core.trajectory.solvers import ddim, fireflow
from drag_core.trajectory.start import Paste
from drag_core.types import AffineMotion, DragError, FeatureTap, Grid, Handle, Region, Task, Variant


def task(side: int = 512, editable: bool = True) -> Task:
    mask = torch.zeros(side, side)
    mask[100:180, 120:200] = 1
    region = Region(mask, AffineMotion(shift=(64.0, 0.0)))
    change = torch.zeros(side, side)
    change[64:256, 64:320] = 1
    handle = Handle((160.0, 140.0), (224.0, 140.0))
    return Task(Grid(side, side), (region,), (handle,), change if editable else None)


def rate(recipe: Recipe) -> tuple[type, float]:
    optimizer = recipe.optimizer([torch.zeros(1, requires_grad=True)])
    return type(optimizer), optimizer.param_groups[0]["lr"]


VARIANTS: tuple[Variant, ...] = ("ours", "paper", "released")
TABLE = {  # updates at each level, optimiser, schedule, kept levels, first t, solver
    "dragflow": ((70,), SGD, flow(25, skip=6, shift=flux_shift(1024)), 19, None, fireflow),
    "dragnext": ((10,) * 6, Adam, ddim_levels(50, 0.75), 38, 741.0, ddim),
    "gooddrag": ((30,) * 7, Adam, ddim_levels(50, 0.75), 38, 741.0, ddim),
    "dragdiffusion": ((80,), Adam, ddim_levels(50, 0.7), 35, 681.0, ddim),
    "adaptivedrag": ((300,), Adam, ddim_levels(50, 0.7), 35, 681.0, ddim),
}
RATES = {"dragflow": 1000.0, "dragnext": 0.02, "gooddrag": 0.02, "dragdiffusion": 0.01, "adaptivedrag": 0.01}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_papers_numbers(name: str, variant: Variant) -> None:
    r = METHODS[name].build(task(), variant)
    updates, optimizer, schedule, kept, first, solver = TABLE[name]
    if (name, variant) == ("dragnext", "released"):
        updates = (10,) * 5
    if (name, variant) == ("adaptivedrag", "released"):
        schedule, kept, first = ddim_levels(50, 0.8), 40, 781.0
    assert tuple(map(len, r.ramp)) == updates
    assert rate(r) == (optimizer, RATES[name])
    assert r.schedule == schedule and len(r.schedule.t) == kept + 1 and r.solver is solver
    assert first is None or r.schedule.t[0] == first
    beside = variant == "released" and name in ("gooddrag", "dragnext")
    kept_by = {"paper": Reconstructed(), "released": HalfStepAhead()} if name == "dragflow" else {}
    assert r.background == kept_by.get(variant, Reconstructed() if beside else Stored())
    assert r.start is None and r.update_mask is None
    as_released = name == "dragflow" and variant == "released"
    assert (r.kv_view, r.kv_text) == (Cleaner if as_released else None, as_released)


@pytest.mark.parametrize(
    ("name", "blocks", "while_dragging"),
    [
        ("dragflow", {"double": [0, 7, 8, 9, 10, 18], "single": [6, 9, 18, 23, 26, 31, 37]}, True),
        ("dragnext", {"attn": [10, 11, 12, 13, 14, 15]}, False),
        ("gooddrag", {"attn": [10, 11, 12, 13, 14, 15]}, False),
        ("dragdiffusion", {"attn": [10, 11, 12, 13, 14, 15]}, False),
        ("adaptivedrag", {"attn": [10, 11, 12, 13, 14, 15]}, False),
    ],
)
def test_keys_and_values(name: str, blocks: dict[str, list[int]], while_dragging: bool) -> None:
    r = METHODS[name].build(task())
    assert r.kv_blocks == tuple(f"{kind}.{i}" for kind, places in blocks.items() for i in places)
    assert r.kv_while_dragging is while_dragging
    assert set(r.kv_blocks) == set(FLUX_KV if name == "dragflow" else SD_KV)


@pytest.mark.parametrize(
    ("name", "radius", "search", "stride", "preserve", "every", "weight"),
    [("gooddrag", 4, 12, 4.0, True, 3, 0.2), ("dragdiffusion", 1, 3, 1.0, False, 1, 0.1)],
)
def test_point_recipes(
    name: str, radius: int, search: int, stride: float, preserve: bool, every: int, weight: float
) -> None:
    r = METHODS[name].build(task())
    s = r.supervision
    assert isinstance(s, PointSupervision) and s.handles == task().handles and s.grid == Grid(256, 256)
    assert (s.radius, s.search, s.stride, s.preserve) == (radius, search, stride, preserve)
    assert s.factor == (2 * radius + 1) ** 2 and s.reach == 2.0
    assert r.track_every == every and set(sum(r.ramp, ())) == {1.0}
    assert isinstance(r.constraint, SoftBackground) and r.constraint.weight == weight
    assert torch.equal(r.constraint.editable[0, 0, 8:32, 8:40], torch.ones(24, 32))
    assert r.constraint.editable.sum() == 24 * 32


def test_released_gooddrag_tracks_late_and_loses_patience() -> None:
    for variant in VARIANTS:
        r = gooddrag(task(), variant)
        released = variant == "released"
        assert r.stale_tracking is released and isinstance(r.supervision, Patience) is released
        assert not isinstance(r.supervision, Patience) or r.supervision.most == 10


def test_released_dragnext_moves_coarsely_after_a_point_phase() -> None:
    r = dragnext(task(), "released")
    assert isinstance(r.supervision, CoarseRegions) and isinstance(r.supervision.inside, RegionSupervision)
    assert r.first is not None and tuple(map(len, r.first.ramp)) == (30,) * 3
    assert isinstance(r.constraint, CountedBackground)
    assert r.constraint.since == pytest.approx((1 / 32,), abs=1e-5)  # 64 px are 32 cells
    for variant in ("ours", "paper"):
        assert dragnext(task(), variant).first is None  # type: ignore[arg-type]


def test_adaptivedrag() -> None:
    r = adaptivedrag(task())
    s = r.supervision
    assert isinstance(s, SemanticSupervision) and s.handles == task().handles and s.grid == Grid(256, 256)
    assert (s.steps, s.stride, s.preserve, s.count) == (80, 1.0, True, 200)
    for variant in ("paper", "released"):
        drift = adaptivedrag(task(), variant).supervision  # type: ignore[arg-type]
        assert isinstance(drift, SemanticSupervision) and not drift.preserve
    assert r.track_every == 1 and r.guide is not None and r.guide.radius == 5
    assert r.guide.handles == task().handles and adaptivedrag(task(256)).guide.radius == 2  # type: ignore[union-attr]
    assert isinstance(r.constraint, SoftBackground) and r.constraint.weight == 0.1


def test_dragflow() -> None:
    r = dragflow(task())
    assert r.taps == tuple(FeatureTap(f"double.{i}", site) for i in (17, 18) for site in ("norm1", "out"))
    assert (
        r.ramp[0][:50] == pytest.approx([(k + 1) / 50 for k in range(50)]) and r.ramp[0][50:] == (1.0,) * 20
    )
    assert r.hold_gain * rate(r)[1] == pytest.approx(1200)
    assert isinstance(r.constraint, HardBackground) and r.constraint.editable.shape == (1, 1, 64, 64)
    s = r.supervision
    assert isinstance(s, RegionSupervision) and s.grid == Grid(128, 128)
    assert (s.mean, s.equal_taps) == ("map", False)
    assert r.track_every == 0


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("side", "released_grid"), [(512, 256), (768, 256), (1024, 256), (592, 296)])
def test_dragflow_variants(variant: Variant, side: int, released_grid: int) -> None:
    """Paper: progress from 0, gain 1.2, two taps. Released: flat 1000, 2x2 unpacked taps, finer grid. Ours:
    rate by area.
    """
    r = dragflow(task(side), variant)
    assert len(r.taps) == (2 if variant == "paper" else 4) and r.kv_record is (variant != "paper")
    s = r.supervision
    assert isinstance(s, Unpacked) is (variant == "released")
    s = s.inside if isinstance(s, Unpacked) else s
    assert isinstance(s, RegionSupervision)
    assert rate(r)[1] == pytest.approx(1000 * (side / 512) ** 2 if variant == "ours" else 1000)
    assert r.hold_gain == (1.0 if variant == "released" else 1.2)
    assert r.ramp[0][0] == (0.0 if variant == "paper" else 0.02)
    assert r.ramp[0][49] == (0.98 if variant == "paper" else 1.0)
    wanted = released_grid if variant == "released" else side // 4
    assert s.grid == Grid(wanted, wanted)


@pytest.mark.parametrize("variant", VARIANTS)
def test_dragnext_variants(variant: Variant) -> None:
    """(K(T-t)+k)/(K(T-T'+1)), t = 38..33, all stages; paper: k from 0, sums. Released: one block, 3 of 5
    levels move, times 10.
    """
    r, released = dragnext(task(), variant), variant == "released"
    counted = range(10) if variant == "paper" else range(1, 11)
    s = r.supervision
    assert isinstance(s, CoarseRegions) is released
    s = s.inside if isinstance(s, CoarseRegions) else s
    assert isinstance(s, RegionSupervision)
    assert (s.grid, s.mean) == (Grid(256, 256), "sum" if variant == "paper" else "region")
    flat = sum(r.ramp, ())
    if released:
        assert flat == pytest.approx([min((k + 1) / 30, 1) for k in range(50)])
    else:
        formula = [(10 * (38 - t) + k) / (10 * (38 - 33 + 1)) for t in range(38, 32, -1) for k in counted]
        assert flat == pytest.approx(formula)
    assert r.taps == (SD_UP[2:3] if released else tuple(FeatureTap(f"up.{i}") for i in range(4)))
    assert [x.weight for x in s.regions] == [10.0 if released else 1.0]
    assert isinstance(r.constraint, CountedBackground) is released
    constraint = r.constraint.inside if isinstance(r.constraint, CountedBackground) else r.constraint
    assert isinstance(constraint, SoftBackground) and constraint.weight == 0.2
    assert r.hold_gain == 1.0 and r.track_every == 0


@pytest.mark.parametrize(
    ("variant", "factor", "block"),
    [("ours", 81.0, "up.2"), ("paper", 81.0, "up.3"), ("released", 64.0, "up.2")],
)
def test_gooddrag_variants(variant: Variant, factor: float, block: str) -> None:
    r = gooddrag(task(), variant)
    s = r.supervision.inside if isinstance(r.supervision, Patience) else r.supervision
    assert isinstance(s, PointSupervision) and s.factor == factor
    assert r.taps == (FeatureTap(block),)
    side, reach, whole = (512, 0.0, False) if variant == "paper" else (256, 2.0, True)
    assert (s.grid, s.reach, s.shorten, r.track_last) == (Grid(side, side), reach, whole, not whole)


def test_dragdiffusion_has_no_variants() -> None:
    """But for the tensors inside, every field of the three is the same."""
    ours, *others = (dragdiffusion(task(), v) for v in VARIANTS)
    skip = {"constraint", "optimizer", "supervision"}
    for other in others:
        assert all(
            getattr(ours, f.name) == getattr(other, f.name) for f in fields(Recipe) if f.name not in skip
        )
        assert rate(ours) == rate(other) and ours.taps == (FeatureTap("up.2"),)


@pytest.mark.parametrize("name", ["dragnext", "gooddrag", "dragdiffusion"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_without_a_mask_everything_may_change(name: str, variant: Variant) -> None:
    assert isinstance(METHODS[name].build(task(editable=False), variant).constraint, FreeBackground)


def test_without_a_mask_everything_may_change_of_a_hard_background() -> None:
    t = task(editable=False)
    for r in (*(dragflow(t, v) for v in VARIANTS), copy_paste(t)):
        assert isinstance(r.constraint, FreeBackground)


def test_copy_paste() -> None:
    r = copy_paste(task(), levels=4, seed=3)
    assert isinstance(r.supervision, NoSupervision) and r.ramp == ()
    assert isinstance(r.start, Paste) and (r.start.levels, r.start.seed, r.start.fill) == (4, 3, "noise")
    assert copy_paste(task(), flow(10), fireflow).solver is fireflow


def test_copy_paste_pastes_at_the_first_ten_levels() -> None:
    r = copy_paste(task())
    assert isinstance(r.start, Paste) and (r.start.levels, r.start.seed) == (10, 0)


@pytest.mark.parametrize("name", METHODS)
def test_a_task_of_the_other_kind_is_refused_with_advice(name: str) -> None:
    with pytest.raises(DragError, match=f"recipe {name} moves .* use "):
        METHODS[name].build(Task(Grid(64, 64)))
    with pytest.raises(DragError, match="copy_paste"):
        copy_paste(Task(Grid(64, 64)))


def test_only_ours_ends_when_settled() -> None:
    for name, method in METHODS.items():
        make = method.build
        assert all(make(task(), v).settle == 0 for v in ("paper", "released"))
        assert make(task()).settle == (0.01 if name == "dragflow" else 0)


def test_fast() -> None:
    """From the same noise, over the same span of it, in fewer steps and updates, from a paste."""
    for whole, steps, ramp in (
        (dragflow(task()), 8, ((1.0,) * 12,)),
        (
            dragnext(task()),
            10,
            ((1.0,) * 6,) * 2,
        ),
    ):
        r = fast(whole, task(), steps=steps)
        assert len(r.schedule.t) == steps + 1 and r.schedule.t[0] == whole.schedule.t[0]
        assert r.schedule.t[-1] == 0 and set(r.schedule.t) <= set(whole.schedule.t)
        assert r.ramp == ramp and isinstance(r.start, Paste) and (r.start.fill, r.start.levels) == ("keep", 1)
        assert (r.taps, r.supervision, r.constraint) == (whole.taps, whole.supervision, whole.constraint)
        assert fast(r, task(), steps=100).schedule == r.schedule and fast(r, task()).start is r.start
    assert sum(map(len, fast(dragnext(task()), task(), steps=38, updates=20).ramp)) == 20
    with pytest.raises(DragError, match="recipe fast moves regions"):
        fast(gooddrag(task()), Task(Grid(64, 64)))


def test_ramps() -> None:
    assert linear(4) == (0.25, 0.5, 0.75, 1.0) and linear(2, hold=2, first=0) == (0.0, 0.5, 1.0, 1.0)
    assert per_level((0.1, 0.2, 0.3, 0.4, 0.5), 2) == ((0.1, 0.2), (0.3, 0.4), (0.5,))

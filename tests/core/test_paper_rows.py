"""`variant="paper"` against the papers' text (design: notes/papers-against-code.md §2c, A1 to A16), by rows.

What a row does in a loop is in test_paper_loops.py.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from drag_core.features.semantic import SemanticSupervision
from drag_core.features.supervise import PointSupervision, RegionSupervision
from drag_core.motion.instruction import DragInstruction, PointSpec, RegionSpec, Shape
from drag_core.motion.masks import adaptive_mask, on_grid
from drag_core.motion.superpixels import auto_mask, divided
from drag_core.motion.task import build_task
from drag_core.recipes import METHODS
from drag_core.recipes.adaptivedrag import adaptivedrag
from drag_core.recipes.dragflow import dragflow
from drag_core.recipes.dragnext import dragnext
from drag_core.recipes.gooddrag import gooddrag
from drag_core.trajectory.background import Reconstructed
from drag_core.trajectory.constrain import FreeBackground, HardBackground, SoftBackground
from drag_core.types import AffineMotion, FeatureTap, Grid, Handle, Region, Task

SIZE = Grid(512, 512)
SQUARE = ((100.0, 120.0), (179.0, 120.0), (179.0, 199.0), (100.0, 199.0))
# a picture that is cut into even super-pixels: dark to light across and down
RAMPS = torch.stack(
    (*torch.meshgrid(*(torch.linspace(0, 1, 512),) * 2, indexing="ij"), torch.full((512, 512), 0.5))
)[None]
SMALL = ((300.0, 300.0), (339.0, 300.0), (339.0, 339.0), (300.0, 339.0))


def drawn(editable: str = "adaptive") -> Task:
    """Two regions of unequal size and a pair of points, what may change left to the method."""
    regions = (
        RegionSpec(Shape(polygons=(SQUARE,)), "relocation", target=(203.0, 160.0)),
        RegionSpec(Shape(polygons=(SMALL,)), "relocation", target=(320.0, 360.0)),
    )
    points = (PointSpec((140.0, 160.0), (204.0, 160.0)),)
    return build_task(
        DragInstruction(512, 512, regions=regions, points=points, editable=editable),  # type: ignore[arg-type]
        SIZE,
    )[0]


def points_of(variant: str = "paper") -> PointSupervision:
    made = gooddrag(drawn(), variant).supervision  # type: ignore[arg-type]
    assert isinstance(made, PointSupervision)
    return made


def semantic_of(task: Task, variant: str = "paper") -> SemanticSupervision:
    made = adaptivedrag(task, variant).supervision  # type: ignore[arg-type]
    assert isinstance(made, SemanticSupervision)
    return made


def test_a1_dragflow_compares_the_outputs_of_two_blocks() -> None:
    assert dragflow(drawn(), "paper").taps == (FeatureTap("double.17", "out"), FeatureTap("double.18", "out"))
    assert len(dragflow(drawn()).taps) == 4


def test_a2_dragflow_holds_the_background_by_the_picture_denoised() -> None:
    """That it is denoised as it was inverted, without K/V, is in test_paper_loops."""
    assert dragflow(drawn(), "paper").background == Reconstructed()


def test_a3_dragflow_changes_the_box_without_a_margin() -> None:
    task = drawn()
    made = dragflow(task, "paper").constraint
    assert isinstance(made, HardBackground)
    assert torch.equal(made.editable, on_grid(adaptive_mask(task.regions), Grid(64, 64), 0.5))
    ours = dragflow(task).constraint
    assert isinstance(ours, HardBackground) and ours.editable.sum() > 1.5 * made.editable.sum()
    by_hand = replace(task, automatic=False)  # painted: that is what may change
    painted = dragflow(by_hand, "paper").constraint
    assert isinstance(painted, HardBackground) and torch.equal(painted.editable, ours.editable)


def test_a4_dragflow_looks_at_the_inversions_own_keys_and_values() -> None:
    paper = dragflow(drawn(), "paper")
    assert not paper.kv_record and paper.kv_view is None and paper.kv_while_dragging
    assert dragflow(drawn()).kv_record


def test_a5_dragnext_counts_its_updates_from_0() -> None:
    formula = [(10 * (38 - t) + k) / (10 * (38 - 33 + 1)) for t in range(38, 32, -1) for k in range(10)]
    made = dragnext(drawn(), "paper").ramp
    assert [len(u) for u in made] == [10] * 6 and sum(made, ()) == pytest.approx(formula)
    assert made[0][0] == 0 and made[-1][-1] == pytest.approx(59 / 60)
    assert dragnext(drawn()).ramp[-1][-1] == 1


def test_a6_dragnext_adds_the_cells_of_all_regions_up() -> None:
    recipe = dragnext(drawn(), "paper")
    made = recipe.supervision
    assert isinstance(made, RegionSupervision) and made.mean == "sum"
    assert [r.weight for r in made.regions] == [1.0, 1.0]
    assert isinstance(recipe.constraint, SoftBackground) and recipe.constraint.weight == 0.2
    ours = dragnext(drawn()).supervision
    assert isinstance(ours, RegionSupervision) and ours.mean == "region"
    assert sum(r.weight for r in ours.regions) == pytest.approx(1)


def test_a7_adaptivedrag_looks_for_one_cell_in_the_super_pixel() -> None:
    """A match far away inside the super-pixel is seen, a better one outside is not."""
    labels = torch.zeros(32, 32, dtype=torch.int64)
    labels[:, 24:] = 1
    handle = Handle((4.0, 4.0), (20.0, 4.0))
    made = semantic_of(Task(Grid(32, 32), (), (handle,), cell=2, labels=labels))
    assert made.domain == "superpixel"
    then = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    now = torch.full_like(then, 9.0)
    now[..., 6, 19] = then[..., 4, 4] + 0.1  # 15 cells away, in the same super-pixel
    now[..., 4, 28] = then[..., 4, 4]  # exactly, in the other
    made = replace(made, grid=Grid(32, 32))
    state = made.init([then])
    new, _ = made.track([now], made.plan([then], ()), state)
    assert new.tolist() == [[19.0, 6.0]]
    before = replace(made, domain="square", follow=False)
    assert before.track([now], before.plan([then], ()), state)[0].tolist() != [[19.0, 6.0]]


def test_a8_adaptivedrag_counts_the_direction_from_the_start() -> None:
    """From 4 to 20, now at 22: 24 lies on the way from the start, 21 does not."""
    labels = torch.zeros(32, 32, dtype=torch.int64)
    made = semantic_of(Task(Grid(32, 32), (), (Handle((4.0, 4.0), (20.0, 4.0)),), cell=2, labels=labels))
    assert made.ahead == "start" and semantic_of(drawn(), "ours").ahead == "here"
    made = replace(made, grid=Grid(32, 32))
    then = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    here = torch.tensor([[22.0, 4.0]], dtype=torch.float64)
    for at, kept in ((24, True), (21, False)):
        now = torch.full_like(then, 9.0)
        now[..., 4, at] = then[..., 4, 4]
        new, _ = made.track([now], made.plan([then], ()), here)
        assert new.tolist() == [[float(at) if kept else 22.0, 4.0]]


def test_a9_adaptivedrag_compares_the_super_pixel_under_the_present_place() -> None:
    """By hand: two super-pixels of 8 cells each; what is outside the present one does not count."""
    labels = torch.zeros(4, 4, dtype=torch.int64)
    labels[:, 2:] = 1
    task = Task(Grid(4, 4), (), (Handle((0.0, 1.0), (3.0, 1.0)),), cell=1, labels=labels)
    made = semantic_of(task)
    assert made.follow and not made.preserve and made.labels is labels
    made = replace(made, grid=Grid(4, 4))
    row = torch.tensor([0.0, 1.0, 4.0, 9.0]).double()
    now = row.expand(1, 2, 4, 4).clone()
    plan = made.plan([now], ())
    for x, by_hand in (
        (0.0, 4 * (1 + 3)),
        (2.0, 4 * (5 + 0)),
    ):  # |F(q+1) - F(q)|; beyond the border the border
        state = torch.tensor([[x, 1.0]], dtype=torch.float64)
        made = replace(made, reach=0.5)
        assert float(made.loss([now], plan, state, 1.0)) == pytest.approx(by_hand)


def test_a10_adaptivedrag_pulls_by_one_cell() -> None:
    """A drag of 496 px: an 80th of it would be 3.1 cells; and half a cell from the target it is still one."""
    labels = torch.zeros(512, 512, dtype=torch.int64)
    far = Task(SIZE, (), (Handle((8.0, 40.0), (504.0, 40.0)),), labels=labels)
    made = semantic_of(far)
    assert (made.stride, made.shorten) == (1.0, False)
    ramp = torch.arange(256.0).double().expand(1, 1, 256, 256).clone()
    plan = made.plan([ramp], ())
    cells = 256 * 255  # every column but the last differs from the next by 1
    state = made.init([ramp])
    assert float(made.loss([ramp], plan, state, 1.0)) == pytest.approx(cells)
    near = torch.tensor([[251.0, 19.75]], dtype=torch.float64)
    assert float(replace(made, reach=0.1).loss([ramp], plan, near, 1.0)) == pytest.approx(cells)
    assert float(replace(made, shorten=True).loss([ramp], plan, state, 1.0)) > 3 * cells


def test_a11_adaptivedrags_mask_is_the_automatic_one() -> None:
    """That of the super-pixels under the handles and along the way, unless one was painted."""
    task, features = replace(drawn(), regions=()), RAMPS
    found = divided(task, features)
    assert found.labels is not None
    pairs = [(h.start, h.target) for h in task.handles]
    wanted = on_grid(auto_mask(pairs, labels=found.labels, features=features), Grid(64, 64), 0.5)
    made = adaptivedrag(found, "paper").constraint
    assert isinstance(made, SoftBackground) and torch.equal(made.editable, wanted)
    assert 0.005 < float(wanted.mean()) < 0.1
    assert semantic_of(found).labels is found.labels
    painted = divided(replace(task, automatic=False), features, painted=True)
    kept = adaptivedrag(painted, "paper").constraint
    assert task.editable is not None and isinstance(kept, SoftBackground)
    assert torch.equal(kept.editable, on_grid(task.editable, Grid(64, 64), 0.5))
    assert [m.name for m in METHODS.values() if m.superpixels] == ["adaptivedrag"]


def test_a12_adaptivedrag_trains_80_steps() -> None:
    training = adaptivedrag(drawn(), "paper").identity
    assert training is not None
    assert (training.rank, training.rate, training.batch, training.steps) == (16, 5e-4, 4, 80)
    for name in ("dragnext", "gooddrag"):
        other = METHODS[name].build(drawn(), "paper").identity
        assert other is not None and (other.rank, other.steps) == (16, 70)
    assert dragflow(drawn(), "paper").identity is None


def test_a13_gooddrag_makes_all_its_updates() -> None:
    recipe = gooddrag(drawn(), "paper")
    assert points_of().reach == 0 and recipe.settle == 0 and sum(map(len, recipe.ramp)) == 210
    maps = [torch.randn(1, 2, 512, 512, generator=torch.Generator().manual_seed(0)).double()]
    there = replace(points_of(), handles=(Handle((40.0, 40.0), (40.0, 40.0)),))
    state = there.init(maps)
    moved = [torch.roll(maps[0], 1, 3)]
    plan = there.plan(maps, ())
    square = (slice(None), slice(None), slice(36, 45), slice(36, 45))
    own = 81 * (moved[0][square] - maps[0][square]).abs().mean()
    assert float(there.loss(moved, plan, state, 1.0)) == pytest.approx(float(own))  # d = 0, still compared
    assert not there.track(maps, plan, state)[1]


def test_a14_gooddrags_lengths_are_pixels() -> None:
    made = points_of()
    assert made.grid == SIZE and (made.radius, made.search, made.stride) == (4, 12, 4.0)
    assert points_of("ours").grid == Grid(256, 256)


def test_a15_gooddrag_looks_for_its_handles_at_the_level_of_the_updates() -> None:
    assert gooddrag(drawn(), "paper").track_last and gooddrag(drawn(), "paper").track_every == 3
    assert not gooddrag(drawn()).track_last


def test_a16_gooddrags_step_has_its_full_length() -> None:
    """One pixel from the target the step is still 4."""
    made = points_of()
    assert not made.shorten and points_of("ours").shorten
    made = replace(made, handles=(Handle((40.0, 40.0), (41.0, 40.0)),))
    ramp = torch.arange(512.0).double().expand(1, 1, 512, 512).clone()
    plan, state = made.plan([ramp], ()), made.init([ramp])
    assert float(made.loss([ramp], plan, state, 1.0)) == pytest.approx(81 * 4)
    assert float(replace(made, shorten=True).loss([ramp], plan, state, 1.0)) == pytest.approx(81 * 1)


@pytest.mark.parametrize("variant", ["ours", "paper", "released"])
@pytest.mark.parametrize("name", METHODS)
def test_everything_may_change_where_that_is_said(name: str, variant: str) -> None:
    made = METHODS[name].build(drawn("none"), variant)  # type: ignore[arg-type]
    assert isinstance(made.constraint, FreeBackground)


def test_a_part_of_another_shape_is_refused() -> None:
    mask = torch.ones(8, 8)
    with pytest.raises(Exception, match="the map of super-pixels has shape"):
        Task(Grid(8, 8), (Region(mask, AffineMotion()),), labels=torch.zeros(4, 8, dtype=torch.int64))
    with pytest.raises(Exception, match="set preserve to False"):
        replace(semantic_of(drawn()), preserve=True)
    with pytest.raises(Exception, match="set one of the two"):
        replace(gooddrag(drawn(), "paper"), stale_tracking=True)

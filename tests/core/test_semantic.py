"""Points that carry their super-pixel, and the loop that is as long as the drag needs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from drag_core.drag import drag
from drag_core.features.descent import NormalisedDescent
from drag_core.features.semantic import SemanticSupervision
from drag_core.motion.masks import discs
from drag_core.recipes.adaptivedrag import adaptivedrag
from drag_core.result import Result
from drag_core.trajectory.constrain import FreeBackground
from drag_core.types import Grid, Handle, Task, Variant
from tests.core.analytic import Linear
from tests.core.test_drag import IMAGE, START, at, picture, recipe, source

GRID = Grid(32, 32)


def semantic(goal: tuple[float, float], **more: object) -> SemanticSupervision:
    handle = Handle(at(START), at(goal), discs([at(START)], 16, IMAGE))
    return replace(SemanticSupervision((handle,), IMAGE, GRID, 12, 3, 1.0, False), **more)  # type: ignore[arg-type]


def test_only_the_super_pixels_cells_count() -> None:
    """A feature changed outside the patch changes nothing, inside it does; by hand: cells times the mean
    of channels.
    """
    supervision = semantic((8.0, 6.0), preserve=True, stride=2.0)
    maps = [torch.zeros(1, 3, 32, 32)]
    plan = supervision.plan(maps, (1.0,))
    cells = int(plan.shape.sum())
    assert 40 < cells < 60 and plan.radius == 4  # a disc of 16 px is one of 4 cells
    state = supervision.init(maps)
    x, y = (float(v) for v in state[0])
    assert (x, y) == (10.5, 12.5) and float(supervision.loss(maps, plan, state, 1.0)) == 0
    ones = [torch.ones(1, 3, 32, 32)]
    assert float(supervision.loss(ones, plan, state, 1.0)) == pytest.approx(cells, rel=1e-5)
    far = torch.zeros(1, 3, 32, 32)
    far[..., :6, :] = 5
    assert float(supervision.loss([far], plan, state, 1.0)) == 0


class Shifted:
    """A map whose content lies `cells` further to the right than the reference's."""

    def __init__(self) -> None:
        self.reference = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(0))

    def by(self, dx: int) -> list[Tensor]:
        return [torch.roll(self.reference, dx, 3)]


@pytest.mark.parametrize(
    ("moved", "steps", "kept"),
    [(2, 12, 2), (1, 12, 1), (0, 12, 0), (-2, 12, 0), (1, 3, 0), (2, 3, 2)],  # the drag is 6 cells long
)
def test_an_update_is_kept_if_it_goes_there_by_the_ideal_step(moved: int, steps: int, kept: int) -> None:
    maps = Shifted()
    supervision = semantic((8.0, 6.0), steps=steps)
    plan = supervision.plan(maps.by(0), (1.0,))
    state = supervision.init(maps.by(0))
    assert float(supervision.ideal()[0]) == 6 / steps
    new, done = supervision.track(maps.by(moved), plan, state)
    assert new.tolist() == [[10.5 + kept, 12.5]] and not done


def test_an_arrived_handle_stays_and_ends_the_loop() -> None:
    maps = Shifted()
    supervision = semantic((8.0, 6.0))
    plan = supervision.plan(maps.by(0), (1.0,))
    there = torch.tensor([[16.5, 12.5]], dtype=torch.float64)
    for shift in (6, 5):  # one that has come within two cells no longer follows its patch
        new, done = supervision.track(maps.by(shift), plan, there)
        assert done and new.equal(there)
        there = there - torch.tensor([1.9, 0.0], dtype=torch.float64)


@pytest.mark.parametrize("variant", ["ours", "paper", "released"])
@pytest.mark.parametrize(
    ("here", "shift", "kept"),
    [((18.5, 12.5), (7, 0), True), ((18.5, 12.5), (9, 0), False), ((16.5, 16.5), (6, 2), True)],
    ids=["back", "further", "beside"],
)
def test_towards_is_counted_from_here_and_in_the_paper_from_the_start(
    variant: Variant, here: tuple[float, float], shift: tuple[int, int], kept: bool
) -> None:
    """From (10.5, 12.5) to (16.5, 12.5): past the target a handle may come back and not go on, and one beside
    the way may go across it; counted from the start (AdaptiveDrag §3.4.1), the opposite for each.
    """
    kept = kept != (variant == "paper")
    whole = torch.zeros(IMAGE.height, IMAGE.width, dtype=torch.int64)  # one super-pixel
    task = Task(IMAGE, (), semantic((8.0, 6.0)).handles, labels=whole)
    maps, made = Shifted(), adaptivedrag(task, variant).supervision
    assert isinstance(made, SemanticSupervision)
    supervision = replace(made, grid=GRID, search=3)
    plan = supervision.plan(maps.by(0), (1.0,))
    content = [torch.roll(maps.reference, shift, (3, 2))]
    new, done = supervision.track(content, plan, torch.tensor([here], dtype=torch.float64))
    assert new.tolist() == [[10.5 + shift[0], 12.5 + shift[1]] if kept else list(here)]
    assert done is (kept and shift == (7, 0))


def run(goal: tuple[float, float], most: int = 120) -> Result:
    net = Linear()
    supervision = semantic(goal, preserve=True, stride=2.0)
    choices = recipe(
        supervision,
        constraint=FreeBackground(),
        optimizer=partial(NormalisedDescent, lr=0.05),
        ramp=((1.0,) * most,),
        track_every=1,
    )
    return drag(net, source(net), choices)


def test_a_long_drag_extends_the_loop_and_a_short_one_ends_it_early() -> None:
    """Step counts: the user's n is 12; the drag of one cell ends below, that of five goes beyond, neither
    at the cap.
    """
    short, long = run((6.0, 6.0)), run((10.0, 6.0))
    print(f"updates: short {len(short.losses)}, long {len(long.losses)}, n 12, cap 120")
    assert len(short.losses) < 12 < len(long.losses) < 120
    x, y = long.traces[-1][0]
    assert abs(x - at((10.0, 6.0))[0]) < 8 and abs(y - at((10.0, 6.0))[1]) < 8
    assert len(run((10.0, 6.0), most=15).losses) == 15  # the cap holds


def test_without_regions_the_features_own_super_pixels_are_taken() -> None:
    supervision = replace(semantic((8.0, 6.0)), handles=(Handle(at(START), at((8.0, 6.0))),), count=20)
    maps = [picture()]
    plan = supervision.plan(maps, (1.0,))
    n = 2 * plan.radius + 1
    assert plan.shape.shape == (1, n, n) and 4 <= int(plan.shape.sum()) < 32 * 32
    assert plan.shape[0, plan.radius, plan.radius] == 1
    labels = torch.zeros(128, 128, dtype=torch.long)
    labels[:, 64:] = 1
    whole = replace(supervision, labels=labels).plan(maps, (1.0,))
    assert int(whole.shape.sum()) > int(plan.shape.sum())


def test_a_patch_thinner_than_a_cell_is_the_handles_own_cell() -> None:
    labels = torch.zeros(128, 128, dtype=torch.long)
    x, y = at(START)
    labels[round(y), round(x)] = 1  # one of the 16 pixels of its cell
    plan = replace(semantic((8.0, 6.0)), labels=labels).plan([torch.zeros(1, 3, 32, 32)], (1.0,))
    assert plan.radius == 0 and plan.shape.tolist() == [[[1.0]]]


def test_gradient_flows_to_the_moved_patch_alone() -> None:
    maps = Shifted()
    supervision = semantic((8.0, 6.0), stride=2.0)
    plan = supervision.plan(maps.by(0), (1.0,))
    now = maps.by(1)[0].double().requires_grad_()
    loss = supervision.loss(
        [now], supervision.plan([maps.reference.double()], (1.0,)), supervision.init([]), 1.0
    )
    (g,) = torch.autograd.grad(loss, now)
    rows, columns = torch.nonzero(g[0].abs().sum(0), as_tuple=True)
    assert rows.min() >= 12 - plan.radius and columns.min() >= 12 - plan.radius
    assert columns.max() <= 13 + plan.radius + 1

"""The draft: today's pixel warp where nothing new is asked for; bent by points; its shadow at the target."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from drag_core.bench.lit.cases import lit_cases
from drag_core.bench.scenes import DEVELOPMENT
from drag_core.motion.areas import hole
from drag_core.motion.field import origins, points_of
from drag_core.motion.geometry import motion_matrix, warp
from drag_core.motion.masks import grow, leaving, moved, on_grid
from drag_core.motion.task import joined
from drag_core.pictures.cast import cast, darkening, moved_by, shares
from drag_core.pictures.draft import draft_from, draft_of
from drag_core.pictures.inpaint import painted_over, pixel_warp
from drag_core.types import AffineMotion, DragError, Grid, Handle, Region, Task

SIZE = Grid(64, 80)


def square(x: int, y: int, side: int = 12, size: Grid = SIZE) -> Tensor:
    out = torch.zeros(size.height, size.width)
    out[y : y + side, x : x + side] = 1
    return out


def picture(seed: int = 0, size: Grid = SIZE) -> Tensor:
    return torch.rand(3, size.height, size.width, generator=torch.Generator().manual_seed(seed))


def as_before(image: Tensor, task: Task) -> Tensor:
    """The pixel warp as it was before there were drafts."""
    out = painted_over(image, leaving(task))
    for r in task.regions:
        matrix = motion_matrix(r.motion)
        cover = warp(r.mask[None, None].to(image), matrix, padding="zeros")[0]
        out = out * (1 - cover) + warp(image[None], matrix, padding="border")[0] * cover
    return out


MOTIONS = {
    "shift": AffineMotion((21.3, 9.8)),
    "path": AffineMotion((20.0, 5.0), path=((40.0, 40.0), (-3.0, 10.0))),
    "turn": AffineMotion(angle=0.7, anchor=(16.0, 16.0)),
    "scale": AffineMotion(scale=(1.4, 0.8), anchor=(16.0, 16.0)),
}


@pytest.mark.parametrize("motion", MOTIONS.values(), ids=MOTIONS)
@pytest.mark.parametrize("shadow", [None, square(22, 14)])
def test_what_is_rigid_has_the_bits_of_before(motion: AffineMotion, shadow: Tensor | None) -> None:
    """One region or several, with one point or points that agree; with its shadow left out."""
    region, other = Region(square(10, 10), motion), Region(square(40, 30), AffineMotion((-20.0, 0.0)))
    task = Task(SIZE, (region, other), (Handle((45.0, 35.0), (25.0, 35.0)),), shadow=shadow)
    out = draft_of(picture(), task, shadows=False)
    assert torch.equal(out.picture, as_before(picture(), task)) and out.notes == ()
    assert torch.equal(out.picture, pixel_warp(picture(), task.regions, leaving(task)))
    if shadow is None:
        assert torch.equal(draft_of(picture(), task).picture, out.picture)
    arrived = torch.maximum(moved(region), moved(other))
    assert torch.equal(out.hole, grow(leaving(task), 5) * (1 - arrived))


def test_the_cells_of_the_hole_are_those_that_a_start_draws_anew() -> None:
    task = Task(SIZE, (Region(square(10, 10), AffineMotion((24.0, 9.0))),))
    cells = on_grid(draft_of(picture(), task).hole, task.latent, 0.3)
    assert torch.equal(cells * (1 - on_grid(moved(task.regions[0]), task.latent, 0.05)), hole(task))


def test_lit_scenes_have_the_bits_of_before() -> None:
    for case in lit_cases(1, DEVELOPMENT):
        assert torch.equal(draft_of(case.source, case.task).picture, as_before(case.source, case.task))


def test_the_end_of_a_path_counts() -> None:
    straight, around = (
        Task(SIZE, (Region(square(10, 10), AffineMotion((20.0, 5.0), path=path)),))
        for path in ((), ((-8.0, 30.0),))
    )
    assert torch.equal(draft_of(picture(), straight).picture, draft_of(picture(), around).picture)


def test_later_regions_lie_over_earlier_ones() -> None:
    image = torch.full((3, 64, 80), 0.5)
    image[:, 5:17, 5:17], image[:, 40:52, 5:17] = 0.0, 1.0
    dark = Region(square(5, 5), AffineMotion((40.0, 20.0)))
    light = Region(square(5, 40), AffineMotion((40.0, -15.0)))
    for regions, there in (((dark, light), 1.0), ((light, dark), 0.0)):
        out = draft_of(image, Task(SIZE, regions)).picture
        assert (out[:, 26:36, 46:56] - there).abs().max() <= 1e-6


def test_points_bend_a_region_as_a_pixel_after_the_other_says() -> None:
    """Against a loop that samples every pixel by hand."""
    image, mask = picture(1), square(20, 20, 20)
    handles = (Handle((22.0, 30.0), (22.0, 30.0)), Handle((37.0, 30.0), (35.0, 38.0)))
    task = Task(SIZE, (Region(mask, AffineMotion((5.0, 5.0))),), handles)
    out = draft_of(image, task)
    field = origins(*points_of(handles), SIZE)
    want, background = torch.zeros_like(image), painted_over(image, mask)
    for y in range(SIZE.height):
        for x in range(SIZE.width):
            u, v = field[y, x].tolist()
            cover, colour = bilinear(mask[None], u, v, outside=True), bilinear(image, u, v, outside=False)
            want[:, y, x] = background[:, y, x] * (1 - cover) + colour * cover
    assert (out.picture - want).abs().max() <= 1e-4
    assert out.notes[0] == "the region is bent by its 2 points in the draft, not moved as one"
    assert (out.picture - as_before(image, task)).abs().max() > 0.2
    assert out.hole[39, 39] == 1 and out.hole[30, 22] == 0  # left by the bend; held


def bilinear(x: Tensor, u: float, v: float, *, outside: bool) -> Tensor:
    """Colours at (u, v); beyond the picture 0 (outside) or its border's."""
    height, width = x.shape[-2:]
    if not outside:
        u, v = min(max(u, 0.0), width - 1.0), min(max(v, 0.0), height - 1.0)
    i, j = int(u // 1), int(v // 1)
    total = torch.zeros(x.shape[0])
    for column, a in ((i, 1 - (u - i)), (i + 1, u - i)):
        for row, b in ((j, 1 - (v - j)), (j + 1, v - j)):
            if 0 <= column < width and 0 <= row < height:
                total = total + a * b * x[:, row, column]
    return total


def test_a_point_alone_with_nothing_held_shifts_the_picture() -> None:
    image = picture(2)
    out = draft_of(image, Task(SIZE, handles=(Handle((10.0, 10.0), (17.0, 14.0)),)))
    assert (out.picture[:, 4:, 7:] - image[:, :-4, :-7]).abs().max() <= 1e-5
    assert torch.equal(out.hole, 1 - square(7, 4, 80)) and out.notes == ()


def test_points_alone_change_nothing_outside_what_may_change() -> None:
    image, editable = picture(3), square(15, 10, 40)
    task = Task(SIZE, handles=(Handle((35.0, 30.0), (40.0, 33.0)),), editable=editable)
    out = draft_of(image, task)
    assert torch.equal(out.picture * (1 - editable), image * (1 - editable)) and not out.hole.any()
    assert (out.picture[:, 33, 40] - image[:, 30, 35]).abs().max() <= 1e-4  # the target has the start's
    ramp = (torch.arange(80.0) / 80).expand(3, 64, 80)
    shift = (draft_of(ramp, task).picture - ramp) * 80  # px from the left that a colour has moved
    assert shift[:, 10:50, (15, 54)].abs().max() <= 0.5 and float(shift[0, 33, 40]) == pytest.approx(
        -5, abs=0.01
    )


def test_held_points_change_nothing() -> None:
    points = ((10.0, 10.0), (50.0, 20.0), (30.0, 50.0))
    out = draft_of(picture(4), Task(SIZE, handles=tuple(Handle(p, p) for p in points)))
    assert (out.picture - picture(4)).abs().max() <= 1e-5 and not out.hole.any()


def test_a_fold_is_said() -> None:
    a, b, c = (20.0, 30.0), (60.0, 30.0), (40.0, 10.0)
    out = draft_of(picture(), Task(SIZE, handles=(Handle(a, b), Handle(b, a), Handle(c, c))))
    assert len(out.notes) == 1 and "the draft is folded over in " in out.notes[0]


def test_a_point_beside_the_regions_is_said() -> None:
    points = (Handle((70.0, 50.0), (60.0, 50.0)), Handle((75.0, 50.0), (75.0, 50.0)))
    out = draft_of(picture(), Task(SIZE, (Region(square(10, 10), MOTIONS["shift"]),), points))
    assert out.notes == ("point 1 lies on no region, and the draft carries regions only: mark what it moves",)


def lit(depth: float = 0.4) -> tuple[Tensor, Tensor, Tensor]:
    """A red square on grey with its shadow below right: picture, mask, shadow."""
    mask = square(20, 20, 16, Grid(128, 128))
    shadow = square(26, 26, 16, Grid(128, 128)) * (1 - mask)
    image = torch.full((3, 128, 128), 0.6) * (1 - depth * shadow)
    return torch.where(mask > 0.5, torch.tensor([0.8, 0.1, 0.1])[:, None, None], image), mask, shadow


def test_the_shadow_is_put_at_the_target() -> None:
    image, mask, shadow = lit()
    task = Task(Grid(128, 128), (Region(mask, AffineMotion((50.0, 40.0))),), shadow=shadow)
    out, bare = draft_of(image, task).picture, draft_of(image, task, shadows=False).picture
    there = out[:, 75:82, 87:90].mean()  # in the middle of the shadow right of the square, (50, 40) away
    assert float(there) == pytest.approx(0.36, abs=0.03) and float(bare[:, 75:82, 87:90].mean()) >= 0.59
    assert (out[:, 20:45, 20:45] - 0.6).abs().max() <= 0.01  # and not where it was
    assert (out[:, 62:74, 72:84] - image[:, 22:34, 22:34]).abs().max() <= 1e-5  # the thing lies over it
    assert (out - bare).amax() <= 1e-6  # a shadow never brightens


def test_without_a_shadow_there_is_nothing_to_move() -> None:
    image, mask, shadow = lit(0.0)
    region = Region(mask, AffineMotion((50.0, 40.0)))
    none = darkening(image, painted_over(image, torch.maximum(mask, shadow)), mask, shadow)
    assert (none - 1).abs().max() <= 0.01
    assert torch.equal(cast(image, torch.ones_like(image), motion_matrix(region.motion)), image)


def test_a_turn_moves_the_shadow_by_the_middles_way_only() -> None:
    region = Region(square(10, 10), AffineMotion((3.0, 4.0), 0.5, (2.0, 0.5), (9.0, 9.0)))
    matrix = moved_by(region, (16.0, 17.0), (30.0, 40.0))
    want = torch.tensor(
        [[2.0, 0, -2.0], [0, 0.5, 31.5], [0, 0, 1]], dtype=torch.float64
    )  # 30 - 2·16, 40 - 17/2
    assert torch.equal(matrix, want)
    straight = replace(region.motion, angle=0.0)
    m = motion_matrix(straight)
    goal = (m @ torch.tensor([16.0, 17.0, 1.0], dtype=torch.float64)).tolist()
    assert (moved_by(region, (16.0, 17.0), (goal[0], goal[1])) - m).abs().max() <= 1e-12


def test_each_region_has_the_shadow_nearest_to_it() -> None:
    a, b = square(5, 20, 8), square(60, 20, 8)
    shadow = torch.maximum(square(8, 24, 8) * (1 - a), square(63, 24, 8) * (1 - b))
    task = Task(SIZE, (Region(a, AffineMotion()), Region(b, AffineMotion())), shadow=shadow)
    left, right = shares(task)
    assert torch.equal(left, square(8, 24, 8) * (1 - a)) and torch.equal(left + right, shadow)


def test_another_size_is_refused() -> None:
    task = Task(SIZE, (Region(square(10, 10), AffineMotion((5.0, 5.0))),))
    with pytest.raises(DragError, match=r"the picture has shape \(3, 30, 30\) and .* 80x64"):
        draft_of(torch.zeros(3, 30, 30), task)


def test_a_task_that_changes_nothing_is_the_picture() -> None:
    out = draft_of(picture(), Task(SIZE))
    assert torch.equal(out.picture, picture()) and not out.hole.any()


def test_a_users_own_draft_counts_where_it_differs_and_may() -> None:
    image, editable = picture(5), square(0, 0, 60)
    own = image.clone()
    own[:, 10:20, 10:20] = 1 - own[:, 10:20, 10:20]
    own[:, 30:32, 70:72] = 0.5  # outside what may change
    own = own + 0.5 / 255  # stored in 8 bits
    task = Task(SIZE, editable=editable)
    out = draft_from(own, image, task)
    # the disc of 5 px around what differs: 5 px straight on, not in the corner
    assert out.hole[15, 24] == 1 and out.hole[15, 26] == 0 and out.hole[24, 24] == 0 and out.hole[31, 71] == 0
    assert torch.equal(out.picture, torch.where(out.hole > 0.5, own, image))
    assert len(out.notes) == 1 and out.notes[0].startswith("4% of what the draft changes lies outside")
    assert draft_from(own, image, replace(task, editable=None)).notes == ()


def test_an_own_draft_that_changes_nothing_or_has_another_size_is_refused() -> None:
    image, task = picture(), Task(SIZE, editable=square(0, 0, 20))
    with pytest.raises(DragError, match="the draft is the picture itself: change something"):
        draft_from(image + 1 / 255, image, task)
    beyond = image.clone()
    beyond[:, 40:, 40:] = 0
    with pytest.raises(DragError, match="the draft is the picture itself where it may change"):
        draft_from(beyond, image, task)
    with pytest.raises(DragError, match="the draft is 40x32 and the picture is 80x64"):
        draft_from(image[:, ::2, ::2], image, task)


def test_joined_tasks_bend_only_what_has_several_points() -> None:
    """Each region's own handle says what its motion says: two drags in a chain are as they were."""
    tasks = [
        Task(SIZE, (Region(m, AffineMotion(s)),), (Handle(p, (p[0] + s[0], p[1] + s[1]), m),))
        for m, s, p in (
            (square(10, 10), (20.0, 5.0), (16.0, 16.0)),
            (square(16, 16), (0.0, 20.0), (20.0, 20.0)),
        )
    ]
    task = joined(*tasks)
    assert torch.equal(draft_of(picture(), task).picture, as_before(picture(), task))

"""A drag as tracks: where every point is in every frame, in the video's own pixels."""

from __future__ import annotations

import math

import pytest
import torch

from drag_core.motion.field import carried, points_of
from drag_core.motion.tracks import tracks_of
from drag_core.types import AffineMotion, DragError, Grid, Handle, Region, Task

SIZE = Grid(40, 60)


def region(motion: AffineMotion) -> Region:
    mask = torch.zeros(40, 60)
    mask[10:21, 10:21] = 1  # its middle is (15, 15)
    return Region(mask, motion)


def test_a_point_goes_straight_at_an_even_pace() -> None:
    out = tracks_of(Task(SIZE, handles=(Handle((9.5, 19.5), (29.5, 9.5)),)), 5, SIZE)
    want = [[10 + 5 * k, 20 - 2.5 * k] for k in range(5)]  # a pixel's middle is at a half
    assert out.path.dtype == torch.float32 and out.path[:, 0].tolist() == want
    assert out.visible.dtype == torch.bool and out.visible.shape == (5, 1) and out.visible.all()


def test_a_video_of_another_size_has_its_own_pixels() -> None:
    task = Task(SIZE, handles=(Handle((29.5, 19.5), (59.5, 39.5)),))
    out = tracks_of(task, 2, Grid(480, 832))
    assert (out.path[:, 0] - torch.tensor([[416.0, 240.0], [832.0, 480.0]])).abs().max() <= 1e-3


def test_a_region_goes_along_its_path_by_length() -> None:
    moving = region(AffineMotion((10.0, 10.0), path=((10.0, 0.0),)))
    out = tracks_of(Task(SIZE, (moving,)), 5, SIZE, samples=0)
    assert out.path[:, 0].tolist() == [
        [15.5 + x, 15.5 + y] for x, y in ((0, 0), (5, 0), (10, 0), (10, 5), (10, 10))
    ]


def test_a_turn_keeps_distances_in_every_frame_and_ends_where_it_should() -> None:
    turning = region(AffineMotion(angle=math.pi / 2, anchor=(15.0, 15.0)))
    out = tracks_of(Task(SIZE, (turning,), (Handle((20.0, 15.0), (15.0, 20.0)),)), 9, SIZE, samples=4)
    assert out.path.shape == (9, 5, 2)  # the point on the region goes with it
    at = out.path.double() - 15.5
    assert (at.norm(dim=-1) - at[0].norm(dim=-1)).abs().max() <= 1e-5
    assert (at[-1] - torch.stack([-at[0, :, 1], at[0, :, 0]], -1)).abs().max() <= 1e-5


def test_points_that_bend_a_region_carry_its_outline() -> None:
    held, pulled = Handle((11.0, 15.0), (11.0, 15.0)), Handle((19.0, 15.0), (19.0, 25.0))
    out = tracks_of(Task(SIZE, (region(AffineMotion((3.0, 3.0))),), (held, pulled)), 3, SIZE, samples=4)
    assert out.path.shape == (3, 7, 2)
    assert (out.path[:, 5] - torch.tensor([11.5, 15.5])).abs().max() <= 1e-6
    assert (out.path[:, 6] - torch.tensor([[19.5, 15.5], [19.5, 20.5], [19.5, 25.5]])).abs().max() <= 1e-6
    starts, targets = points_of((held, pulled))
    for frame, goal in ((1, (starts + targets) / 2), (2, targets)):
        want = carried(out.path[0, :5].double() - 0.5, starts, goal) + 0.5
        assert (out.path[frame, :5] - want).abs().max() <= 1e-5


def test_the_first_frame_is_the_picture() -> None:
    moving = region(AffineMotion((10.0, 0.0), 0.4, (1.5, 1.5), (12.0, 12.0)))
    one, many = (tracks_of(Task(SIZE, (moving,)), n, SIZE) for n in (1, 30))
    assert torch.equal(one.path[0], many.path[0])


def test_what_has_no_tracks_is_refused() -> None:
    with pytest.raises(DragError, match="the drag moves nothing"):
        tracks_of(Task(SIZE), 5, SIZE)
    task = Task(SIZE, handles=(Handle((1.0, 1.0), (2.0, 2.0)),))
    with pytest.raises(DragError, match="the tracks have 0 frames; it must be within 1 and 1024"):
        tracks_of(task, 0, SIZE)
    with pytest.raises(DragError, match="-1 points along an outline"):
        tracks_of(task, 5, SIZE, samples=-1)

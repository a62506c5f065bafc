"""The pixel-centre convention, by hand; and what every motion must keep, by search."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from drag_core.motion.geometry import (
    apply,
    motion_matrix,
    rescale,
    rotation,
    sample,
    sampling_grid,
    scaling,
    to_grid,
    translation,
    turn_angle,
    warp,
)
from drag_core.types import AffineMotion, Grid
from tests.core.analytic import blob, centre_of_mass

QUICK = settings(max_examples=40, deadline=None, derandomize=True)
EYE = torch.eye(3, dtype=torch.float64)
place = st.tuples(st.floats(-200, 200), st.floats(-200, 200))
progress = st.floats(0, 1)
sizes = st.builds(Grid, st.integers(1, 300), st.integers(1, 300))
motions = st.builds(
    AffineMotion,
    shift=place,
    angle=st.floats(-math.pi, math.pi),
    scale=st.tuples(st.floats(0.3, 3), st.floats(0.3, 3)),
    anchor=place,
)


def dot(x: int, y: int, height: int = 9, width: int = 12) -> Tensor:
    image = torch.zeros(1, 1, height, width)
    image[0, 0, y, x] = 1
    return image


@pytest.mark.parametrize(
    ("motion", "point", "want"),
    [
        (translation((3, 4), (7.5, 2)), (1, 1), (5.5, -1)),
        (AffineMotion(angle=math.pi / 2, anchor=(10, 20)), (13, 20), (10, 23)),  # clockwise on screen
        (rotation((80, 64), (64, 80), (64, 64)), (64, 80), (48, 64)),
        (scaling((2, 0.5), (10, 20)), (13, 24), (16, 22)),
        (AffineMotion(shift=(1, 2), angle=math.pi / 2, scale=(3, 1), anchor=(5, 5)), (7, 5), (6, 13)),
    ],
)
def test_a_motion_carries_a_point(
    motion: AffineMotion, point: tuple[float, float], want: tuple[float, float]
) -> None:
    assert apply(motion_matrix(motion), point) == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize(
    ("motion", "want"),
    [
        (AffineMotion(shift=(8, -4)), (2, -1)),
        (AffineMotion(angle=1.2), None),
        (AffineMotion(scale=(16, 1)), (2.0, 1.0)),
    ],
)
def test_a_quarter_of_the_way(motion: AffineMotion, want: tuple[float, float] | None) -> None:
    m = motion_matrix(motion, 0.25)
    if motion.angle:
        assert math.atan2(float(m[1, 0]), float(m[0, 0])) == pytest.approx(0.3)
    elif motion.shift != (0, 0):
        assert (float(m[0, 2]), float(m[1, 2])) == want
    else:
        assert (float(m[0, 0]), float(m[1, 1])) == want


@pytest.mark.parametrize(
    ("target", "degrees"),
    [((12, 13), 90.0), ((12, 7), -90.0), ((9, 10), -180.0), ((15, 10), 0.0), ((9, 10.3), 174.2894)],
)
def test_turn_angle_is_the_shorter_way(target: tuple[float, float], degrees: float) -> None:
    assert math.degrees(turn_angle((20, 10), target, (12, 10))) == pytest.approx(degrees, abs=1e-4)


@pytest.mark.parametrize("cell", [0, 1, 7])
def test_cells_of_eight_pixels(cell: int) -> None:
    """Cell k of a grid 8 times coarser has its centre between pixels 8k+3 and 8k+4."""
    image, latent = Grid(64, 64), Grid(8, 8)
    assert apply(to_grid(latent, image), (cell, 0)) == pytest.approx((8 * cell + 3.5, 3.5))
    assert apply(to_grid(image, latent), (8 * cell + 3.5, 3.5)) == pytest.approx((cell, 0))


def test_rescaled_motions() -> None:
    image, latent = Grid(64, 128), Grid(8, 16)
    shift = rescale(motion_matrix(AffineMotion(shift=(24, 16))), image, latent)
    assert torch.allclose(shift, motion_matrix(AffineMotion(shift=(3, 2))))
    turn = rescale(motion_matrix(AffineMotion(angle=0.7, anchor=(35.5, 27.5))), image, latent)
    assert torch.allclose(turn, motion_matrix(AffineMotion(angle=0.7, anchor=(4, 3))))
    uneven = rescale(motion_matrix(AffineMotion(shift=(24, 16))), image, Grid(32, 16))
    assert torch.allclose(uneven, motion_matrix(AffineMotion(shift=(3, 8))))


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize(
    ("motion", "lands"),
    [
        (AffineMotion(shift=(4, 2)), (6, 5)),
        (AffineMotion(angle=math.pi / 2, anchor=(4, 3)), (4, 1)),
        (AffineMotion(angle=math.pi, anchor=(5.5, 4)), (9, 5)),  # about the picture's centre: both ends swap
        (AffineMotion(), (2, 3)),
    ],
)
def test_a_warp_moves_one_exact_pixel(motion: AffineMotion, lands: tuple[int, int], mode: str) -> None:
    moved = warp(dot(2, 3), motion_matrix(motion), mode=mode, padding="zeros")
    assert torch.allclose(moved, dot(*lands), atol=1e-5)


def test_half_a_pixel_splits_in_two() -> None:
    moved = warp(dot(2, 3), motion_matrix(AffineMotion(shift=(0.5, 0))), padding="zeros")
    assert torch.allclose(moved, (dot(2, 3) + dot(3, 3)) / 2, atol=1e-6)


@pytest.mark.parametrize(("padding", "left"), [("zeros", 0.0), ("border", 1.0)])
def test_what_comes_from_outside(padding: str, left: float) -> None:
    moved = warp(torch.ones(1, 1, 4, 4), motion_matrix(AffineMotion(shift=(2, 0))), padding=padding)
    assert moved[0, 0, 1].tolist() == [left, left, 1, 1]


def test_sampling_reads_pixel_centres() -> None:
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    at = torch.tensor([[0.0, 0.0], [3.0, 2.0], [1.5, 1.0], [0.25, 0.5], [-0.5, 0.0]])
    assert torch.allclose(
        sample(image, at, padding="zeros")[0], torch.tensor([0.0, 11.0, 5.5, 2.25, 0.0]), atol=1e-5
    )
    assert sampling_grid(motion_matrix(AffineMotion(shift=(3, 1))), Grid(2, 2))[1, 0].tolist() == [-3, 0]


def test_a_sampling_grid_is_where_its_matrix_is() -> None:
    """The tap probe makes it on the card: one made on the CPU cannot be multiplied there."""
    matrix = torch.eye(3, dtype=torch.float64, device="meta")
    assert sampling_grid(matrix, Grid(4, 6)).device == matrix.device


@QUICK
@given(motions)
def test_no_progress_is_no_motion(motion: AffineMotion) -> None:
    assert torch.allclose(motion_matrix(motion, 0.0), EYE, atol=1e-9)


@QUICK
@given(place, place, progress, progress)
def test_parts_of_the_way_add_up(
    shift: tuple[float, float], anchor: tuple[float, float], a: float, b: float
) -> None:
    turn = AffineMotion(angle=shift[0] / 70, anchor=anchor)
    for motion in (AffineMotion(shift=shift), turn, scaling((2.0, 0.5), anchor)):
        whole = motion_matrix(motion, a + b)
        assert torch.allclose(motion_matrix(motion, a) @ motion_matrix(motion, b), whole, atol=1e-9)


@QUICK
@given(st.floats(-math.pi, math.pi), place, place, progress)
def test_turning_keeps_the_distance_to_the_anchor(
    angle: float, anchor: tuple[float, float], point: tuple[float, float], part: float
) -> None:
    moved = apply(motion_matrix(AffineMotion(angle=angle, anchor=anchor), part), point)
    assert math.dist(moved, anchor) == pytest.approx(math.dist(point, anchor), abs=1e-9)


@QUICK
@given(place, place, place)
def test_a_rotation_points_the_start_at_the_target(
    start: tuple[float, float], target: tuple[float, float], anchor: tuple[float, float]
) -> None:
    if min(math.dist(start, anchor), math.dist(target, anchor)) < 1:
        return
    end = apply(motion_matrix(rotation(start, target, anchor)), start)
    gap = turn_angle(end, target, anchor)
    assert abs(gap) < 1e-6 or abs(abs(gap) - 2 * math.pi) < 1e-6
    assert -math.pi <= turn_angle(start, target, anchor) < math.pi


@QUICK
@given(motions, sizes, sizes)
def test_rescaling_there_and_back(motion: AffineMotion, a: Grid, b: Grid) -> None:
    matrix = motion_matrix(motion)
    assert torch.allclose(rescale(rescale(matrix, a, b), b, a), matrix, atol=1e-8)
    assert torch.allclose(to_grid(a, b) @ to_grid(b, a), EYE, atol=1e-9)


@QUICK
@given(st.floats(-4, 4), st.floats(-4, 4), st.floats(-math.pi, math.pi))
def test_a_blob_away_from_the_border_keeps_its_mass_and_lands_where_it_should(
    x: float, y: float, angle: float
) -> None:
    picture = blob((11, 13), size=24, spread=2.0, channels=1)
    motion = AffineMotion(shift=(x, y), angle=angle, anchor=(11.5, 11.5))
    moved = warp(picture, motion_matrix(motion), padding="zeros")
    assert float(moved.sum()) == pytest.approx(float(picture.sum()), rel=0.01)
    assert centre_of_mass(moved) == pytest.approx(apply(motion_matrix(motion), (11, 13)), abs=0.1)

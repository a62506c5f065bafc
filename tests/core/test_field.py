"""The field that joins several points: exact where it can be, held where it must be, folds are counted."""

from __future__ import annotations

import cmath
import math

import pytest
import torch
from torch import Tensor

from drag_core.motion.field import (
    NODES,
    bends,
    carried,
    folded,
    held_border,
    on_regions,
    origins,
    points_of,
)
from drag_core.motion.geometry import sampling_grid
from drag_core.types import AffineMotion, Grid, Handle, Region, Task

SIZE = Grid(20, 30)


def table(*points: tuple[float, float]) -> Tensor:
    return torch.tensor(points, dtype=torch.float64)


def identity(size: Grid) -> Tensor:
    return sampling_grid(torch.eye(3, dtype=torch.float64), size)


def by_hand(
    v: complex, starts: list[complex], targets: list[complex], power: float = 2.0, form: str = "rigid"
) -> complex:
    """One place, as the paper writes it: f(v) = turn · (v - p*) + q*."""
    w = [1 / abs(p - v) ** (2 * power) for p in starts]
    p0 = sum(a * p for a, p in zip(w, starts, strict=True)) / sum(w)
    q0 = sum(a * q for a, q in zip(w, targets, strict=True)) / sum(w)
    turn = sum(a * (p - p0).conjugate() * (q - q0) for a, p, q in zip(w, starts, targets, strict=True))
    size = abs(turn) if form == "rigid" else sum(a * abs(p - p0) ** 2 for a, p in zip(w, starts, strict=True))
    return q0 + turn / size * (v - p0)


@pytest.mark.parametrize("form", ["rigid", "similarity"])
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_every_pixel_is_the_papers_formula(form: str, power: float) -> None:
    g = torch.Generator().manual_seed(3)
    starts, targets = (torch.rand(5, 2, generator=g, dtype=torch.float64) * 20 for _ in range(2))
    out = carried(identity(SIZE).reshape(-1, 2), starts, targets, form=form, power=power)  # type: ignore[arg-type]
    p, q = ([complex(*x) for x in t.tolist()] for t in (starts, targets))
    for k in range(SIZE.height * SIZE.width):
        want = by_hand(complex(k % SIZE.width, k // SIZE.width), p, q, power, form)
        assert abs(complex(*out[k].tolist()) - want) <= 1e-9


def test_one_point_carries_everything_by_its_shift() -> None:
    out = origins(table((4.3, 5.0)), table((11.1, 2.5)), SIZE)
    assert (out - (identity(SIZE) - table((6.8, -2.5))[0])).abs().max() <= 1e-12


@pytest.mark.parametrize("form", ["rigid", "similarity"])
def test_two_points_that_keep_their_distance_turn_everything(form: str) -> None:
    turn, about = cmath.rect(1, 0.7), 9 + 4j
    starts = [3 + 3j, 17 + 8j]
    targets = [about + turn * (p - about) for p in starts]
    at = identity(SIZE).reshape(-1, 2)
    out = carried(at, *(table(*((z.real, z.imag) for z in x)) for x in (starts, targets)), form=form)  # type: ignore[arg-type]
    want = [about + turn * (complex(*v) - about) for v in at.tolist()]
    assert (out - table(*((z.real, z.imag) for z in want))).abs().max() <= 1e-9


def test_two_points_that_part_are_met_by_both_and_scale_only_the_similarity() -> None:
    starts, targets = table((5, 5), (15, 5)), table((5, 5), (25, 5))
    for form in ("rigid", "similarity"):
        assert (carried(starts, starts, targets, form=form) - targets).abs().max() <= 1e-9  # type: ignore[arg-type]
    double = carried(table((10, 9)), starts, targets, form="similarity")
    assert (double - table((15, 13))).abs().max() <= 1e-9  # 2·(10 - 5) + 5, 2·(9 - 5) + 5
    rigid = carried(table((10, 9)), starts, targets)
    assert (rigid - table((15, 9))).abs().max() <= 1e-9  # the middle's shift, no stretch


def test_where_all_is_held_nothing_moves() -> None:
    held = table((2, 3), (14, 4), (8.5, 15))
    assert (origins(held, held, SIZE) - identity(SIZE)).abs().max() <= 1e-9


def test_targets_come_from_their_starts_also_in_a_large_picture() -> None:
    starts, targets = table((100, 100), (300, 100), (200, 220)), table((112, 90), (300, 130), (200, 220))
    field = origins(starts, targets, Grid(300, 400))
    assert max(400, 300) > NODES  # so that it is computed at every other pixel
    for start, (x, y) in zip(starts, targets.int().tolist(), strict=True):
        assert (field[y, x] - start).abs().max() <= 0.05


def test_a_linear_field_is_exact_between_the_nodes() -> None:
    big = Grid(3, 2 * NODES + 7)
    out = origins(table((1, 1)), table((3.5, 2)), big)
    assert (out - (identity(big) - table((2.5, 1))[0])).abs().max() <= 1e-9


def test_folds_are_counted_by_hand() -> None:
    """x -> |x - 4|: three cells rise from 4 on, four fall before it."""
    field = identity(Grid(3, 8))
    everywhere = torch.ones(3, 8)
    assert folded(field, everywhere) == 0
    field[..., 0] = (field[..., 0] - 4).abs()
    assert folded(field, everywhere) == 4 * 2
    everywhere[:, :2] = 0
    assert folded(field, everywhere) == 2 * 2


def test_points_that_change_places_fold() -> None:
    swapped = origins(table((5, 10), (25, 10), (15, 2)), table((25, 10), (5, 10), (15, 2)), SIZE)
    near = origins(table((5, 10), (25, 10), (15, 2)), table((6, 10), (25, 9), (15, 2)), SIZE)
    assert folded(swapped, torch.ones(20, 30)) > 0 == folded(near, torch.ones(20, 30))


def test_a_border_is_held_where_it_touches_what_may_not_change() -> None:
    editable = torch.zeros(20, 30)
    editable[:, :12] = 1  # the picture's own border holds nothing
    held = held_border(editable, editable)
    assert {(x, y) for x, y in held.tolist()} == {(11.0, float(y)) for y in range(20)}
    assert held_border(editable, None).shape == (0, 2)
    assert len(held_border(editable, editable, most=7)) == 7
    inner = torch.zeros(20, 30)
    inner[4:8, 4:8] = 1  # a region well inside
    assert len(held_border(inner, editable)) == 0


def square(x: int, y: int, side: int = 8) -> Tensor:
    out = torch.zeros(20, 30)
    out[y : y + side, x : x + side] = 1
    return out


def test_points_belong_to_what_they_start_on_the_last_on_top() -> None:
    a, b = square(2, 2), square(6, 6)
    on_both, on_a, on_none = Handle((7, 7), (9, 9)), Handle((3, 3), (5, 5)), Handle((25, 3), (26, 3))
    made = Handle((7, 7), (9, 9), a.clone())  # made for a's pixels
    task = Task(
        SIZE,
        (Region(a, AffineMotion()), Region(b, AffineMotion())),
        (on_both, on_a, on_none, made),
    )
    assert on_regions(task) == [(on_a, made), (on_both,)]


def test_points_that_say_what_the_motion_says_bend_nothing() -> None:
    region = Region(square(4, 4), AffineMotion(angle=math.pi / 2, anchor=(8, 8)))
    with_it = [Handle((9, 8), (8, 9)), Handle((8, 9.3), (6.7, 8))]
    assert not bends(region, with_it) and not bends(region, [Handle((9, 8), (20, 8))])
    assert bends(region, [*with_it, Handle((7, 7), (7, 7))])


def test_held_points_are_added_at_both_ends() -> None:
    starts, targets = points_of([Handle((1, 2), (3, 4))], table((5, 6)))
    assert starts.tolist() == [[1, 2], [5, 6]] and targets.tolist() == [[3, 4], [5, 6]]

"""The metrics on pictures small enough to compute by hand, and the report as a whole."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from drag_core.metrics.dai import RADII, dai
from drag_core.metrics.line import Line
from drag_core.metrics.plain import carried
from drag_core.metrics.region import l1, psnr, ssim, ssim_map
from drag_core.metrics.report import Report, as_dict, as_saved, measure, table
from drag_core.pictures.overlay import BLUE, GREEN, outlines
from drag_core.types import AffineMotion, DragError, Grid, Handle, Region, Task

SIZE = Grid(64, 80)


def noise(seed: int, height: int = 64, width: int = 80) -> Tensor:
    """8-bit pixels, as a loaded picture has them."""
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=g) / 255


def box(rows: slice, columns: slice, height: int = 64, width: int = 80) -> Tensor:
    mask = torch.zeros(height, width)
    mask[rows, columns] = 1
    return mask


SOURCE = box(slice(10, 26), slice(8, 24))  # centre (15.5, 17.5)
TARGET = box(slice(26, 42), slice(38, 54))
MOVE = AffineMotion(shift=(30.0, 16.0))
EDITABLE = box(slice(4, 48), slice(2, 60))
TASK = Task(SIZE, (Region(SOURCE, MOVE),), (Handle((15.0, 17.0), (45.0, 33.0)),), EDITABLE)


def edit(original: Tensor, shift: tuple[int, int] = (30, 16)) -> Tensor:
    """The source box copied, and its old place filled with other noise."""
    out = original.clone()
    dx, dy = shift
    out[:, 10:26, 8:24] = noise(99)[:, 10:26, 8:24]
    out[:, 10 + dy : 26 + dy, 8 + dx : 24 + dx] = original[:, 10:26, 8:24]
    return out


def line(report: Report, key: str) -> Line:
    return next(x for x in report.lines if x.key == key)


def test_dai_divides_by_the_pairs_once_or_twice() -> None:
    a, b = torch.zeros(3, 20, 30), torch.zeros(3, 20, 30)
    b[:, 4:7, 4:7] = 0.5  # the 3x3 patch around (5, 5); the other pair's patches are equal
    got = dai(a, b, [((20.0, 10.0), (5.0, 5.0)), ((20.0, 10.0), (20.0, 10.0))], 1)
    assert got.paper == pytest.approx(3 * 0.25 / 2) and got.script == pytest.approx(3 * 0.25 / 4)
    one = dai(a, b, [((20.0, 10.0), (4.6, 5.4))], 1)  # to the nearest pixel
    assert one.paper == one.script == pytest.approx(0.75)
    assert dai(a, b, [((20.0, 10.0), (5.0, 5.0))], 2).paper == pytest.approx(0.75 * 9 / 25)


def test_dai_leaves_out_what_leaves_the_picture() -> None:
    a = noise(1, 20, 30)
    for inside, outside in (
        ((5.0, 5.0), (4.0, 5.0)),
        ((24.0, 14.0), (25.0, 14.0)),
        ((24.0, 14.0), (24.0, 15.0)),
    ):
        for pair in ((inside, outside), (outside, inside)):
            got = dai(a, a, [(inside, inside), pair], 5)
            assert (got.pairs, got.skipped, got.paper) == (1, 1, 0.0)
            assert math.isnan(dai(a, a, [pair], 5).script)
    assert math.isnan(dai(a, a, [], 1).paper)


def test_psnr() -> None:
    a = torch.zeros(3, 8, 8)
    b = a.clone()
    b[:, :4] = 0.1
    top = torch.zeros(8, 8)
    top[:4] = 1
    assert psnr(a, b, top) == pytest.approx(20, abs=1e-4) and psnr(a, b, 1 - top) == pytest.approx(100)
    assert psnr(a, b) == pytest.approx(20 + 10 * math.log10(2), abs=1e-4)
    assert math.isnan(psnr(a, b, torch.zeros(8, 8)))


def test_l1() -> None:
    a, b = torch.zeros(3, 8, 8), torch.zeros(3, 8, 8)
    b[0, :4] = -0.3
    assert l1(a, b) == pytest.approx(0.05) and l1(a, b, (b[0] < 0).float()) == pytest.approx(0.1)


def test_ssim_of_flat_pictures() -> None:
    """No variance: only the means speak."""
    a, b = torch.full((3, 16, 16), 0.2), torch.full((3, 16, 16), 0.4)
    want = (2 * 0.2 * 0.4 + 1e-4) / (0.2**2 + 0.4**2 + 1e-4)
    assert ssim(a, b) == pytest.approx(want, abs=1e-6)
    assert math.isnan(ssim(a[:, :10], b[:, :10]))  # nowhere 5 px off the border


def test_ssim_is_over_the_mask_without_the_frame() -> None:
    a, b = noise(1), noise(2)
    left = box(slice(0, 64), slice(0, 40))
    assert ssim(a, b, left) == pytest.approx(float(ssim_map(a, b)[5:59, 5:40].mean()))
    assert math.isnan(ssim(a, b, box(slice(0, 5), slice(0, 80))))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 1000))
def test_numbers_are_the_same_both_ways(one: int, other: int) -> None:
    a, b = noise(one, 24, 20), noise(other, 24, 20)
    for f in (psnr, ssim, l1):
        assert f(a, b) == pytest.approx(f(b, a), abs=1e-12)
    assert (psnr(a, a), ssim(a, a), l1(a, a)) == (100, pytest.approx(1), 0)
    assert -1 <= ssim(a, b) <= 1 + 1e-9


def test_saved_pixels() -> None:
    """As numpy.clip(255 * x, 0, 255).astype(uint8), which cuts off."""
    eight_bits = torch.arange(256) / 255
    assert torch.equal(as_saved(eight_bits), torch.arange(256).double() / 255)
    assert torch.equal(
        as_saved(torch.tensor([-0.2, 0.9 / 255, 1.3])) * 255, torch.tensor([0.0, 0, 255]).double()
    )


def test_a_perfect_edit() -> None:
    a = noise(1)
    b = edit(a)
    r = measure(a, b, TASK, reference=b)
    for radius in (1, 5):
        for variant in ("paper", "script"):
            x = line(r, f"dai_{variant}_{radius}")
            assert x.edited == 0 and x.no_edit > 0.1 and x.hint == "lower is better; 1 of 1 pairs"
    for key in ("background", "moved", "reference", "reference_target", "reference_vacated"):
        assert line(r, f"{key}_psnr").edited == 100
        assert line(r, f"{key}_ssim").edited == pytest.approx(1, abs=1e-9)
    assert line(r, "background_l1").edited == 0
    assert line(r, "centroid_1").edited == 0 and line(r, "centroid_1").no_edit == 34.0  # hypot(30, 16)
    assert line(r, "moved_psnr").no_edit < 12 and line(r, "left_behind").edited < 12
    assert line(r, "left_behind").no_edit == 100 and line(r, "whole_l1").no_edit == 0
    changed = (a - b).abs().mean()
    assert (
        line(r, "whole_l1").edited
        == line(r, "reference_l1").no_edit
        == pytest.approx(float(changed), rel=1e-5)
    )


def test_what_is_left_is_held_against_the_reference() -> None:
    """Half of the vacated area right: the mean squared error is half of no edit's, 3.01 dB less."""
    a, left = torch.zeros(3, 64, 80), box(slice(10, 40), slice(5, 35))
    region = Region(left, AffineMotion(shift=(40.0, 0.0)))
    truth = torch.where(left > 0.5, torch.full_like(a, 0.4), a)
    half = truth.clone()
    half[:, 10:40, 5:20] = 0
    r = measure(a, half, Task(SIZE, (region,)), truth)
    x = line(r, "reference_vacated_psnr")
    assert x.no_edit == pytest.approx(-20 * math.log10(0.4), abs=1e-3)
    assert x.edited == pytest.approx(x.no_edit + 10 * math.log10(2), abs=1e-3)
    assert line(r, "reference_target_psnr").edited == 100
    over = Region(region.mask, AffineMotion(scale=(2.0, 2.0), anchor=(19.5, 24.5)))
    covered = line(measure(a, a, Task(SIZE, (over,)), truth), "reference_vacated_psnr")
    assert math.isnan(covered.edited) and "cover the sources" in covered.hint


def test_a_patch_that_leaves_the_picture_is_told() -> None:
    r = measure(noise(1), noise(1), TASK)
    x = line(r, "dai_paper_20")  # the handle is at (15, 17)
    assert math.isnan(x.edited)
    assert x.hint == "lower is better; 0 of 1 pairs, 1 left out: a patch of radius 20 leaves the picture"
    assert [y.key for y in r.lines[:8]] == [f"dai_{v}_{n}" for n in RADII for v in ("paper", "script")]


@pytest.mark.parametrize("miss", [(3, 0), (0, -4), (-3, 4)])
def test_centroid_error_of_a_near_miss(miss: tuple[int, int]) -> None:
    a = noise(1)
    r = measure(a, edit(a, (30 + miss[0], 16 + miss[1])), TASK)
    assert line(r, "centroid_1").edited == math.hypot(*miss)
    assert line(r, "fit_1").edited > 60 and line(r, "moved_psnr").edited < 12


def test_what_is_gone_is_not_found() -> None:
    """A smooth thing wiped off a contrasting ground: the best place is no place."""
    a = torch.full((3, 64, 80), 0.1)
    a[:, 10:26, 8:24] = 0.9
    r = measure(a, torch.full((3, 64, 80), 0.1), TASK)
    x = line(r, "centroid_1")
    assert math.isnan(x.edited) and x.no_edit == 34.0
    assert x.hint == "n/a: not found, the best place fits with 1.9 dB (under 15)"


def test_background_counts_nothing_inside_the_editable_mask() -> None:
    """SSIM's windows reach over the mask's rim; what they see there must not count."""
    a = noise(1)
    b = torch.where(EDITABLE > 0.5, noise(7), a)
    assert line(measure(a, b, TASK), "background_ssim").edited == pytest.approx(1, abs=1e-12)
    b[:, 60, 70] = 1 - b[:, 60, 70]
    assert line(measure(a, b, TASK), "background_ssim").edited < 1
    free = line(measure(a, b, Task(SIZE, TASK.regions, TASK.handles)), "background_psnr")
    assert math.isnan(free.edited) and free.hint == "n/a: everything may change"


def test_regions_that_meet() -> None:
    """The later region lies on top; each is judged where it can be seen."""
    a = noise(1)
    below, above = (
        Region(SOURCE, MOVE),
        Region(box(slice(44, 60), slice(60, 76)), AffineMotion((-14.0, -18.0))),
    )
    wanted, own = carried(a, (below, above))
    assert torch.equal(own[1], box(slice(26, 42), slice(46, 62)))
    assert torch.equal(own[0], box(slice(26, 42), slice(38, 46)))
    assert torch.allclose(wanted[:, 26:42, 38:46], a[:, 10:26, 8:16], atol=1e-4)
    assert torch.allclose(wanted[:, 26:42, 46:62], a[:, 44:60, 60:76], atol=1e-4)
    r = measure(a, as_saved(wanted + 1e-3).float(), Task(SIZE, (below, above), TASK.handles))
    assert [line(r, f"centroid_{i}").edited for i in (1, 2)] == [0, 0]
    assert line(r, "centroid_2").name == "centroid error of region 2" and line(r, "moved_psnr").edited > 60
    covered = Region(SOURCE, MOVE)
    r = measure(a, a, Task(SIZE, (covered, covered), TASK.handles))
    assert line(r, "centroid_1").hint == "n/a: under 20 pixels of it are in the picture"


def test_a_region_that_leaves_the_picture_and_one_that_covers_its_source() -> None:
    a = noise(1)
    gone = Task(SIZE, (Region(SOURCE, AffineMotion((500.0, 0.0))),), TASK.handles)
    assert line(measure(a, a, gone), "moved_psnr").hint == "n/a: too few pixels"
    still = Task(SIZE, (Region(SOURCE, AffineMotion()),), TASK.handles)
    assert line(measure(a, a, still), "left_behind").hint == "n/a: the targets cover the sources"


def test_points_alone() -> None:
    r = measure(noise(1), noise(2), Task(SIZE, (), TASK.handles), reference=noise(3))
    assert not {x.key for x in r.lines} & {"moved_psnr", "centroid_1", "left_behind", "reference_target_psnr"}
    assert line(r, "reference_psnr").edited > 0 and len(r.notes) == 1


def test_what_cannot_be_compared_is_refused() -> None:
    a = noise(1)
    with pytest.raises(DragError, match="edited picture is 72x64 and the original is 80x64"):
        measure(a, a[..., :72], TASK)
    with pytest.raises(DragError, match="reference picture is 80x60"):
        measure(a, a, TASK, a[:, :60])
    with pytest.raises(DragError, match="regions are for a 80x64 picture and these are 40x32"):
        measure(noise(1, 32, 40), noise(1, 32, 40), TASK)
    with pytest.raises(DragError, match="edited picture holds values that are no numbers"):
        measure(a, torch.full_like(a, math.nan), TASK)


def test_the_report_as_text_and_data() -> None:
    a = noise(1)
    b = edit(a)
    kept = a.clone(), b.clone()
    r = measure(a, b, TASK)
    assert (
        measure(a, b, TASK).lines[-1] == r.lines[-1] and torch.equal(a, kept[0]) and torch.equal(b, kept[1])
    )
    text = table(r).splitlines()
    assert text[0] == "Drag metrics: 80x64 picture, 1 region, 1 point pair"
    body = text[2 : 3 + len(r.lines)]
    end = body[0].index("no edit") + len("no edit")
    assert all(row[end - 1] != " " and row[end : end + 2] in ("", "  ") for row in body)
    row = next(x for x in body if x.startswith("centroid error"))
    assert row.split() == [
        "centroid",
        "error",
        "0.0",
        "px",
        "34.0",
        "px",
        *"lower is better; to 1 px".split(),
    ]
    assert text[-len(r.notes) :] == list(r.notes)
    data = json.loads(json.dumps(as_dict(r), allow_nan=False))
    assert (
        data["metrics"]["centroid_1"]["no_edit"] == 34.0 and data["metrics"]["dai_paper_20"]["edited"] is None
    )
    assert set(data["metrics"]) == {x.key for x in r.lines} and len(r.lines) == len(data["metrics"])


def test_a_turn_is_told_what_dai_means() -> None:
    turn = Task(SIZE, (Region(SOURCE, AffineMotion(angle=0.5, anchor=(15.5, 17.5))),), TASK.handles, EDITABLE)
    told = [n for n in measure(noise(1), noise(1), turn).notes if "even a perfect edit is above 0" in n]
    assert len(told) == 1 and not any("perfect" in n for n in measure(noise(1), noise(1), TASK).notes)


def test_outlines_leave_the_inside_to_see() -> None:
    a = torch.full((3, 64, 80), 0.5)
    out = outlines(a, Task(SIZE, TASK.regions))
    assert torch.allclose(out[:, 10, 12], torch.tensor(BLUE)) and torch.allclose(
        out[:, 30, 38], torch.tensor(GREEN)
    )
    assert (out[:, 14:22, 12:20] == 0.5).all() and (out[:, 50:, :] == 0.5).all() and (a == 0.5).all()
    assert not torch.equal(outlines(a, TASK), out)  # the arrow

"""Drags of lit scenes: exact, lit anew, where things belong, and the same whoever asks for them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from drag_core.bench.lit import sheet
from drag_core.bench.lit.affine import carried
from drag_core.bench.lit.cases import LIT_KINDS, lit_case, lit_case_number, lit_cases
from drag_core.bench.lit.drags import Cases, cases_of, cut_off, drags_of, make_cases
from drag_core.bench.lit.spots import GROUND, WATER
from drag_core.bench.scenes import DEVELOPMENT, HELD_OUT
from drag_core.metrics.region import psnr
from drag_core.motion.geometry import motion_matrix, warp
from drag_core.motion.masks import grow
from drag_core.pictures.files import read_picture
from drag_core.types import AffineMotion, DragError
from tests.core.test_lit_scenes import belongs

COUNT = 16
EDITS = pytest.mark.parametrize("edit", LIT_KINDS)


@cache
def cases(edit: str) -> Cases:
    return make_cases(torch.arange(5000, 5000 + COUNT), edit)


def valid(edit: str) -> list[int]:
    rows: list[int] = cases(edit).drags.valid.nonzero()[:, 0].tolist()
    assert len(rows) >= COUNT // 2
    return rows


def motion_of(c: Cases, i: int) -> AffineMotion:
    m = c.drags.motions
    (x, y), (sx, sy), (ax, ay) = (v[i].tolist() for v in (m.shift, m.scale, m.anchor))
    return AffineMotion((x, y), float(m.angle[i]), (sx, sy), (ax, ay))


def overlap(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum() / torch.maximum(a, b).sum())


@EDITS
def test_alone_and_in_a_batch(edit: str) -> None:
    c = cases(edit)
    for i in valid(edit)[:3]:
        one = lit_case(5000 + i, edit)
        assert one is not None and one.kind == edit and one.seed == 5000 + i
        for name in ("source", "truth", "empty", "with_shadow"):
            assert torch.equal(getattr(one, name), getattr(c, name)[i])
        assert torch.equal(one.mask, c.drags.mask[i])
        assert torch.equal(one.truth_mask, c.drags.truth_mask[i])
        assert one.motion == motion_of(c, i) and one.target == tuple(c.target[i].tolist())
    assert all(lit_case(5000 + i, edit) is None for i in range(COUNT) if i not in valid(edit))


@EDITS
def test_the_motion_says_what_the_drawing_does(edit: str) -> None:
    c = cases(edit)
    m = c.drags.motions
    for i in valid(edit):
        expected = motion_matrix(motion_of(c, i))
        assert torch.allclose(m.matrix[i], expected[:2], atol=1e-5, rtol=0)
        assert (m.handle[i] - c.target[i]).norm() > 2
        moved = warp(c.drags.mask[i][None, None], expected, mode="nearest", padding="zeros")[0, 0]
        # the part comes out from behind other parts, or goes there
        assert overlap(moved, c.drags.truth_mask[i]) >= (0.55 if edit == "part" else 0.95)


@EDITS
def test_things_stay_where_they_belong(edit: str) -> None:
    d = cases(edit).drags
    t, there = d.before.top, d.there
    stands = (t.spot == GROUND) | (t.spot == WATER)
    rows = torch.tensor(valid(edit))
    assert not cut_off(d.here)[rows].any() and not cut_off(there)[rows].any()
    foot = there.lowest - 0.08 * t.size  # lies lower or higher than the table says by so much at most
    if edit in ("move", "part"):
        middle = carried(d.motions.matrix, t.centre)[:, 1] if edit == "move" else t.centre[:, 1]
        assert belongs(d.before, t, foot, middle)[rows].all()
    if edit in ("scale", "part"):
        kept = (d.here.lowest - there.lowest).abs() <= 1
        assert kept[rows][stands[rows]].all() and stands[rows].any()


@EDITS
def test_pictures_differ_only_where_the_thing_and_its_shadow_are(edit: str) -> None:
    c = cases(edit)
    for i in valid(edit):
        shown = (c.source[i] - c.empty[i]).abs().amax(0) > 0.12
        whole = grow((c.drags.here.alpha[i] > 0.5).float(), 2)
        dark = grow((c.drags.here.shadow[i] > 0.08).float(), 2)
        assert not (shown & (whole == 0) & (dark == 0)).any()
        assert (c.with_shadow[i] >= c.drags.mask[i]).all()
        lying = c.drags.before.top
        if bool(lying.casts[i] | lying.drops[i]):
            assert c.with_shadow[i].sum() > c.drags.mask[i].sum()
        else:
            assert torch.equal(c.with_shadow[i], c.drags.mask[i])


def test_the_light_stays_where_it_is() -> None:
    """A moved thing is nearly its moved pixels (the corners are darker), a turned one is not."""
    found = {}
    for edit in ("move", "turn"):
        c = cases(edit)
        found[edit] = []
        for i in valid(edit):
            carried_over = warp(c.source[i][None], motion_matrix(motion_of(c, i)), padding="border")[0]
            inside = 1 - grow(1 - c.drags.truth_mask[i], 3)
            found[edit].append(psnr(carried_over.float(), c.truth[i], inside))
    mean = {k: sum(v) / len(v) for k, v in found.items()}
    assert mean["move"] > mean["turn"] + 4, mean  # 39.7, 31.4


def test_a_part_swings_about_its_joint() -> None:
    c = cases("part")
    d, m = c.drags, c.drags.motions
    assert torch.allclose(carried(m.matrix, m.anchor), m.anchor, atol=1e-9)
    for i in valid("part"):
        assert 0.25 < abs(float(m.angle[i])) < 1.7
        part = torch.maximum(d.mask[i], d.truth_mask[i])
        rest = (d.here.alpha[i] > 0.999) & (grow(part, 3) == 0)
        same = (c.source[i] == c.truth[i]).all(0)[rest]
        assert len(same) > 100 and same.float().mean() > 0.97  # a snake's tongue is thinner than masks tell


def test_what_is_edited_is_lit_by_the_same_light() -> None:
    d = cases("turn").drags
    assert torch.equal(d.before.light, d.after.light)
    assert torch.equal(d.after.top.angle, d.before.top.angle)  # the turn is on the picture


def test_held_out_cases_in_order() -> None:
    some = lit_cases(2)
    assert [c.kind for c in some] == [k for k in LIT_KINDS for _ in range(2)]
    assert len({c.seed for c in some}) == len(some)
    for kind in LIT_KINDS:
        seeds = [c.seed for c in some if c.kind == kind]
        assert HELD_OUT <= seeds[0] < seeds[1] < HELD_OUT + 100
        assert {s % len(LIT_KINDS) for s in seeds} == {LIT_KINDS.index(kind)}
    (again,) = lit_cases(1, kinds=("scale",))
    second = lit_case_number(1, "turn")
    for one, other in ((again, some[4]), (second, some[3])):
        assert (one.seed, one.motion) == (other.seed, other.motion)
        assert torch.equal(one.truth, other.truth)


def test_development_cases_are_others() -> None:
    (case,) = lit_cases(1, DEVELOPMENT, ("move",))
    assert HELD_OUT + 400_000 < DEVELOPMENT <= case.seed


def test_a_case_is_a_task() -> None:
    case = lit_case_number(0, "part")
    assert case.with_shadow is not None and case.source.shape == (3, 256, 256)
    (region,), (handle,) = case.task.regions, case.task.handles
    assert torch.equal(region.mask, case.mask) and region.motion == case.motion
    assert (handle.start, handle.target) == (case.handle, case.target)
    x, y = (round(v) for v in case.handle)
    assert case.mask[y, x] == 1
    assert (case.editable >= torch.maximum(case.mask, case.truth_mask)).all()


def test_unknown_edits_are_refused_in_one_sentence() -> None:
    for ask in (lambda: lit_cases(1, kinds=("rotate",)), lambda: drags_of(torch.arange(1), "rotate")):
        with pytest.raises(DragError, match="unknown .*'rotate' of lit scenes: use move, turn, scale, part"):
            ask()


def test_a_sheet_of_scenes_and_one_of_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet.main([str(tmp_path / "scenes.png"), "0", "3", "2"])
    sheet.main([str(tmp_path / "cases.png"), "0", "1", "2", "turn"])
    told = capsys.readouterr().out
    assert "scenes a second and core" in told and "cases a second and core" in told
    sizes = [read_picture(tmp_path / f"{n}.png").image.shape[-2:] for n in ("scenes", "cases")]
    assert sizes == [(2 * 274 + 4, 2 * 256 + 4), (274, 2 * 256 + 4)]


def test_drags_have_any_size() -> None:
    d = drags_of(torch.arange(2), "move", 64)
    c = cases_of(d)
    assert c.source.shape == (2, 3, 64, 64) and c.with_shadow.shape == (2, 64, 64)

"""Generated scenes and cases: the same for the same seed, and exact about what moved."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from drag_core.bench.cases import KINDS, held_out, make_case, measure
from drag_core.bench.scenes import (
    HELD_OUT,
    Scene,
    move_top,
    place,
    render,
    sample_scene,
    thing_mask,
    without_top,
)
from drag_core.bench.shapes import FAMILIES
from drag_core.motion.geometry import motion_matrix
from drag_core.motion.masks import centroid, grow
from drag_core.types import AffineMotion

SEEDS = range(12)
MOTIONS = {
    "move": AffineMotion(shift=(17.0, -9.0)),
    "turn": AffineMotion(angle=0.8, anchor=(128.0, 120.0)),
    "stretch": AffineMotion(scale=(1.3, 0.8), anchor=(128.0, 128.0)),
}


def without_shadow(scene: Scene) -> Scene:
    return replace(scene, things=tuple(replace(t, shadow=0.0) for t in scene.things))


def one(kind: str, seed: int = 5) -> Scene:
    """A scene with one thing of family `kind`, in the middle of the picture."""
    scene = without_shadow(sample_scene(seed, families=(kind,)))
    return replace(scene, things=(replace(scene.things[-1], centre=(128.0, 128.0), size=50.0),))


@pytest.mark.parametrize("seed", [0, 3, HELD_OUT + 1])
def test_a_seed_is_a_picture(seed: int) -> None:
    a, b = sample_scene(seed), sample_scene(seed)
    assert a == b and torch.equal(render(a), render(b))
    assert sample_scene(seed + 1) != a and not torch.equal(render(sample_scene(seed + 1)), render(a))
    picture = render(a)
    assert picture.shape == (3, 256, 256) and 0 <= picture.min() and picture.max() <= 1


@pytest.mark.parametrize("size", [256, 128])
def test_objects_are_80_to_130_px_of_256(size: int) -> None:
    for seed in range(60):
        scene = sample_scene(seed, size)
        assert 1 <= len(scene.things) <= 2
        for thing in scene.things:
            assert 80 <= 2 * thing.size * 256 / size <= 130
            assert all(thing.size < v < size - thing.size for v in thing.centre)
            assert thing.kind in FAMILIES


@pytest.mark.parametrize("kind", FAMILIES)
def test_masks_are_the_drawn_thing(kind: str) -> None:
    scene = one(kind)
    mask = thing_mask(scene)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    y, x = torch.nonzero(mask, as_tuple=True)
    extent = float(torch.hypot(x - 128.0, y - 128.0).max())
    assert 0.75 * 50 < extent < 1.3 * 50  # 1.2 at the corners of a box
    assert math.dist(centroid(mask), (128, 128)) < 0.35 * 50
    difference = (render(scene) - render(without_top(scene))).abs().amax(0)
    assert (difference[grow(mask, 2) == 0] == 0).all()
    assert (difference[mask > 0.5] > 0.02).float().mean() > 0.9


@pytest.mark.parametrize("motion", MOTIONS.values(), ids=MOTIONS)
@pytest.mark.parametrize("seed", SEEDS[:4])
def test_nothing_else_changes_when_the_top_thing_moves(seed: int, motion: AffineMotion) -> None:
    before = without_shadow(sample_scene(seed))
    after = move_top(before, motion)
    outside = torch.maximum(grow(thing_mask(before), 2), grow(thing_mask(after), 2)) == 0
    a, b = render(before), render(after)
    assert outside.any() and torch.equal(a[:, outside], b[:, outside])
    assert not torch.equal(a, b)


@pytest.mark.parametrize("seed", SEEDS[:4])
def test_whole_pixels_carry_the_thing_with_its_texture(seed: int) -> None:
    scene = one(FAMILIES[seed])
    a, b = render(scene), render(move_top(scene, AffineMotion(shift=(20.0, -12.0))))
    mask = thing_mask(scene)
    inside = (1 - grow(1 - mask, 2)) > 0.5  # off the blended rim
    assert torch.allclose(b.roll((12, -20), (1, 2))[:, inside], a[:, inside], atol=1e-4)
    assert torch.equal(
        thing_mask(move_top(scene, AffineMotion(shift=(20.0, -12.0)))), mask.roll((-12, 20), (0, 1))
    )


def test_motions_add_up() -> None:
    scene = one("face")
    x, y = scene.things[-1].centre
    turned = move_top(
        move_top(scene, AffineMotion(shift=(30.0, 0.0))), AffineMotion(angle=math.pi / 2, anchor=(x, y))
    )
    assert place(turned.things[-1]) == pytest.approx((x, y + 30))
    assert without_top(scene).things == ()


@pytest.mark.parametrize("kind", KINDS)
def test_cases(kind: str) -> None:
    case = next(c for seed in range(50) if (c := make_case(seed, kind)) is not None)
    again = make_case(case.seed, kind)
    assert again is not None and torch.equal(case.truth, again.truth) and case.motion == again.motion
    goal = motion_matrix(case.motion) @ torch.tensor([*case.handle, 1.0], dtype=torch.float64)
    assert case.target == pytest.approx(goal[:2].tolist())
    assert math.dist(case.handle, case.target) > 2
    still = case.editable == 0
    assert torch.equal(case.source[:, still], case.truth[:, still])
    assert (case.editable >= torch.maximum(case.mask, case.truth_mask)).all()
    best, worst = measure(case.truth, case), measure(case.source, case)
    assert best["centroid"] == 0 and best["target"] > 90
    assert worst["target"] < best["target"] and worst["background"] == pytest.approx(100)


def test_held_out_cases_were_never_trained_on() -> None:
    cases = held_out(per_kind=2)
    assert [c.kind for c in cases] == [k for k in KINDS for _ in range(2)]
    assert all(c.seed >= HELD_OUT for c in cases) and len({c.seed for c in cases}) == 6
    assert [c.seed for c in cases] == sorted(c.seed for c in cases)

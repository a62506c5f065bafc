"""Lit scenes: the same for the same seed alone and in a batch, things where they belong, exact edits."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from drag_core.bench.lit.belonging import APART, feet, ground_of, spots_of
from drag_core.bench.lit.drags import cut_off
from drag_core.bench.lit.places.table import PLACES, ROWS
from drag_core.bench.lit.render import pictures, top_layer
from drag_core.bench.lit.sampling import sample
from drag_core.bench.lit.scene import Scenes, Things
from drag_core.bench.lit.spots import AIR, DEEP, FLAT, GROUND, SPOTS, WATER
from drag_core.bench.lit.things.table import KINDS, NAMES
from drag_core.bench.scenes import DEVELOPMENT, HELD_OUT

MANY = 300
# ball on a table, robot in the night, fish: red, green, blue of the quarters
GOLDEN = (
    ((0.473, 0.568, 0.549, 0.605), (0.524, 0.632, 0.455, 0.464), (0.544, 0.655, 0.404, 0.359)),
    ((0.241, 0.161, 0.277, 0.270), (0.242, 0.164, 0.229, 0.261), (0.331, 0.272, 0.316, 0.319)),
    ((0.439, 0.506, 0.362, 0.358), (0.666, 0.645, 0.467, 0.494), (0.765, 0.682, 0.524, 0.549)),
)


@cache
def scenes() -> Scenes:
    return sample(torch.arange(MANY))


def things(s: Scenes) -> list[tuple[Things, int, str, str]]:
    """(slot, row, kind, place) of everything that is there."""
    names = list(PLACES)
    return [
        (t, i, NAMES[int(t.kind[i])], names[int(s.place[i])])
        for t in s.things
        for i in t.present.nonzero()[:, 0].tolist()
    ]


def test_a_seed_is_a_picture_alone_and_in_a_batch() -> None:
    seeds = torch.tensor([0, 7, HELD_OUT, HELD_OUT + 3, DEVELOPMENT + 1])
    together = pictures(seeds)
    assert together.shape == (5, 3, 256, 256) and 0 <= together.min() and together.max() <= 1
    for i, seed in enumerate(seeds):
        assert torch.equal(pictures(seed[None])[0], together[i])
    assert torch.equal(pictures(seeds.flip(0)), together.flip(0))
    assert all(not torch.equal(together[i], together[j]) for i in range(5) for j in range(i))


def test_a_scene_has_the_same_things_at_half_the_size() -> None:
    s, half = scenes(), sample(torch.arange(MANY), 128)
    for a, b in zip(s.things, half.things, strict=True):
        assert torch.equal(a.kind, b.kind) and torch.equal(a.present, b.present)
        assert torch.allclose(a.size / 2, b.size) and torch.allclose(a.centre / 2, b.centre, atol=0.6)


def test_the_pictures_are_those_of_before() -> None:
    """The mean colours of the four quarters of three pictures: trained models know them."""
    found = F.adaptive_avg_pool2d(pictures(torch.tensor([1, 2, 25])), 2).flatten(2)
    assert torch.allclose(found, torch.tensor(GOLDEN), atol=0.004)


def test_every_kind_and_every_place_comes() -> None:
    seen = things(scenes())
    assert {place for *_, place in seen} == set(PLACES)
    assert {kind for _, _, kind, _ in seen} == set(KINDS)
    shares = [float(t.present.float().mean()) for t in scenes().things]
    assert 0.2 < shares[0] < shares[1] < 0.5 and shares[2] == 1


def test_kinds_are_on_spots_where_they_belong() -> None:
    s = scenes()
    for t, i, kind, place in things(s):
        spot = SPOTS[int(t.spot[i])]
        assert spot in PLACES[place].spots, (kind, place)
        assert spot == "flat" or spot in KINDS[kind].where, (kind, place)
        if not PLACES[place].others:
            assert kind in PLACES[place].fits


def test_what_flies_is_never_on_the_ground_and_what_stands_never_in_the_air() -> None:
    for name, kind in KINDS.items():
        assert set(kind.where) <= set(SPOTS) - {"flat"}
        assert ("air" in kind.where) == (name in "balloon bird butterfly kite rocket star".split())
        assert ("water" in kind.where) == (name == "boat") and ("deep" in kind.where) == (name == "fish")
    for name, place in PLACES.items():
        assert set(place.fits) <= set(KINDS) and set(place.spots) <= set(SPOTS)
        assert all(spots_of(place, KINDS[k]) for k in place.fits), name


def belongs(s: Scenes, t: Things, foot: Tensor, middle: Tensor) -> Tensor:
    """Whether things with this foot and middle (B,), rows of the picture, are where they belong."""
    ground, water = ground_of(s)
    horizon, rest = s.horizon * s.size, 0.98 * s.size
    rules = {
        GROUND: (foot >= ground - 1) & (foot <= rest),
        WATER: (foot > horizon) & (foot <= torch.minimum(water + 1, torch.full_like(water, rest))),
        AIR: foot < torch.where(s.horizon < 0.9, horizon, torch.full_like(horizon, s.size)),
        DEEP: foot <= horizon + 1,
        FLAT: (middle > 0) & (middle < s.size),
    }
    return torch.stack([rules[i] for i in range(len(SPOTS))])[t.spot, torch.arange(len(s))]


def test_things_stand_float_fly_and_swim_where_they_belong() -> None:
    s = scenes()
    for t in s.things:
        foot = t.centre[:, 1] + feet(t.kind) * t.size
        ok = belongs(s, t, foot, t.centre[:, 1]) | ~t.present
        assert ok.all(), [(NAMES[int(t.kind[i])], int(s.place[i])) for i in (~ok).nonzero()[:, 0]]
        upright = (t.spot == GROUND) | (t.spot == WATER)
        assert (t.angle[upright].abs() <= 0.08).all()
        assert torch.equal(t.casts, t.spot == GROUND) and torch.equal(t.drops, t.spot == FLAT)


def test_on_a_beach_boats_are_before_the_shore_and_the_rest_behind_it() -> None:
    beach = list(PLACES).index("beach")
    s = scenes()
    shore = s.horizon + 0.1 + 0.1 * s.place_chance[:, ROWS[beach].shore[0]]
    seen = [(t, i) for t, i, _, place in things(s) if place == "beach" and int(t.spot[i]) != AIR]
    assert len(seen) > 8
    for t, i in seen:
        foot = float(t.centre[i, 1] + feet(t.kind)[i] * t.size[i]) / s.size
        assert (foot < float(shore[i])) == (NAMES[int(t.kind[i])] == "boat")


def test_things_are_apart_and_inside_the_picture() -> None:
    s = scenes()
    for k, a in enumerate(s.things):
        for b in s.things[:k]:
            away = (a.centre - b.centre).norm(dim=1) / (a.size + b.size)
            assert (away[a.present & b.present] >= APART).all()
        inside = torch.minimum(a.centre, s.size - 1 - a.centre)[a.present]
        assert (inside.amin(1) > 0.9 * a.size[a.present] * feet(a.kind)[a.present].clamp(max=1)).all()


def test_what_is_drawn_is_inside_and_ends_where_the_table_says() -> None:
    s = sample(torch.arange(4000, 4032))
    layer, foot = top_layer(s), s.top.centre[:, 1] + feet(s.top.kind) * s.top.size
    assert not cut_off(layer).any()
    stands = (s.top.spot == GROUND) | (s.top.spot == WATER)
    assert ((layer.lowest - foot).abs() <= 0.13 * s.top.size)[stands].all() and stands.sum() > 8
    assert belongs(s, s.top, layer.lowest - 0.08 * s.top.size, s.top.centre[:, 1])[stands].all()

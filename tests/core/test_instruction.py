"""The JSON document: what is written is read back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drag_core.motion.instruction import (
    DragInstruction,
    PointSpec,
    RegionSpec,
    Shape,
    Stroke,
    lacks,
    parse,
    rescaled,
    to_dict,
    to_json,
)
from drag_core.types import DragError

number = st.floats(-1e4, 1e4)
point = st.tuples(number, number)
text = st.text(max_size=12)
names = st.from_regex(r"[a-zA-Z0-9_ -]{1,12}\.png", fullmatch=True)
leaves = st.none() | st.booleans() | st.integers(-9, 9) | number | text
values = st.recursive(leaves, lambda v: st.lists(v, max_size=3), max_leaves=4)
unknown = st.dictionaries(text.map(lambda k: f"x-{k}"), values, max_size=3)
polygons = st.lists(st.lists(point, min_size=3, max_size=5).map(tuple), max_size=3).map(tuple)
strokes = st.builds(Stroke, st.lists(point, min_size=1, max_size=4).map(tuple), st.floats(0.5, 4096))
shapes = st.builds(Shape, polygons, st.lists(strokes, max_size=2).map(tuple), st.none() | names, polygons)
paths = st.lists(point, max_size=3).map(tuple)
positive = st.floats(0.01, 100)
TRIANGLE = [[1, 1], [9, 1], [9, 9]]


@st.composite
def regions(draw: Any) -> RegionSpec:
    task = draw(st.sampled_from(["relocation", "deformation", "rotation", "scale"]))
    moves = task in ("relocation", "deformation")
    target = draw(point if moves else st.none() | point)
    angle = draw(number if task == "rotation" and target is None else st.none() | number)
    scale = draw(st.tuples(positive, positive) if task == "scale" else st.none())
    shape = draw(shapes.filter(lambda s: s.polygons or s.strokes or s.mask))
    anchor, weight = draw(st.none() | point), draw(st.none() | positive)
    label, extra, path = draw(text), draw(unknown), draw(paths)
    return RegionSpec(shape, task, target, anchor, angle, scale, weight, label, extra, path)


@st.composite
def instructions(draw: Any) -> DragInstruction:
    nested = {k: v for k in ("image", "editable", "prompts") if (v := draw(unknown))}
    side = st.none() | st.integers(1, 65536)
    mode = draw(st.sampled_from(["adaptive", "painted", "none"]))
    painted = draw(shapes.filter(lambda s: mode != "painted" or s.polygons or s.strokes or s.mask))
    points = st.lists(st.builds(PointSpec, point, point, unknown), max_size=3).map(tuple)
    found = st.lists(regions(), max_size=3).map(tuple)
    extra = draw(unknown) | nested
    return DragInstruction(
        draw(side), draw(side), draw(found), draw(points), mode, painted, draw(text), draw(text), extra
    )


@settings(max_examples=150, deadline=None)
@given(instructions())
def test_what_is_written_is_read_back_with_unknown_keys(x: DragInstruction) -> None:
    back = parse(to_json(x))
    assert back == x
    assert back.extra == x.extra
    assert [r.extra for r in back.regions] == [r.extra for r in x.regions]
    assert [p.extra for p in back.points] == [p.extra for p in x.points]
    assert to_dict(back) == to_dict(x)
    assert parse(to_json(x).encode()) == x


def test_unknown_keys_of_a_document_written_by_hand_are_kept() -> None:
    document = {
        "version": 1,
        "author": "me",
        "image": {"width": 64, "height": 32, "name": "cat.png"},
        "regions": [
            {"polygons": [[[1, 1], [9, 1], [9, 9]]], "target": [20, 20], "colour": "red", "locked": True}
        ],
        "points": [{"start": [1, 2], "target": [3, 4], "id": 7}],
        "editable": {"mode": "none", "shown": False},
        "prompts": {"source": "a", "target": "b", "negative": "c"},
    }
    out = to_dict(parse(json.dumps(document)))
    assert out["author"] == "me"
    assert out["image"] == document["image"]
    assert out["regions"][0]["colour"] == "red" and out["regions"][0]["locked"] is True
    assert out["points"] == [{"start": [1.0, 2.0], "target": [3.0, 4.0], "id": 7}]
    assert out["editable"] == document["editable"] and out["prompts"] == document["prompts"]


def test_an_empty_document_is_the_default() -> None:
    assert parse("{}") == DragInstruction()


def region(**changes: Any) -> str:
    fields = {"polygons": [TRIANGLE], "target": [5, 5]} | changes
    return json.dumps({"regions": [{k: v for k, v in fields.items() if v != "absent"}]})


def test_a_draft_is_read_only_as_a_draft() -> None:
    drafts = {
        "without a target": {"target": None},
        "without angle or target": {"task": "rotation", "target": None},
        "without factors": {"task": "scale"},
        "marks nothing": {"polygons": []},
    }
    for words, fields in drafts.items():
        (spec,) = parse(region(**fields), finished=False).regions
        assert words in (lacks(spec) or "")
        with pytest.raises(DragError, match=words):
            parse(region(**fields))
    assert parse('{"editable": {"mode": "painted"}}', finished=False).editable == "painted"
    with pytest.raises(DragError, match="weight is 0"):
        parse(region(weight=0), finished=False)


def test_dragflows_name_for_relocation_is_read() -> None:
    assert parse(region(task="transformation")).regions[0].task == "relocation"


@settings(max_examples=100, deadline=None)
@given(instructions(), st.integers(1, 4096), st.integers(1, 4096), st.integers(1, 4096), st.integers(1, 4096))
def test_rescaled_is_invertible(x: DragInstruction, w: int, h: int, w2: int, h2: int) -> None:
    x = rescaled(
        DragInstruction(regions=x.regions, points=x.points, painted=x.painted, extra=x.extra),
        width=w,
        height=h,
    )
    there = rescaled(x, width=w2, height=h2)
    back = rescaled(there, width=w, height=h)
    assert (there.width, there.height, back.width, back.height) == (w2, h2, w, h)
    assert back.extra == x.extra and [p.extra for p in back.points] == [p.extra for p in x.points]
    pairs = [
        (a, b)
        for p, q in zip(x.points, back.points, strict=True)
        for a, b in ((p.start, q.start), (p.target, q.target))
    ]
    for r, q in zip(x.regions, back.regions, strict=True):
        pairs += [(a, b) for a, b in ((r.target, q.target), (r.anchor, q.anchor)) if a and b]
        pairs += zip(r.path, q.path, strict=True)
        pairs += [
            (a, b)
            for p, o in zip(
                (*r.shape.polygons, *r.shape.holes), (*q.shape.polygons, *q.shape.holes), strict=True
            )
            for a, b in zip(p, o, strict=True)
        ]
        assert (r.angle, r.scale, r.weight, r.shape.mask) == (q.angle, q.scale, q.weight, q.shape.mask)
    for a, b in pairs:
        assert a == pytest.approx(b, rel=1e-9, abs=1e-6 * max(1, w, h))


def test_rescaled_keeps_pixel_centres() -> None:
    x = DragInstruction(4, 2, points=(PointSpec((0, 0), (3, 1)), PointSpec((1.5, 0.5), (-0.5, -0.5))))
    y = rescaled(x, width=8, height=8)
    # the first pixel of a picture twice as wide becomes pixels 0 and 1: its centre lies between them
    assert [(p.start, p.target) for p in y.points] == [((0.5, 1.5), (6.5, 5.5)), ((3.5, 3.5), (-0.5, -0.5))]


def test_rescaled_scales_radii_by_the_mean_factor_and_leaves_an_unstated_size() -> None:
    stroke = Shape(strokes=(Stroke(((1, 1),), 4),))
    x = DragInstruction(10, 10, regions=(RegionSpec(stroke, "relocation", (5, 5)),), painted=stroke)
    y = rescaled(x, width=20, height=40)
    assert y.regions[0].shape.strokes[0].radius == 12 and y.painted.strokes[0].radius == 12
    free = DragInstruction(points=(PointSpec((1, 1), (2, 2)),))
    assert rescaled(free, width=20, height=40).points == free.points

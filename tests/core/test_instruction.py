"""The JSON document: what is written is read back, whatever is wrong is one sentence, and nothing takes
long.
"""

from __future__ import annotations

import json
import time
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
    from_dict,
    lacks,
    parse,
    rescaled,
    to_dict,
    to_json,
)
from drag_core.motion.untrusted import MAX_BYTES, load_json
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


TRIANGLE = [[1, 1], [9, 1], [9, 9]]


def region(**changes: Any) -> str:
    fields = {"polygons": [TRIANGLE], "target": [5, 5]} | changes
    return json.dumps({"regions": [{k: v for k, v in fields.items() if v != "absent"}]})


BAD = {
    "not JSON": ("{", "line 1"),
    "empty": ("", "line 1"),
    "not an object": ("[1, 2]", "list of 2"),
    "a number": ("3", "3"),
    "null": ("null", "None"),
    "version 2": ('{"version": 2}', "2"),
    "version true": ('{"version": true}', "True"),
    "version text": ('{"version": "1"}', "'1'"),
    "NaN": ('{"points": [{"start": [NaN, 1], "target": [1, 1]}]}', "NaN"),
    "Infinity": (region(target=[float("inf"), 0]), "Infinity"),
    "-Infinity in an unknown key": ('{"x": -Infinity}', "-Infinity"),
    "1e999": ('{"points": [{"start": [1e999, 1], "target": [1, 1]}]}', "1e999"),
    "1e999 in an unknown key": ('{"x": [1e999]}', "1e999"),
    "2e9": (region(target=[2e9, 0]), "2000000000.0"),
    "a long integer": ('{"x": ' + "1" * 5000 + "}", "5000 digits"),
    "a long integer that JSON allows": (
        '{"points": [{"start": [' + "1" * 4000 + ', 1], "target": [1, 1]}]}',
        "1111",
    ),
    "bool as number": (region(target=[True, 0]), "True"),
    "bool as angle": (region(task="rotation", angle=True), "True"),
    "bool as width": ('{"image": {"width": true, "height": 3}}', "True"),
    "bool as weight": (region(weight=False), "False"),
    "text as number": (region(target=["5", 0]), "'5'"),
    "null as number": (region(target=[None, 0]), "None"),
    "one coordinate": (region(target=[5]), "list of 1"),
    "three coordinates": (region(target=[5, 5, 5]), "list of 3"),
    "point as object": (region(target={"x": 1, "y": 2}), "dict of 2"),
    "unknown task": (region(task="teleport"), "teleport"),
    "task as list": (region(task=["rotation"]), "list of 1"),
    "task as null": (region(task=None), "None"),
    "no target": (region(target="absent"), "without a target"),
    "rotation of nothing": (region(task="rotation", target="absent"), "without angle"),
    "scale without factors": (region(task="scale"), "without factors"),
    "scale by zero": (region(task="scale", scale=[0, 1]), "0.0"),
    "negative scale": (region(task="scale", scale=[1, -2]), "-2.0"),
    "weight zero": (region(weight=0), "0.0"),
    "no shape": (region(polygons=[]), "marks nothing"),
    "two corners": (region(polygons=[TRIANGLE[:2]]), "2 corners"),
    "polygons as text": (region(polygons="abc"), "'abc'"),
    "polygon as number": (region(polygons=[5]), "5"),
    "stroke without points": (region(strokes=[{"points": []}]), "0 points"),
    "stroke radius 0": (region(strokes=[{"points": [[1, 1]], "radius": 0}]), "radius 0.0"),
    "stroke radius 1e6": (region(strokes=[{"points": [[1, 1]], "radius": 1e6}]), "1000000.0"),
    "stroke as list": (region(strokes=[[1, 1]]), "list of 2"),
    "mask as number": (region(mask=3), "3"),
    "mask empty": (region(mask=""), "''"),
    "mask in another folder": (region(mask="../../etc/passwd"), "../../etc/passwd"),
    "mask absolute": (region(mask="/etc/passwd"), "/etc/passwd"),
    "mask on a drive": (region(mask="C:mask.png"), "C:mask.png"),
    "mask with backslash": (region(mask="..\\mask.png"), "mask.png"),
    "mask hidden": (region(mask=".ssh"), ".ssh"),
    "mask with NUL": (region(mask="a\0.png"), "\\x00"),
    "mask with a newline": (region(mask="a.png\n"), "\\n"),
    "mask of 5000 letters": (region(mask="a" * 5000), "aaaa"),
    "label as number": (region(label=5), "5"),
    "region as text": ('{"regions": ["x"]}', "'x'"),
    "regions as object": ('{"regions": {"0": 1}}', "dict of 1"),
    "points as null": ('{"points": null}', "None"),
    "point without target": ('{"points": [{"start": [1, 1]}]}', "None"),
    "point as pair": ('{"points": [[1, 1]]}', "list of 2"),
    "editable as text": ('{"editable": "all"}', "'all'"),
    "hole of two corners": (region(holes=[[[1, 1], [2, 2]]]), "holes[0] has 2 corners"),
    "hole as text": (region(holes="all"), "'all'"),
    "holes alone": (region(polygons=[], holes=[TRIANGLE]), "marks nothing"),
    "path of numbers": (region(path=[1, 2]), "path is 1"),
    "path as null": (region(path=None), "None"),
    "path of NaN": (region(path=[[float("nan"), 2]]), "NaN"),
    "path of 65 places": (region(path=[[1, 1]] * 65), "65 entries"),
    "unknown mode": ('{"editable": {"mode": "auto"}}', "'auto'"),
    "mode as list": ('{"editable": {"mode": []}}', "list of 0"),
    "painted nothing": ('{"editable": {"mode": "painted"}}', "marks nothing"),
    "prompt as number": ('{"prompts": {"source": 3}}', "3"),
    "image as list": ('{"image": []}', "list of 0"),
    "width 0": ('{"image": {"width": 0, "height": 5}}', "0"),
    "width 1.5": ('{"image": {"width": 1.5, "height": 5}}', "1.5"),
    "width 1e6": ('{"image": {"width": 1000000, "height": 5}}', "1000000"),
}


@pytest.mark.parametrize("text, value", BAD.values(), ids=BAD.keys())
def test_bad_documents_give_one_sentence_with_the_value(text: str, value: str) -> None:
    with pytest.raises(DragError) as error:
        parse(text)
    message = str(error.value)
    assert value in message
    assert len(message) < 400 and "\n" not in message


def many(item: str, n: int) -> str:
    return ",".join([item] * n)


HUGE = {
    "100000 open brackets": "[" * 100_000,
    "100000 levels": "[" * 100_000 + "]" * 100_000,
    "100000 objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "900 levels in an unknown key": '{"x":' + "[" * 900 + "]" * 900 + "}",
    "66 levels": '{"x":' + "[" * 65 + "]" * 65 + "}",
    "over 10 MB": '{"x": "' + "a" * MAX_BYTES + '"}',
    "over 10 MB of bytes": b" " * (MAX_BYTES + 1),
    "a million regions": '{"regions": [' + many("{}", 1_000_000) + "]}",
    "a million points": '{"points": [' + many("0", 1_000_000) + "]}",
    "a million polygons": '{"regions": [{"target": [1, 1], "polygons": [' + many("[]", 1_000_000) + "]}]}",
    "a million corners": '{"regions": [{"target": [1, 1], "polygons": [['
    + many("[1,1]", 1_000_000)
    + "]]}]}",
    "a million strokes": '{"editable": {"mode": "painted", "strokes": [' + many("0", 1_000_000) + "]}}",
    "not UTF-8": b"\xff\xfe\xfd" * 1000,
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE.keys())
def test_huge_documents_are_refused_quickly(text: str | bytes) -> None:
    for tries_left in (2, 1, 0):  # the clock of a busy machine: the best of three counts
        start = time.process_time()
        with pytest.raises(DragError) as error:
            parse(text)
        if (took := time.process_time() - start) < 6:
            break
        assert tries_left, f"took {took:.1f} s"
    assert len(str(error.value)) < 400


def test_the_largest_document_that_is_read_takes_bounded_time() -> None:
    polygon = "[" + many("[1,1]", 99_000) + "]"
    text = '{"regions": [{"target": [1, 1], "polygons": [' + many(polygon, 16) + "]}]}"
    assert 9_000_000 < len(text) <= MAX_BYTES
    start = time.process_time()
    parse(text)
    assert (
        time.process_time() - start < 24
    )  # 1.6 million corners: 2.7 s of a machine that did three other things


def test_64_levels_can_be_read_and_written() -> None:
    text = '{"x":' + "[" * 63 + "]" * 63 + "}"
    assert parse(to_json(parse(text))).extra == json.loads(text)


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | text
        | st.sampled_from(["rotation", "painted"]),
        lambda v: (
            st.lists(v, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "version",
                        "regions",
                        "points",
                        "editable",
                        "mode",
                        "image",
                        "width",
                        "height",
                        "prompts",
                        "source",
                        "polygons",
                        "holes",
                        "path",
                        "strokes",
                        "mask",
                        "task",
                        "target",
                        "anchor",
                        "angle",
                        "scale",
                        "weight",
                        "label",
                        "start",
                        "radius",
                    ]
                ),
                v,
                max_size=6,
            )
        ),
        max_leaves=30,
    )
)
def test_any_data_is_read_or_refused_in_a_sentence(data: Any) -> None:
    try:
        x = from_dict(data)
    except DragError:
        return
    assert from_dict(to_dict(x)) == x


@settings(max_examples=200, deadline=None)
@given(st.text() | st.binary())
def test_any_text_is_read_or_refused_in_a_sentence(data: str | bytes) -> None:
    try:
        load_json(data)
    except DragError:
        pass


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

"""The drag editor by real hands in Chromium, in a page without a host: marking, dragging, undoing."""

from __future__ import annotations

import math

import pytest

from tests.browser.bare import BALL, Open, centroid, near


def test_polygon_then_drag(opened: Open) -> None:
    hands = opened()
    hands.polygon(BALL, 46)
    region = hands.region()
    assert len(region["polygons"][0]) == 8
    assert near(centroid(region["polygons"][0]), BALL)
    assert hands.state()["tool"] == "select" and hands.state()["sel"] == {"kind": "region", "index": 0}
    hands.drag(BALL, (200, 250), hold="Control")
    assert near(hands.region()["target"], (200, 250))
    assert hands.region()["task"] == "relocation" and hands.region()["auto"] is True
    # the target follows its handle
    hands.drag_client(hands.handle("target"), hands.at((260, 140)), hold="Control")
    assert near(hands.region()["target"], (260, 140))
    # each commit was sent to the host, and what it was sent last is what is stored
    commits = hands.page.evaluate("probe.log.commits")
    assert len(commits) == 3 and commits[-1] == hands.page.evaluate("probe.editor.getText()")


def test_snapping_and_axis_lock(opened: Open) -> None:
    hands = opened()
    hands.polygon(BALL, 46)
    hands.drag(BALL, (200, 402), release=False)
    assert hands.state()["doc"]["regions"][0]["target"][1] == pytest.approx(
        BALL[1], abs=0.51
    )  # level with its start
    hands.page.mouse.up()
    hands.key("Control+z")
    hands.drag(BALL, (200, 380), hold="Shift")
    assert hands.region()["target"][1] == pytest.approx(BALL[1], abs=0.51)


def test_lasso(opened: Open) -> None:
    hands = opened()
    way = [(330 + 50 * math.cos(t / 4), 405 + 50 * math.sin(t / 4)) for t in range(25)]
    hands.drag(*way, steps=2)
    region = hands.region()
    assert len(region["polygons"][0]) > 20
    assert all(abs(math.dist(p, BALL) - 50) < 2 for p in region["polygons"][0])


@pytest.mark.parametrize("tool", ["rectangle", "ellipse"])
def test_boxes(opened: Open, tool: str) -> None:
    hands = opened()
    hands.tool(tool)
    hands.drag((60, 240), (200, 390))
    points = hands.region()["polygons"][0]
    assert near((min(p[0] for p in points), min(p[1] for p in points)), (60, 240), 1.5)
    assert near((max(p[0] for p in points), max(p[1] for p in points)), (200, 390), 1.5)
    assert len(points) == (4 if tool == "rectangle" else 64)


def test_rotation_by_the_ring_about_an_anchor(opened: Open) -> None:
    hands = opened()
    hands.polygon(BALL, 46)
    hands.page.click("text=Anchor")
    hands.click((330, 300))
    region = hands.region()
    assert region["task"] == "rotation" and near(region["anchor"], (330, 300))
    # the knob a quarter turn on, about the anchor
    knob, anchor = hands.handle("ring"), hands.at((330, 300))
    arm, start = math.dist(knob, anchor), math.atan2(knob[1] - anchor[1], knob[0] - anchor[0])
    way = [
        (
            anchor[0] + arm * math.cos(start + k * math.pi / 12),
            anchor[1] + arm * math.sin(start + k * math.pi / 12),
        )
        for k in range(7)
    ]
    hands.drag_client(*way, steps=3)
    assert hands.region()["angle"] == pytest.approx(90, abs=0.01)  # snapped
    assert "target" not in hands.region()
    # two more whole turns add up past 180 degrees
    knob = hands.handle("ring")
    start = math.atan2(knob[1] - anchor[1], knob[0] - anchor[0])
    arm = math.dist(knob, anchor)
    hands.drag_client(
        *[
            (
                anchor[0] + arm * math.cos(start + k * math.pi / 6),
                anchor[1] + arm * math.sin(start + k * math.pi / 6),
            )
            for k in range(25)
        ],
        steps=2,
    )
    assert hands.region()["angle"] == pytest.approx(810, abs=0.01)
    hands.key("Control+z")
    assert hands.region()["angle"] == pytest.approx(90)
    hands.shot("rotation")


def test_ring_after_a_move_keeps_the_place(opened: Open) -> None:
    hands = opened()
    hands.polygon(BALL, 46)
    hands.drag(BALL, (200, 250), hold="Control")
    knob, centre = hands.handle("ring"), hands.at((200, 250))
    arm, start = math.dist(knob, centre), math.atan2(knob[1] - centre[1], knob[0] - centre[0])
    hands.drag_client(
        *[
            (
                centre[0] + arm * math.cos(start + k * math.pi / 24),
                centre[1] + arm * math.sin(start + k * math.pi / 24),
            )
            for k in range(13)
        ],
        steps=2,
    )
    region = hands.region()
    assert region["task"] == "rotation" and region["angle"] == pytest.approx(90, abs=0.01)
    (cx, cy), (ax, ay) = centroid(region["polygons"][0]), region["anchor"]
    moved = (ax - (cy - ay), ay + (cx - ax))  # a quarter turn, clockwise on the screen
    assert near(moved, (200, 250), 1.5)


def test_scale_handles(opened: Open) -> None:
    hands = opened()
    hands.tool("rectangle")
    hands.drag((100, 100), (200, 200))
    corner = hands.handle("scale-se")
    assert near(corner, hands.at((200.5, 200.5)), 2)
    hands.drag_client(corner, hands.at((225.5, 225.5)))
    region = hands.region()
    assert region["task"] == "scale" and region["scale"] == pytest.approx([1.5, 1.5], abs=0.02)
    hands.drag_client(hands.handle("scale-e"), hands.at((250, 150)), hold="Control")
    assert hands.region()["scale"] == pytest.approx([2.0, 1.5], abs=0.03)
    hands.shot("scale")


def test_brush_then_eraser(opened: Open) -> None:
    hands = opened()
    hands.tool("brush")
    hands.drag((250, 300), (400, 300))
    region = hands.region()
    xs = [p[0] for p in region["polygons"][0]]
    radius = hands.state()["brush"]
    assert min(xs) == pytest.approx(250 - radius, abs=2) and max(xs) == pytest.approx(400 + radius, abs=2)
    hands.drag((330, 270), (330, 400))  # the second stroke of one stay joins the first
    assert len(hands.doc()["regions"]) == 1
    assert max(p[1] for p in hands.region()["polygons"][0]) > 400
    hands.tool("eraser")
    hands.drag((330, 260), (330, 420))  # through the middle: two pieces
    assert len(hands.region()["polygons"]) == 2
    hands.key("[")
    assert hands.state()["brush"] < radius
    hands.tool("brush")
    hands.page.click('[data-mode="subtract"]')
    hands.drag((265, 300), (265, 301))
    assert hands.region().get("holes") or len(hands.region()["polygons"]) == 2
    hands.shot("brush")


def test_wand_picks_the_thing_and_drags_it(opened: Open) -> None:
    hands = opened()
    hands.tool("wand")
    hands.page.wait_for_function("document.querySelector('.drg-status').textContent.includes('pieces:')")
    hands.page.mouse.move(*hands.at(BALL))
    hands.shot("wand")
    hands.drag((305, 385), (355, 385), (355, 425), (305, 425), (330, 405), steps=12)
    points = [p for poly in hands.region()["polygons"] for p in poly]
    assert len(hands.doc()["regions"]) == 1 and len(points) > 10
    assert sum(math.dist(p, BALL) < 60 for p in points) > 0.9 * len(points)
    hands.drag(
        BALL, (200, 180), hold="Control"
    )  # picked: the next drag moves it, still with the wand in hand
    middle = hands.region()["target"]
    assert math.dist(middle, (200, 180)) < 25


def test_point_pairs(opened: Open) -> None:
    hands = opened()
    hands.tool("points")
    hands.drag((100, 100), (180, 160))
    hands.drag((300, 300), (320, 240))
    points = hands.doc()["points"]
    assert near(points[0]["start"], (100, 100)) and near(points[0]["target"], (180, 160)) and len(points) == 2
    hands.drag((180, 160), (220, 120))  # the end of a pair is taken up again
    assert near(hands.doc()["points"][0]["target"], (220, 120))
    hands.key("Delete")
    assert len(hands.doc()["points"]) == 1
    hands.shot("points")


def test_undo_and_redo_of_every_gesture(opened: Open) -> None:
    hands = opened()
    texts = [""]

    def note() -> None:
        texts.append(hands.state()["text"])

    hands.polygon(BALL, 46)
    note()
    hands.drag(BALL, (250, 300), hold="Control")
    note()
    knob = hands.handle("ring")
    hands.drag_client(knob, (knob[0] + 40, knob[1] + 20))
    note()
    hands.drag_client(hands.handle("anchor"), hands.at((300, 330)), hold="Control")
    note()
    hands.tool("rectangle")
    hands.drag((60, 240), (200, 390))
    note()
    hands.drag_client(hands.handle("scale-nw"), hands.at((40, 210)))
    note()
    hands.tool("points")
    hands.drag((400, 90), (430, 120))
    note()
    hands.tool("eraser")
    hands.page.keyboard.press("1")
    hands.drag((290, 405), (300, 405))
    note()
    hands.key("v", "Delete")
    note()
    assert len(set(texts)) == len(texts) == 10
    for text in reversed(texts[:-1]):
        hands.key("Control+z")
        assert hands.state()["text"] == text
    for text in texts[1:]:
        hands.key("Control+Shift+z" if text == texts[1] else "Control+y")
        assert hands.state()["text"] == text
    assert hands.page.evaluate("probe.log.commits.length") == 9 + 18

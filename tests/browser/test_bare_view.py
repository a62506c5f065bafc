"""The editor without a host: zoom, keys, touch, what the canvas shows, how fast, how it looks."""

from __future__ import annotations

import pytest

from tests.browser.bare import BALL, HOUSE, Open, centroid, near, pixel


@pytest.mark.parametrize("graph", [0.45, 1, 3])
@pytest.mark.parametrize("density", [1, 2])
def test_coordinates_at_every_zoom(opened: Open, graph: float, density: float) -> None:
    """The pixel under the pointer is the pixel meant: at zooms of graph and editor, on dense screens."""
    hands = opened(
        page={"device_scale_factor": density, "viewport": {"width": 1400, "height": 1600}},
        zoom=graph,
        iw=640,
        ih=480,
    )
    for scale in (0.45, 1.0, 3.0):
        hands.page.evaluate("s => probe.zoom(s)", scale)
        for p in ((10.0, 10.0), (60.0, 80.0)):
            box = hands.page.evaluate("probe.corner()")
            want = (
                box[0] + graph * (20 + (p[0] + 0.5) * scale),
                box[1] + graph * (30 + (p[1] + 0.5) * scale),
            )
            assert near(hands.at(p), want, 0.01)
        hands.tool("points")
        hands.drag((10, 10), (60, 80))
        pair = hands.doc()["points"][-1]
        pixel = 0.75 / min(graph * scale, 1)  # the mouse stands on whole or nearly whole page pixels
        assert near(pair["start"], (10, 10), pixel) and near(pair["target"], (60, 80), pixel)
        hands.load("")
    ratio = hands.page.evaluate(
        "(() => { const c = probe.root.querySelector('canvas'); return c.width / c.clientWidth })()"
    )
    assert ratio == pytest.approx(density * min(max(graph, 1), 2), rel=0.01)


def test_wheel_zooms_where_the_pointer_is(opened: Open) -> None:
    hands = opened()
    before = hands.state()["view"]
    hands.page.mouse.move(*hands.at((128, 100)))
    hands.page.mouse.wheel(0, -400)
    assert hands.state()["view"] == before  # not in the editor yet: the wheel is the graph's
    hands.focus()
    place = hands.at((128, 100))
    hands.page.mouse.wheel(0, -400)
    hands.settle()
    assert hands.state()["view"]["scale"] > 1.5 * before["scale"] and near(hands.at((128, 100)), place, 0.6)
    hands.page.mouse.down(button="right")
    hands.page.mouse.move(place[0] + 30, place[1] + 40)
    hands.page.mouse.up(button="right")
    assert near(hands.at((128, 100)), (place[0] + 30, place[1] + 40), 0.6)
    hands.key("0")
    hands.settle()
    assert hands.state()["view"]["scale"] == pytest.approx(before["scale"])


def test_a_whole_drag_by_keys_alone(opened: Open) -> None:
    hands = opened(w=800, h=700)
    hands.page.keyboard.press("Tab")
    for _ in range(40):  # from the page's start to the canvas, over the bars
        if hands.page.evaluate("document.activeElement.className") == "drg-sink":
            break
        hands.page.keyboard.press("Tab")
    assert hands.page.evaluate("document.activeElement.className") == "drg-sink"
    hands.key("m", "ArrowRight")  # rectangle; the cross appears in the middle
    start = hands.state()["cursor"]
    hands.key(
        *["Shift+ArrowRight"] * 4,
        *["Shift+ArrowDown"] * 6,
        "Space",
        *["Shift+ArrowRight"] * 6,
        *["Shift+ArrowDown"] * 5,
        "Space",
    )
    points = hands.region()["polygons"][0]
    assert points[0] == pytest.approx([start[0] + 40, start[1] + 60]) and points[2] == pytest.approx(
        [start[0] + 100, start[1] + 110]
    )
    middle = centroid(points)
    hands.key(*["Shift+ArrowLeft"] * 12, *["ArrowUp"] * 3)
    assert hands.region()["target"] == pytest.approx([middle[0] - 120, middle[1] - 3], abs=1)
    assert "relocation" in hands.page.inner_text(".drg-status")
    hands.key("i", "Shift+ArrowUp")  # a place on the path
    assert len(hands.region()["path"]) == 1
    hands.key("Delete", "x")  # the place, then the motion
    assert "path" not in hands.region() and "target" not in hands.region()
    hands.key("a", "Shift+ArrowLeft", ".", "Shift+.")  # anchor 10 px to the left, 16 degrees
    assert hands.region()["task"] == "rotation" and hands.region()["angle"] == pytest.approx(16)
    assert hands.region()["anchor"] == pytest.approx([middle[0] - 10, middle[1]], abs=1)
    assert "rotation 16 degrees about" in hands.page.inner_text(".drg-status")
    hands.key("x", "]", "Shift+]")
    assert hands.region()["scale"] == pytest.approx([1.11, 1.11])
    # a polygon, corner by corner
    hands.key(
        "Escape",
        "p",
        "ArrowLeft",
        "Space",
        *["Shift+ArrowLeft"] * 5,
        "Space",
        *["Shift+ArrowUp"] * 5,
        "Space",
        "Enter",
    )
    assert len(hands.doc()["regions"]) == 2 and len(hands.region(1)["polygons"][0]) == 3
    hands.key("Control+d")
    assert len(hands.doc()["regions"]) == 3
    hands.key("1", "Delete")
    assert len(hands.doc()["regions"]) == 2


def test_tab_leaves_the_editor(opened: Open) -> None:
    """The keyboard is not trapped: past the last region Tab goes on, past the first Shift+Tab goes back."""
    hands = opened()
    hands.polygon(BALL, 46)
    hands.polygon(HOUSE, 40)
    hands.key("Escape")
    for want in (0, 1):
        hands.key("Tab")
        assert hands.state()["sel"] == {"kind": "region", "index": want}
    hands.key("Tab")
    assert hands.page.evaluate("document.activeElement.className") != "drg-sink"


def test_touch(opened: Open) -> None:
    """One finger is the tool, two move and zoom, a long press opens the menu."""
    hands = opened(page={"has_touch": True})
    send = hands.page.context.new_cdp_session(hands.page).send

    def touch(kind: str, *points: tuple[float, float]) -> None:
        send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [{"x": x, "y": y, "id": k} for k, (x, y) in enumerate(points)]},
        )

    hands.tool("points")
    a, b = hands.at((100, 100)), hands.at((200, 150))
    touch("touchStart", a)
    for k in range(1, 6):
        touch("touchMove", (a[0] + (b[0] - a[0]) * k / 5, a[1] + (b[1] - a[1]) * k / 5))
    touch("touchEnd")
    hands.settle()
    assert near(hands.doc()["points"][0]["target"], (200, 150), 1.5)
    before = hands.state()["view"]
    c = hands.at((256, 256))
    touch("touchStart", (c[0] - 40, c[1]), (c[0] + 40, c[1]))
    for k in range(1, 9):
        touch("touchMove", (c[0] - 40 - 5 * k, c[1] + 2 * k), (c[0] + 40 + 5 * k, c[1] + 2 * k))
    touch("touchEnd")
    hands.settle()
    assert hands.state()["view"]["scale"] == pytest.approx(2 * before["scale"], rel=0.05)
    assert near(hands.at((256, 256)), (c[0], c[1] + 16), 2)
    assert len(hands.doc()["points"]) == 1  # two fingers draw nothing
    d = hands.at((256, 220))
    touch("touchStart", d)
    hands.page.wait_for_selector(".drg-menu")
    touch("touchEnd")
    assert "Undo" in hands.page.inner_text(".drg-menu")
    hands.shot("touch_menu")


def test_ghost_shows_the_pixels_at_the_target_and_the_slider_moves_them(opened: Open) -> None:
    hands = opened()
    sky = pixel(hands, (240, 60))
    hands.polygon(BALL, 46)
    hands.drag(BALL, (240, 85), hold="Control")
    hands.key("k")  # what may change: off, so that nothing is dimmed
    hands.settle()
    assert pixel(hands, (240, 60))[0] > sky[0] + 60  # the red of the ball on the blue of the sky
    hole = pixel(hands, (310, 400))
    assert hole[0] < 190  # where it was: shaded
    hands.page.focus(".drg-scrub input")
    hands.key("Home")
    hands.settle()
    assert hands.state()["scrub"] == 0
    assert pixel(hands, (240, 60))[:3] == pytest.approx(sky[:3], abs=12)  # nothing has moved yet
    hands.focus()
    hands.key("g")
    hands.settle()
    assert hands.page.get_attribute('[title^="Ghost"]', "aria-pressed") == "false"


def test_result_and_the_picture_before(opened: Open) -> None:
    hands = opened()
    hands.polygon(BALL, 46)
    hands.drag(BALL, (200, 180), hold="Control")
    hands.page.evaluate("probe.editor.setResult(probe.plain('#0000ff'))")
    hands.settle()
    assert hands.state()["showing"] == "result" and pixel(hands, (256, 400))[:3] == [0, 0, 255]
    hands.focus()
    source = hands.page.keyboard
    source.down("\\")
    hands.settle()
    assert hands.state()["peek"] and pixel(hands, (330, 395))[0] > 150  # the ball
    source.up("\\")
    hands.settle()
    assert pixel(hands, (330, 395))[:3] == [0, 0, 255]
    hands.drag((20, 256), (256, 256))
    assert pixel(hands, (130, 340))[:3] != [0, 0, 255] and pixel(hands, (400, 300))[:3] == [0, 0, 255]
    hands.shot("compare")
    hands.key("v")
    assert hands.state()["showing"] == "edit"


def test_full_screen(opened: Open) -> None:
    hands = opened()
    hands.polygon(BALL, 46)
    hands.drag(BALL, (200, 250), hold="Control")
    hands.key("f")
    hands.settle()
    hands.settle()
    assert hands.page.evaluate("document.querySelector('dialog').open") and hands.state()["full"]
    assert hands.page.evaluate("probe.small(43.9)") == []
    hands.drag((200, 250), (300, 200), hold="Control")
    assert near(hands.region()["target"], (300, 200))
    hands.shot("full_dark")
    hands.key("Escape", "Escape")
    hands.settle()
    assert not hands.page.evaluate("document.querySelector('dialog').open") and not hands.state()["full"]
    assert hands.page.evaluate("probe.root.getBoundingClientRect().width") == 420


def test_the_three_dots_open_their_menu_and_close_it(opened: Open) -> None:
    hands = opened()
    more, menu = '[title="Import, export, help"]', ".drg-menu"
    hands.page.click(more)
    assert hands.page.is_visible(menu)
    hands.page.click(more)
    assert not hands.page.is_visible(menu)
    # one that was opened and left by keys does not take the next one away from under the pointer
    for key in ("Enter", "Escape", "Enter"):
        if key == "Enter":
            hands.page.focus(more)
        hands.key(key)
    hands.page.click('.drg-menu >> text="All keys"')
    assert hands.page.is_visible(".drg-help")

"""The editor without a host: names, sizes, the time of a frame, and pictures for the eye in out/browser."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest

from tests.browser.bare import BALL, Open


def test_names_for_screen_readers(opened: Open) -> None:
    hands = opened(w=900, h=640)
    hands.polygon(BALL, 46)
    assert hands.page.evaluate("probe.nameless()") == []
    assert hands.page.get_attribute('[data-tool="select"]', "aria-pressed") == "true"
    assert hands.page.get_attribute(".drg-status", "aria-live") == "polite"


def test_a_frame_of_ten_regions_on_2048(opened: Open) -> None:
    """Script time of one frame of a drag: handler and drawing, median."""
    hands = opened(iw=2048, ih=2048, w=900, h=700)
    regions = []
    for k in range(10):
        cx, cy = 250 + 380 * (k % 5), 500 + 900 * (k // 5)
        ring = [
            [cx + 150 * math.cos(t / 32), cy + (150 + 20 * math.sin(t)) * math.sin(t / 32)]
            for t in range(201)
        ]
        region: dict[str, Any] = {
            "label": "",
            "task": "relocation",
            "auto": True,
            "polygons": [ring],
            "target": [cx + 90, cy + 120],
        }
        if k % 3 == 1:
            region = {**region, "task": "rotation", "angle": 40, "anchor": [cx + 100, cy]}
            del region["target"]
        regions.append(region)
    hands.load({"version": 1, "image": {"width": 2048, "height": 2048}, "regions": regions})
    hands.settle()
    hands.shot("ten_regions")
    begin = hands.at((340, 620))
    hands.page.mouse.move(*begin)
    hands.page.mouse.down()
    seen = len(hands.state()["times"])
    for k in range(120):
        hands.page.mouse.move(begin[0] + k, begin[1] + 40 * math.sin(k / 9))
        if k % 2:
            hands.settle()
    times = hands.state()["times"][min(seen, 200) :]
    hands.page.mouse.up()
    assert hands.region()["target"][0] > 380
    median, worst = statistics.median(times), max(times)
    print(f"\na drag of 10 regions on 2048x2048: {median:.1f} ms of script a frame (worst {worst:.1f})")
    assert len(times) > 30 and median < 16


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_looks(opened: Open, theme: str) -> None:
    """No test of taste: pictures for the eye, in out/browser."""
    for name, ask in {"node": {}, "wide": {"w": 1000, "h": 660}}.items():
        hands = opened(theme=theme, **ask)
        hands.shot(f"{theme}_{name}_start")
        hands.polygon(BALL, 48, 16)
        hands.shot(f"{theme}_{name}_marked")
        hands.drag(BALL, (420, 200), hold="Control")
        hands.tool("rectangle")
        hands.drag((52, 236), (208, 398))
        hands.page.mouse.move(*hands.handle("ring"))
        hands.page.mouse.down()
        knob = hands.handle("ring")
        hands.page.mouse.move(knob[0] + 30, knob[1] + 8, steps=4)
        hands.shot(f"{theme}_{name}_turning")
        hands.page.mouse.up()
        hands.settle()
        hands.shot(f"{theme}_{name}_two")
        if name == "node":
            hands.key("l")
            hands.shot(f"{theme}_{name}_panel")
            hands.key("Escape", "?")
            hands.shot(f"{theme}_{name}_help")
    assert len(hands.doc()["regions"]) == 2

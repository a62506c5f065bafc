"""A run as the editor shows it, by real hands in Chromium, in a page without a host."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.bare import BALL, Hands, Open, near, pixel

GREEN, BLUE = "probe.plain('#00ff00')", "probe.plain('#0000ff')"


def led(opened: Open, **ask: Any) -> Hands:
    """An editor with the ball led away."""
    hands = opened(**ask)
    hands.polygon(BALL, 46)
    hands.drag(BALL, (200, 180), hold="Control")
    return hands


def tell(hands: Hands, code: str) -> None:
    hands.page.evaluate(f"probe.editor.{code}")
    hands.settle()


def calls(hands: Hands) -> list[str]:
    found: list[str] = hands.page.evaluate("probe.log.calls")
    return found


def runs(hands: Hands, phase: str = "dragging", part: float | None = 0.4) -> None:
    hands.page.evaluate("r => probe.editor.setRun(r)", {"phase": phase, "part": part})
    hands.settle()


@pytest.mark.parametrize(("width", "height"), [(620, 560), (380, 380)])
def test_one_draws_on_while_the_model_runs(opened: Open, width: int, height: int) -> None:
    hands = led(opened, w=width, h=height)
    runs(hands, "inverting", None)
    assert hands.page.inner_text(".drg-phase") == "inverting"
    runs(hands, "inverting", 0.4)
    assert "40 %" in hands.page.inner_text(".drg-run")
    tell(hands, f"setPreview({GREEN})")
    hands.shot(f"runs_drawing_{width}")
    assert pixel(hands, (20, 300))[:3] != [0, 255, 0]  # the drawing stays in sight
    hands.drag((200, 180), (260, 200), hold="Control")
    assert near(hands.region()["target"], (260, 200)) and hands.page.is_visible(".drg-run")
    hands.page.click(".drg-inset")
    hands.settle()
    assert hands.state()["showing"] == "preview"
    assert pixel(hands, (20, 300))[:3] == pytest.approx([0, 255, 0], abs=90)
    hands.shot(f"runs_watching_{width}")
    hands.drag((260, 200), (300, 300))
    assert near(hands.region()["target"], (260, 200))  # there the hand only looks
    hands.page.click("text=Back to the drawing")
    assert hands.state()["showing"] == "edit"
    hands.page.click(".drg-inset")
    tell(hands, "setRun(null)")
    assert hands.state()["showing"] == "edit" and not hands.page.is_visible(".drg-run")
    assert not hands.page.is_visible(".drg-inset")


def test_a_result_of_an_earlier_drawing_says_so(opened: Open) -> None:
    hands = led(opened, w=620, h=560)
    drawn = hands.state()["text"]
    runs(hands)
    hands.drag((200, 180), (300, 200), hold="Control")
    later = hands.state()["text"]
    assert later != drawn
    hands.page.evaluate(f"d => probe.editor.setResult({BLUE}, d)", drawn)
    tell(hands, "setRun(null)")
    assert hands.state()["showing"] == "edit"  # not over what one draws
    assert hands.page.inner_text(".drg-inset") == "Result of an earlier drawing"
    hands.shot("runs_earlier_waits")
    hands.page.click(".drg-inset")
    hands.settle()
    assert hands.state()["showing"] == "result"
    assert "Result of an earlier drawing" in hands.page.inner_text(".drg-badge")
    hands.shot("runs_earlier")
    hands.page.click("text=Take that drawing back")
    hands.settle()
    assert hands.state()["text"] == drawn and hands.state()["showing"] == "result"
    assert "drag to compare" in hands.page.inner_text(".drg-badge")
    hands.focus()
    hands.key("Control+z")
    assert hands.state()["text"] == later
    hands.page.click('[title^="Result and picture before"]')
    hands.settle()
    assert "Result of an earlier drawing" in hands.page.inner_text(".drg-badge")


def test_a_result_comes_at_once_where_nothing_was_drawn_since(opened: Open) -> None:
    hands = led(opened)
    # the same drawing, written otherwise
    drawn = hands.page.evaluate("JSON.stringify(JSON.parse(probe.editor.getText()), null, 1)")
    runs(hands)
    hands.page.evaluate(f"d => probe.editor.setResult({BLUE}, d)", drawn)
    tell(hands, "setRun({ phase: 'saving', part: null })")
    assert hands.state()["showing"] == "result" and pixel(hands, (20, 300))[:3] == [0, 0, 255]
    tell(hands, "setRun(null)")
    assert hands.state()["showing"] == "result"
    runs(hands)  # the next run: what is drawn is in sight again
    assert hands.state()["showing"] == "edit" and hands.page.is_visible('[title^="Result and picture"]')


def test_a_result_does_not_come_under_the_hand(opened: Open) -> None:
    hands = led(opened)
    hands.drag((200, 180), (300, 200), hold="Control", release=False)
    hands.page.evaluate(f"probe.editor.setResult({BLUE}, probe.editor.getText())")
    hands.settle()
    assert hands.state()["showing"] == "edit" and hands.page.is_visible(".drg-inset")
    hands.page.mouse.up()
    assert near(hands.region()["target"], (300, 200), 2)


def test_run_and_stop(opened: Open) -> None:
    hands = led(opened, w=620, h=560)
    hands.page.click(".drg-go")
    assert calls(hands) == ["run"] and hands.page.inner_text(".drg-go") == "Run"
    runs(hands)
    assert hands.page.inner_text(".drg-go") == "Stop"
    hands.page.click(".drg-go")
    hands.page.click(".drg-run >> text=Stop")
    assert calls(hands) == ["run", "stop", "stop"]
    tell(hands, "setRun(null)")
    assert hands.page.inner_text(".drg-go") == "Run"


def test_ctrl_enter_runs_on_the_whole_screen_and_is_the_hosts_elsewhere(opened: Open) -> None:
    hands = led(opened, w=620, h=560)
    hands.key("Control+Enter")
    assert calls(hands) == []
    hands.key("f")
    hands.settle()
    hands.settle()
    hands.key("Control+Enter")
    hands.page.fill('[data-field="tx"]', "123")
    hands.key("Control+Enter")
    assert calls(hands) == ["fullscreen true", "run", "run"] and hands.region()["target"][0] == 123
    hands.shot("runs_full")


@pytest.mark.parametrize("width", [340, 360, 380, 460, 620])
def test_the_commands_have_room(opened: Open, width: int) -> None:
    hands = led(opened, w=width, h=420)
    hands.page.evaluate(f"probe.editor.setResult({BLUE})")
    hands.settle()
    hands.shot(f"runs_bar_{width}")
    past = "(bar) => bar.scrollWidth > bar.clientWidth"
    assert not hands.page.eval_on_selector(".drg-top", past)

"""The candidates of Drag Intent in the editor, by real hands in Chromium, in a page without a host."""

from __future__ import annotations

from typing import Any

from tests.browser.bare import BALL, Hands, Open, near, pixel

PROMPTS = [f"The ball lies in place {i} <img src=x onerror=probe.log.calls.push('run')>" for i in range(10)]
TASKS = ["relocation", "deformation", "rotation", None]
INTENT = {
    "background": "A ball in a meadow.",
    "motion": "the ball goes up",
    "candidates": [{"prompt": p, "task": TASKS[i % 4]} for i, p in enumerate(PROMPTS)],
}
GOAL = (200.0, 250.0)
RED = (178.0, 268.0)  # of the ball at its goal, off every mark


def chips(hands: Hands) -> Any:
    return hands.page.locator(".drg-intents .drg-pill")


def asked(hands: Hands) -> None:
    """A ball led up and to the left, and what it may mean."""
    hands.polygon(BALL, 46)
    hands.drag(BALL, GOAL, hold="Control")
    hands.page.evaluate("i => probe.editor.setIntent(i)", INTENT)
    hands.settle()
    hands.settle()  # the picture has taken its new room


def test_a_chip_shows_its_ghost_and_stores_nothing(opened: Open) -> None:
    hands = opened(w=700, h=640)
    asked(hands)
    assert chips(hands).count() == 10 and "the ball goes up" in hands.page.inner_text(".drg-meaning")
    stored, ball = hands.page.evaluate("probe.editor.getText()"), pixel(hands, RED)
    assert ball[0] - ball[2] > 80  # the ball's red, where it was led
    chips(hands).nth(2).hover()
    hands.settle()
    turned = hands.state()["trial"]["regions"][0]
    assert turned["task"] == "rotation" and near(turned["target"], GOAL)
    assert hands.page.inner_text(".drg-meaning") == PROMPTS[2]  # as text: nothing of it is parsed
    # a turn about the ball's edge brings it elsewhere: there the hills are seen again
    hills = pixel(hands, RED)
    assert hills[0] - hills[2] < 40
    hands.shot("intent-turn")
    assert hands.page.evaluate("probe.editor.getText()") == stored
    hands.page.mouse.move(5, 5)
    hands.settle()
    assert hands.state()["trial"] is None and pixel(hands, RED) == ball
    assert hands.page.evaluate("probe.log.calls") == []


def test_a_click_sets_task_and_prompts_in_one_step(opened: Open) -> None:
    hands = opened(w=700, h=640)
    asked(hands)
    commits = len(hands.page.evaluate("probe.log.commits"))
    chips(hands).nth(2).click()
    hands.settle()
    region = hands.region()
    assert region["task"] == "rotation" and "auto" not in region and near(region["target"], GOAL)
    assert hands.doc()["prompts"] == {
        "source": "A ball in a meadow.",
        "target": f"A ball in a meadow. {PROMPTS[2]}",
    }
    assert len(hands.page.evaluate("probe.log.commits")) == commits + 1
    assert chips(hands).nth(2).get_attribute("aria-pressed") == "true"
    # the anchor is a guess: it can be moved, and the chips stay
    before = region["anchor"]
    x, y = hands.handle("anchor")
    hands.drag_client((x, y), (x + 40, y + 12))
    assert not near(hands.region()["anchor"], before, 10) and chips(hands).count() == 10
    hands.shot("intent-anchor")
    hands.key("Control+z", "Control+z")
    assert hands.region()["task"] == "relocation" and hands.doc()["prompts"]["target"] == ""
    assert chips(hands).nth(2).get_attribute("aria-pressed") == "false"


def test_a_candidate_without_a_task_leaves_the_choice_to_the_user(opened: Open) -> None:
    hands = opened(w=700, h=640)
    asked(hands)
    assert chips(hands).nth(3).inner_text() == "4 no task"
    chips(hands).nth(3).click()
    hands.settle()
    assert hands.region()["task"] == "relocation" and hands.doc()["prompts"]["target"].endswith(PROMPTS[3])
    assert "choose one in the list of regions" in hands.page.inner_text(".drg-status")


def test_by_keys(opened: Open) -> None:
    hands = opened(w=700, h=640)
    asked(hands)
    chips(hands).nth(0).focus()
    hands.key("ArrowRight", "ArrowRight")
    assert hands.state()["trial"]["regions"][0]["task"] == "rotation"
    hands.key("Enter")
    hands.settle()
    assert hands.region()["task"] == "rotation" and hands.state()["trial"] is None
    assert hands.page.evaluate("probe.nameless()") == []


def test_put_away_and_gone_with_another_marking(opened: Open) -> None:
    hands = opened(w=700, h=640)
    asked(hands)
    hands.page.click(".drg-intents .drg-button")
    hands.settle()
    assert hands.state()["intent"] is None and not hands.page.is_visible(".drg-intents")
    hands.page.evaluate("i => probe.editor.setIntent(i)", INTENT)
    hands.page.evaluate(
        "() => probe.editor.setIntent({ candidates: [] })"
    )  # nobody was asked: the chips stay
    hands.settle()
    assert chips(hands).count() == 10
    hands.polygon((130, 330), 40)
    assert hands.state()["intent"] is None and not hands.page.is_visible(".drg-intents")


def test_asking(opened: Open) -> None:
    """The button is there while somebody can be asked, and asks nobody about a drag that has its prompt."""
    hands = opened(w=700, h=640)
    asked(hands)
    ask = hands.page.locator("button[title^='Ask what the drag means']")
    assert not ask.is_visible()
    hands.page.evaluate("() => probe.editor.setAskable(true)")
    ask.click()
    assert hands.page.evaluate("probe.log.calls") == ["ask"]
    chips(hands).nth(0).click()
    ask.click()
    assert hands.page.evaluate("probe.log.calls") == ["ask"]
    assert "clear it" in hands.page.inner_text(".drg-status")


def test_a_small_editor_keeps_its_picture(opened: Open) -> None:
    hands = opened(w=340, h=480)
    asked(hands)
    box = hands.page.locator(".drg-box").bounding_box()
    assert box["height"] > 150
    chips(hands).nth(9).hover()
    hands.settle()
    hands.shot("intent-small")

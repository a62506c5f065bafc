"""What a drag means, the whole way: editor, Drag Intent, a server of the tests, chips, and the run."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser.driver import FIND, SHOWS, Editor
from tests.browser.test_editor import BOX, near
from tests.browser.test_smallest_graph import set_by_hand
from tests.core.hostile_answers import CASES
from tests.host.inside.mllm_server import PROMPTS, MllmServer

GRAPH = """async (id, address) => {
  const add = (type, x, y) => {
    const node = LiteGraph.createNode(type); node.pos = [x, y]; app.graph.add(node); return node
  }
  const editor = app.graph.getNodeById(id), load = app.graph.nodes.find((n) => n.type === 'LoadImage')
  for (const n of app.graph.nodes.filter((n) => ![editor, load].includes(n))) app.graph.remove(n)
  const model = add('DragLocalMLLM', 20, 500), intent = add('DragIntent', 1000, 60)
  const text = add('PreviewAny', 1000, 560), prompt = add('PreviewAny', 1250, 560)
  model.widgets.find((w) => w.name === 'address').value = address
  load.connect(0, intent, 'image'); editor.connect(3, intent, 'instruction')
  model.connect(0, intent, 'mllm'); intent.connect(1, text, 0); intent.connect(3, prompt, 0)
  return { load: load.id, editor: id, model: model.id, intent: intent.id, text: text.id, prompt: prompt.id }
}"""
GOAL = (220.0, 150.0)
CHIPS = "el.querySelectorAll('.drg-intents .drg-pill').length"
ASKED = f"(s, el) => s.intent?.candidates.length === 10 && {CHIPS} === 10"
REFUSED = "(s, el, said) => [...el.querySelectorAll('.drg-bad')].some((c) => c.textContent.includes(said))"


def chip(e: Editor, i: int) -> Any:
    return e.page.locator(".drg-intents .drg-pill").nth(i)


def ask(e: Editor) -> None:
    e.wait_for("(s) => s.askable")
    e.page.locator("button[title^='Ask what the drag means']").click()


def until_asked(e: Editor, server: MllmServer, count: int) -> None:
    """Until the server was asked so often: what the editor said of the run before is gone then."""
    for _ in range(900):
        if len(server.asked) >= count:
            return
        e.settle(0.1)
    raise AssertionError(f"the server was asked {len(server.asked)} times, not {count}")


def drawn(e: Editor, server: MllmServer) -> None:
    e.ids = e.js(GRAPH, server.address)
    e.js("async () => app.loadGraphData(app.graph.serialize())")
    e.home()
    e.wait_for(SHOWS)
    e.polygon(*BOX)
    e.drag((140, 130), GOAL)
    e.settle(0.5)


def test_from_the_drag_to_the_chosen_meaning(editor: Editor) -> None:
    e = editor
    with MllmServer() as server:
        drawn(e, server)
        ask(e)
        e.wait_for(ASKED)
        # one question, with the picture and the picture with the drag on it: blue, green
        (asked,) = server.asked
        files = [base64.b64decode(f) for f in asked["messages"][0]["images"]]
        before, after = (np.asarray(Image.open(io.BytesIO(f)), np.int64) for f in files)
        assert before.shape == after.shape == (300, 400, 3)
        (x, y), (u, v) = BOX[0], GOAL
        moved = (round(x + 8 + u - 140), round(y + 8 + v - 130))
        for (px, py), colour in (((round(x) + 8, round(y) + 8), (64, 115, 255)), (moved, (51, 217, 89))):
            tinted = before[py, px] * 0.55 + np.array(colour) * 0.45
            assert np.abs(after[py, px] - tinted).max() <= 2
        # under the hand a ghost, nothing stored
        stored = e.text
        chip(e, 1).hover()
        e.wait_for("(s) => s.trial?.regions[0].task === 'rotation'")
        e.shot("intent-ghost")
        assert e.text == stored
        chip(e, 1).click()
        e.settle(0.5)
        region, prompts = e.region, e.doc["prompts"]
        assert region["task"] == "rotation" and near(region["target"], GOAL, 2) and region["anchor"]
        assert prompts == {"source": "A tower in a field.", "target": f"A tower in a field. {PROMPTS[1]}"}
        # what runs is what was chosen, and nobody is asked again
        outputs = e.queue()
        assert outputs[str(e.ids["prompt"])]["text"][0] == prompts["target"]
        ran = json.loads(e.executed_instruction(outputs))
        assert ran["regions"][0]["task"] == "rotation" and ran["prompts"] == prompts
        assert near(ran["regions"][0]["anchor"], region["anchor"], 0.01)
        assert len(server.asked) == 1
        e.shot("intent-chosen")
        # a choice is one step of undo
        e.focus()
        e.press("Control+z")
        assert e.text == stored
    assert e.errors() == []


def test_a_hostile_model_and_none(editor: Editor) -> None:
    """No chip and no prompt, but a sentence in the editor; what can be read of a broken answer as chips."""
    e = editor
    refused = [c for c in CASES if isinstance(c[2], str) and isinstance(c[1], str) and len(c[1]) < 5_000][
        ::12
    ]
    assert len(refused) >= 3
    with MllmServer() as server:
        drawn(e, server)
        stored = e.text
        for k, (_, answer, said) in enumerate(refused):
            server.said = str(answer)
            set_by_hand(e, e.ids["model"], "seed", k + 1)
            ask(e)
            until_asked(e, server, k + 1)
            e.wait_for(REFUSED, f"the model's answer {said}" if said.startswith(("is", "holds")) else said)
            assert e.text == stored and e.js(f"(id) => ({FIND})(id).dragEditor.state().intent") is None
        e.shot("intent-refused")
        server.said = next(str(a) for n, a, _ in CASES if n == "markup")
        set_by_hand(e, e.ids["model"], "seed", 100)
        ask(e)
        e.wait_for("(s) => s.intent?.candidates.length === 1")
        chip(e, 0).click()
        e.settle(0.5)
        assert e.doc["prompts"]["target"].endswith("<img src=x onerror=alert(1)> a cup")
        e.focus()
        e.press("Control+z")
    set_by_hand(e, e.ids["model"], "seed", 101)  # the server is gone
    ask(e)
    e.wait_for(REFUSED, "nothing answers at http://127.0.0.1")
    assert e.text == stored and e.errors() == []


@pytest.mark.parametrize("address", ["http://192.0.2.1:11434", "http://me:secret@127.0.0.1:9"])
def test_no_other_machine_is_asked(editor: Editor, address: str) -> None:
    e = editor
    with MllmServer() as server:
        drawn(e, server)
        set_by_hand(e, e.ids["model"], "address", address)
        ask(e)
        e.wait_for(REFUSED, "is not this machine" if "192" in address else "a name or a password")
        assert server.asked == [] and "secret" not in json.dumps(e.js("(id) => app.nodeOutputs ?? null"))

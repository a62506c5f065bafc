"""What runs is what one sees: imports in API format, fields that are typed in, what a run says."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.browser.driver import FIND, Editor
from tests.browser.test_editor import BOX
from tests.host.workflows import to_prompt
from tools.examples import FOLDER

PROMPT = "async () => (await app.graphToPrompt()).output"
# Export, import, export: {id: inputs}
ROUND = """async (id, workflow) => {
  const inputs = async () => Object.fromEntries(Object.entries((await app.graphToPrompt()).output)
    .map(([id, n]) => [id, n.inputs]))
  await app.loadGraphData(workflow)
  const before = await inputs(), api = (await app.graphToPrompt()).output
  await app.loadApiJson(JSON.parse(JSON.stringify(api)), 'imported')
  return [before, await inputs()]
}"""
SMALLEST = """async (id, drag) => {
  app.graph.clear()
  const add = (type, x, y) => {
    const node = LiteGraph.createNode(type); node.pos = [x, y]; app.graph.add(node); return node
  }
  const scene = add('DragExampleScene', 20, 60), model = add('DragEmbeddedModel', 20, 300)
  const editor = add('DragEditor', 340, 60), encode = add('VAEEncode', 20, 460)
  const invert = add('DragInvert', 20, 560), drag9 = add('DragOptimize', 1000, 60)
  const decode = add('VAEDecode', 1000, 1000), save = add('SaveImage', 1000, 1100)
  scene.connect(0, editor, 'image'); scene.connect(0, encode, 'pixels'); model.connect(2, encode, 'vae')
  for (const node of [invert, drag9]) { model.connect(0, node, 'model'); model.connect(1, node, 'positive') }
  encode.connect(0, invert, 'latent'); invert.connect(3, drag9, 'trajectory')
  editor.connect(5, drag9, 'regions')
  drag9.connect(0, decode, 'samples'); model.connect(2, decode, 'vae'); decode.connect(0, save, 'images')
  invert.widgets.find((w) => w.name === 'steps').value = 8
  editor.setSize([620, 640])
  app.canvas.ds.scale = 1; app.canvas.ds.offset = [0, 0]; app.canvas.setDirty(true, true)
  return { editor: editor.id, optimise: drag9.id }
}"""
TOLD = "(s, el, said) => [...el.querySelectorAll('.drg-chip')].some((c) => c.textContent.includes(said))"


def widgets(e: Editor, node: Any) -> dict[str, Any]:
    code = "(id, n) => Object.fromEntries(app.graph.getNodeById(n).widgets.map((w) => [w.name, w.value]))"
    found: dict[str, Any] = e.js(code, node)
    return found


def set_by_hand(e: Editor, node: Any, name: str, value: Any) -> None:
    """As the page does after a hand: the value, then the callback with it and the canvas."""
    code = """(id, n, name, value) => { const node = app.graph.getNodeById(n)
      const w = node.widgets.find((w) => w.name === name); w.value = value
      w.callback?.(value, app.canvas, node) }"""
    e.js(code, node, name, value)


@pytest.mark.parametrize("name", sorted(p.stem for p in FOLDER.glob("*.json")))
def test_a_template_survives_export_and_import(editor: Editor, name: str) -> None:
    workflow = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    before, after = editor.js(ROUND, workflow)
    assert len(before) > 3 and after == before


def test_example_scenes_of_before_stay_plain(editor: Editor) -> None:
    """Saved or exported when Drag Example Scene had no `scenes`; a node that is added has lit ones."""
    e = editor
    add = "() => { const n = LiteGraph.createNode('DragExampleScene'); app.graph.add(n); return n.id }"
    assert widgets(e, e.js(add)) == {"kind": "move", "number": 0, "scenes": "lit"}
    workflow = json.loads((FOLDER / "drag-editor.json").read_text(encoding="utf-8"))
    scene = next(n for n in workflow["nodes"] if n["type"] == "DragExampleScene")
    scene["widgets_values"] = ["rotate", 3]
    del scene["widgets_values_named"]
    scene["inputs"] = [i for i in scene["inputs"] if i["name"] != "scenes"]
    wanted = {"kind": "rotate", "number": 3, "scenes": "plain"}

    def found() -> tuple[dict[str, Any], dict[str, Any]]:
        prompt = e.js(PROMPT)
        return prompt, next(n["inputs"] for n in prompt.values() if n["class_type"] == "DragExampleScene")

    e.js("async (id, w) => app.loadGraphData(w)", workflow)
    api, inputs = found()
    assert inputs == wanted
    del inputs["scenes"]
    e.js("async (id, api) => app.loadApiJson(api, 'imported')", api)
    assert found()[1] == wanted
    lit = json.loads(json.dumps(workflow))
    next(n for n in lit["nodes"] if n["type"] == "DragExampleScene")["widgets_values"] = ["part", 3, "lit"]
    e.js("async (id, w) => app.loadGraphData(w)", lit)
    assert found()[1] == {"kind": "part", "number": 3, "scenes": "lit"} and e.errors() == []


def test_an_imported_template_gives_the_same_picture(editor: Editor) -> None:
    """Its recipe became custom once: 15.7 dB where the template has 23.9."""
    e = editor
    workflow = json.loads((FOLDER / "drag-editor.json").read_text(encoding="utf-8"))
    wanted = e.server.run(to_prompt(workflow, e.server.object_info()), 400)
    e.js(ROUND, workflow)
    outputs = e.queue(400)
    save = next(str(n["id"]) for n in workflow["nodes"] if n["type"] == "SaveImage")
    a, b = (e.server.image(given[save]["images"][0]) for given in (wanted.outputs, outputs))
    assert np.array_equal(a, b) and e.errors() == []


def test_an_import_of_other_numbers_keeps_the_recipe(editor: Editor) -> None:
    """As scripts and workflows of before the numbers were shown have them: the recipe's name, and whatever
    the method's fields were.
    """
    e = editor
    workflow = json.loads((FOLDER / "drag-editor.json").read_text(encoding="utf-8"))
    e.js("async (id, w) => app.loadGraphData(w)", workflow)
    api = e.js(PROMPT)
    node = next(n for n in api.values() if n["class_type"] == "DragOptimize")
    node["inputs"] |= {"recipe": "dragnext", "method.iterations": 30}
    e.js("async (id, api) => app.loadApiJson(api, 'imported')", api)
    found = next(n["inputs"] for n in e.js(PROMPT).values() if n["class_type"] == "DragOptimize")
    assert found == node["inputs"]


def test_only_a_hand_makes_a_recipe_custom(editor: Editor) -> None:
    e = editor
    ids = e.js(SMALLEST)
    node = ids["optimise"]
    assert widgets(e, node)["recipe"] == "auto"
    set_by_hand(e, node, "recipe", "gooddrag")
    assert widgets(e, node)["method"] == "point" and widgets(e, node)["method.levels"] == 7
    set_by_hand(e, node, "method.levels", 7)
    assert widgets(e, node)["recipe"] == "gooddrag"
    set_by_hand(e, node, "method.levels", 5)
    assert widgets(e, node)["recipe"] == "custom"
    set_by_hand(e, node, "recipe", "auto")
    found = widgets(e, node)
    assert (found["recipe"], found["method"], found["method.iterations"]) == ("auto", "region", 50)
    set_by_hand(e, node, "method.iterations", 20)
    assert widgets(e, node)["recipe"] == "custom"


@pytest.mark.parametrize("keys", ["Control+Enter", "Control+s"])
def test_what_stands_in_a_field_is_what_runs(editor: Editor, keys: str) -> None:
    """Typed, and not yet left with Tab: the queue, and what is saved, take it."""
    e = editor
    e.polygon(*BOX)
    e.drag((140, 130), (200, 150))
    e.focus()
    e.press("l")  # the panel
    e.settle(0.5)
    field = e.page.locator('input[data-field="tx"]')
    field.fill("250")
    before = set(e.server.get("/history"))
    if keys == "Control+s":  # the host, at the window, would ask for a name
        e.js("() => document.addEventListener('keydown', (k) => k.key === 's' && k.stopPropagation())")
    e.page.keyboard.press(keys)
    e.settle(0.5)
    assert e.region["target"][0] == 250
    assert json.loads(e.js(f"(id) => ({FIND})(id).value"))["regions"][0]["target"][0] == 250
    assert e.page.evaluate("() => document.activeElement.dataset.field") == "tx"  # one goes on typing
    if keys == "Control+Enter":
        outputs = e.finished(before)
        assert json.loads(e.executed_instruction(outputs))["regions"][0]["target"][0] == 250
    assert e.errors() == []


def test_the_editor_says_what_is_missing_and_what_was_made(editor: Editor) -> None:
    """Nothing marked: a red chip in the editor, gone with the first region; then the run's notes."""
    e = editor
    ids = e.js(SMALLEST)
    e.ids = ids
    e.js("async () => app.loadGraphData(app.graph.serialize())")
    e.home()
    before = e.queued()
    e.finished(before, status="error")
    e.wait_for(TOLD, "in the drag editor nothing is marked: mark a part of the picture")
    e.wait_for("(s) => s.size.width === 256")
    e.shot("nothing-marked")
    e.polygon((152, 90), (200, 80), (217, 120), (180, 160), (146, 140))
    e.drag((180, 117), (144, 86))
    assert e.js(f"(id) => ({FIND})(id).element.querySelectorAll('.drg-bad').length") == 0
    set_by_hand(e, ids["optimise"], "recipe", "dragflow")
    # as a promoted field does: no callback, so that the recipe stays
    e.js(
        """(id, n) => { app.graph.getNodeById(n).widgets.find((w) => w.name === 'method.hold').value = 3 }""",
        ids["optimise"],
    )
    e.finished(e.queued(), 400)
    e.wait_for(TOLD, "start: made here: draft")
    e.wait_for(TOLD, "recipe dragflow ignores hold=3: choose custom to use it")
    e.wait_for("(s) => s.showing === 'result'")
    e.shot("made-here")
    assert e.errors() == []

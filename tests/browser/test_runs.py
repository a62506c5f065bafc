"""Runs from the editor and beside it: started and stopped there, drawn on meanwhile, their results kept."""

from __future__ import annotations

from typing import Any

from tests.browser.driver import FIND, Editor
from tests.browser.test_editor import BOX, near
from tests.browser.test_smallest_graph import SMALLEST, TOLD, set_by_hand

FACE = ((152, 90), (200, 80), (217, 120), (180, 160), (146, 140))
# Between the picture and what is shown of it: a crop of what is drawn
CROPPED = """(id) => {
  const editor = app.graph.getNodeById(id), load = app.graph.nodes.find((n) => n.type === 'LoadImage')
  const crop = LiteGraph.createNode('DragCrop'), show = LiteGraph.createNode('PreviewImage')
  for (const node of [crop, show]) { node.pos = [1000, 600]; app.graph.add(node) }
  load.connect(0, crop, 'image'); editor.connect(5, crop, 'regions'); crop.connect(0, show, 'images')
  crop.widgets.find((w) => w.name === 'side').value = 64
}"""
# What the editor is told of a run, from now on
WATCHED = f"""(id) => {{ const d = ({FIND})(id).dragEditor, set = d.setRun
  window.runs = []
  d.setRun = (run) => {{ window.runs.push(run); set(run) }} }}"""


def shown(e: Editor, selector: str) -> bool:
    code = f"(id, s) => !!({FIND})(id).element.querySelector(s)?.checkVisibility()"
    return bool(e.js(code, selector))


def smallest(e: Editor) -> dict[str, Any]:
    """The smallest graph that edits, with the face led away."""
    e.ids = e.js(SMALLEST)
    e.js("async () => app.loadGraphData(app.graph.serialize())")
    e.home()
    e.wait_for("(s, el) => el.isConnected")
    before = set(e.server.get("/history"))
    e.js("(id) => app.queuePrompt(0, 1, [String(id)])")  # the picture
    e.finished(before)
    e.wait_for("(s) => s.size.width === 256")
    e.polygon(*FACE)
    e.drag((180, 117), (144, 86))
    return e.ids


def test_an_error_of_any_node_comes_to_its_editor(editor: Editor) -> None:
    """There is no Drag Optimize; the node that refuses is Drag Crop."""
    e = editor
    e.js(CROPPED)
    e.finished(e.queued(), status="error")
    e.wait_for(TOLD, "nothing is marked")
    said = e.js(f"(id) => ({FIND})(id).element.querySelector('.drg-bad').textContent")
    assert "DragError" not in said and "custom_nodes" not in said
    e.shot("crop-refuses")
    e.polygon(*BOX)
    assert not shown(e, ".drg-bad")


def test_notes_of_a_node_behind_come_to_the_editor(editor: Editor) -> None:
    e = editor
    e.js(CROPPED)
    e.polygon(*BOX)
    e.drag((140, 130), (240, 160))
    e.queue()
    e.wait_for(TOLD, "shrunk to less than half")
    e.shot("crop-notes")
    e.drag((240, 160), (250, 170))
    assert not e.js(f"(id) => ({FIND})(id).dragEditor.state().told.notes.length")


def test_the_whole_screen_runs_the_graph(editor: Editor) -> None:
    e = editor
    e.polygon(*BOX)
    e.drag((140, 130), (200, 150))
    e.focus()
    e.press("f")
    e.settle(0.6)
    before = set(e.server.get("/history"))
    e.page.fill('dialog[open] input[data-field="tx"]', "250")
    e.page.keyboard.press("Control+Enter")
    outputs = e.finished(before)
    assert e.region["target"][0] == 250 and e.executed_instruction(outputs) == e.text
    before = set(e.server.get("/history"))
    e.page.click("dialog[open] .drg-go")
    e.finished(before)
    e.shot("full-screen-run")
    # refused: the host's message is behind the screen
    e.js("(id) => app.graph.nodes.find((n) => n.type === 'MaskPreview').inputs[0].link = null")
    e.focus()
    e.press("Control+Enter")
    e.page.wait_for_selector("dialog[open] .drg-bad")
    assert "MaskPreview: Required input is missing" in e.page.inner_text("dialog[open] .drg-bad")
    e.press("Escape", "Escape", "Escape")
    e.settle(0.6)
    assert e.errors() == []


def test_one_draws_on_and_the_result_is_of_the_earlier_drawing(editor: Editor) -> None:
    e = editor
    ids = smallest(e)
    drawn = e.text
    e.js(WATCHED)
    invert = e.js("() => app.graph.nodes.find((n) => n.type === 'DragInvert').id")
    set_by_hand(e, invert, "steps", 9 + e.vue)  # no page before has made this inversion
    # long enough for a busy machine's hand
    set_by_hand(e, ids["optimise"], "recipe", "custom")
    set_by_hand(e, ids["optimise"], "method.iterations", 150)
    before = set(e.server.get("/history"))
    e.js("() => { app.queuePrompt(0, 1) }")
    inverts = "() => window.runs.some((run) => run?.phase === 'inverting' && run.part > 0)"
    e.wait_for(inverts, seconds=180)
    assert shown(e, ".drg-run") and shown(e, ".drg-go.drg-danger")
    e.shot("inverting")
    e.drag((144, 86), (160, 80))
    later = e.text
    assert later != drawn and near(e.region["target"], (160, 80), 1.5)
    e.wait_for("(s, el) => el.querySelector('.drg-inset').checkVisibility()", seconds=180)
    e.shot("drawing-on")
    e.finished(before, 400)
    e.wait_for("(s, el) => el.querySelector('.drg-inset').textContent === 'Result of an earlier drawing'")
    runs = e.page.evaluate("() => window.runs")
    phases = list(dict.fromkeys(run["phase"] for run in runs if run))
    assert phases[0] == "starting" and runs[-1] is None
    assert {"inverting", "dragging", "decoding"} <= set(phases)
    assert not shown(e, ".drg-run") and e.text == later
    e.page.click(".drg-inset")
    e.shot("earlier-drawing")
    # another tab and back: the result is there, and still says so
    e.js("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    e.settle(1.0)
    e.js("() => app.extensionManager.command.execute('Workspace.PreviousOpenedWorkflow')")
    e.wait_for("(s, el) => el.isConnected && s.size.width === 256")
    e.wait_for("(s, el) => el.querySelector('[title^=\"Result and picture before\"]').checkVisibility()")
    assert e.state["showing"] == "edit" and e.text == later
    e.page.click('[title^="Result and picture before"]')
    e.shot("after-the-tab")
    e.page.click("text=Take that drawing back")
    assert e.text == drawn and e.state["showing"] == "result"
    assert e.errors() == []

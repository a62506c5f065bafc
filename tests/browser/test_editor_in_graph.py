"""The editor as a part of the graph: undo, full screen, renderers, clones, subgraphs."""

from __future__ import annotations

import json

import pytest

from tests.browser.driver import FIND, Editor
from tests.browser.test_editor import BOX, near
from tests.host.place import ROOT


def test_the_graphs_own_undo_keeps_zoom_and_local_undo(editor: Editor) -> None:
    e = editor
    e.polygon(*BOX)
    e.drag((140, 130), (200, 150))
    wanted = e.text
    e.page.mouse.move(*e.at((140, 130)))
    e.page.mouse.wheel(0, -300)
    e.settle(0.3)
    view = e.state["view"]
    # a step of the graph that is not ours, undone in the graph: the host makes every node anew
    e.js(
        """() => { const n = app.graph.nodes.find((n) => n.type === 'LoadImage'); n.title = 'renamed'
        app.extensionManager.workflow.activeWorkflow.changeTracker.captureCanvasState() }"""
    )
    e.js("() => document.activeElement.blur()")
    e.js("() => app.extensionManager.command.execute('Comfy.Undo')")
    back = "(s, el, text) => el.isConnected && s.text === text && el.getBoundingClientRect().width > 0"
    e.wait_for(back, wanted)
    assert e.js("() => app.graph.nodes.some((n) => n.title === 'renamed')") is False
    e.settle(0.5)
    assert e.state["view"]["scale"] == pytest.approx(view["scale"])
    e.focus()
    e.press("Control+z")
    assert "target" not in e.region and e.region["polygons"]


def test_full_screen_and_back(editor: Editor) -> None:
    e = editor
    e.polygon(*BOX)
    e.focus()
    e.press("f")
    e.settle(0.6)
    assert e.state["full"] and e.page.evaluate("() => !!document.querySelector('dialog[open]')")
    e.drag((140, 130), (240, 160))
    assert near(e.region["target"], (240, 160), 1.5)
    e.shot("full-screen")
    e.press("Escape", "Escape", "Escape")
    e.settle(0.6)
    assert not e.state["full"] and not e.page.evaluate("() => !!document.querySelector('dialog[open]')")
    assert e.js(f"(id) => ({FIND})(id).element.querySelector('canvas')?.isConnected")
    e.drag((240, 160), (260, 200))
    assert near(e.region["target"], (260, 200), 2)


def test_the_other_renderer_takes_the_editor_over(editor: Editor) -> None:
    e = editor
    e.polygon(*BOX)
    wanted = e.text
    for vue in (not e.vue, e.vue):
        e.js("(id, vue) => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', vue)", vue)
        e.wait_for(
            """(s, el, vue) => LiteGraph.vueNodesMode === vue && el.isConnected
            && el.getBoundingClientRect().width > 99""",
            vue,
        )
        e.settle(1.0)
        assert e.text == wanted
    e.home()
    e.drag((140, 130), (200, 150))
    assert near(e.region["target"], (200, 150), 1.5)


def test_a_clone_and_a_subgraph_keep_the_value(editor: Editor) -> None:
    e = editor
    e.polygon(*BOX)
    wanted = e.text
    clone = e.js(
        """(id) => { const n = app.graph.getNodeById(id), c = n.clone(); c.pos = [340, 800]; app.graph.add(c)
        return c.id }"""
    )
    e.settle(0.5)
    value = f"(id, clone) => ({FIND})(clone).value"
    assert e.js(value, clone) == wanted
    e.focus()
    e.press("Delete")
    assert e.text == "" and e.js(value, clone) == wanted  # two documents, not one
    e.press("Control+z")
    e.js("(id, clone) => app.graph.remove(app.graph.getNodeById(clone))", clone)
    inner = e.js(
        """(id) => { const n = app.graph.getNodeById(id)
        const { node } = app.graph.convertToSubgraph(new Set([n]))
        const inner = node.subgraph.nodes.find((n) => n.type === 'DragEditor')
        app.canvas.selectNode(node)
        return inner.widgets.find((w) => w.name === 'drag').value }"""
    )
    assert inner == wanted
    e.settle(0.5)
    e.js("() => app.extensionManager.command.execute('drag.openEditor')")
    e.settle(0.8)
    assert e.page.evaluate("() => !!document.querySelector('dialog[open] canvas')")
    e.shot("subgraph")
    e.press("Escape", "Escape", "Escape")
    outputs = e.queue()
    assert json.loads(e.executed_instruction(outputs)) == json.loads(wanted)


def test_a_workflow_of_before_keeps_its_links_and_gets_the_new_sockets(editor: Editor) -> None:
    """Saved when Drag Editor ended with `regions` and had no `mask`, Drag Invert no `regions`."""
    e = editor
    workflow = json.loads((ROOT / "example_workflows" / "drag-editor.json").read_text())
    later = {"DragEditor": ({"mask"}, 6), "DragInvert": ({"regions"}, 5)}
    for node in workflow["nodes"]:
        if node["type"] in later:
            names, count = later[node["type"]]
            node["inputs"] = [i for i in node["inputs"] if i["name"] not in names]
            node["outputs"] = node["outputs"][:count]
    e.js("(id, w) => app.loadGraphData(w)", workflow)
    linked = """() => app.graph.nodes.flatMap((n) => (n.inputs ?? []).flatMap((i) => {
      const link = i.link == null ? null : app.graph.links.get?.(i.link) ?? app.graph.links[i.link]
      return link ? [[link.origin_id, link.origin_slot, n.id, i.name].map(String)] : []
    }))"""
    wanted = [
        [str(x) for x in (link[1], link[2], n["id"], i["name"])]
        for n in workflow["nodes"]
        for i in n.get("inputs") or []
        for link in workflow["links"]
        if link[0] == i["link"]
    ]
    assert sorted(e.page.evaluate(linked)) == sorted(wanted)
    sockets = """() => Object.fromEntries(app.graph.nodes.map((n) =>
      [n.type, [...(n.inputs ?? []), ...(n.outputs ?? [])].map((x) => x.name)]))"""
    there = e.page.evaluate(sockets)
    assert {"mask", "filled", "warped", "prompt_before", "prompt_after"} <= set(there["DragEditor"])
    assert "regions" in there["DragInvert"] and e.errors() == []

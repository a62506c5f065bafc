"""Drives the drag editor in a page as a hand would: real mouse and keys, places given in picture pixels."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.browser.place import SHOTS
from tests.host.server import Server

READY = 180_000  # ms; a page takes 5 s, and most of a minute on a busy machine
SETTINGS = {
    "Comfy.TutorialCompleted": True,  # else the templates lie over the graph
    "Comfy.Workflow.Persist": True,  # a reload brings the graph back
    "Comfy.Workflow.ShowMissingNodesWarning": False,
    "Comfy.Release.Status": "skipped",
}
SHOWS = """(s, el) => el.isConnected && el.getBoundingClientRect().width > 200
  && s.size.width === 400"""
BUILD = """async () => {
  app.graph.clear()
  const add = (type, x, y) => {
    const node = LiteGraph.createNode(type); node.pos = [x, y]; app.graph.add(node); return node
  }
  const load = add('LoadImage', 20, 60), editor = add('DragEditor', 340, 60)
  const text = add('PreviewAny', 1000, 60), mask = add('MaskPreview', 1000, 330)
  load.widgets.find((w) => w.name === 'image').value = 'scene.png'
  load.connect(0, editor, 'image'); editor.connect(3, text, 0); editor.connect(1, mask, 0)
  editor.setSize([620, 640])
  app.canvas.ds.scale = 1; app.canvas.ds.offset = [0, 0]; app.canvas.setDirty(true, true)
  return { load: load.id, editor: editor.id, text: text.id, mask: mask.id }
}"""
FIND = """(id) => app.graph.getNodeById(id)?.widgets.find((w) => w.name === 'drag')"""


def picture(seed: int = 3, width: int = 400, height: int = 300) -> np.ndarray[Any, Any]:
    """Flat patches, a disc and some noise: something to see, and edges to find."""
    r = np.random.default_rng(seed)
    patches = r.integers(40, 220, (6, 8, 3))
    tile = np.kron(patches, np.ones((height // 6 + 1, width // 8 + 1, 1)))[:height, :width]
    y, x = np.mgrid[:height, :width]
    tile[(x - 0.35 * width) ** 2 + (y - 0.45 * height) ** 2 < (0.13 * width) ** 2] = (230, 120, 40)
    return (tile + r.normal(0, 4, tile.shape)).clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Frontend:
    name: str
    server: Server


class Editor:
    """One page with one editor node; `at` turns picture pixels into places on the screen."""

    def __init__(self, page: Any, frontend: Frontend, vue: bool) -> None:
        self.page, self.server, self.vue = page, frontend.server, vue
        self.cell = f"{frontend.name}-{'nodes2' if vue else 'litegraph'}"
        self.logs: list[str] = []
        self.ids: dict[str, Any] = {}

    # ---- the page

    def wait_ready(self) -> None:
        self.page.wait_for_function(
            "() => !!(window.app?.extensionManager && window.app?.graph && window.comfyAPI"
            " && window.LiteGraph?.registered_node_types?.DragEditor)",
            timeout=READY,
        )

    def js(self, code: str, *given: Any) -> Any:
        """`code` with the editor node's id, and what is given, as arguments of a function."""
        return self.page.evaluate(f"(a) => ({code})(...a)", [self.ids.get("editor"), *given])

    def fresh(self) -> None:
        """A new graph with an empty editor that shows the picture."""
        self.page.keyboard.press("Escape")
        self.page.mouse.move(760, 920)  # over nothing: a tooltip counts as an open dialog
        self.ids = {"editor": None}
        self.ids = self.page.evaluate(BUILD)
        # as the host loads a workflow: only then are Nodes 2.0's components made anew
        self.js("async () => app.loadGraphData(app.graph.serialize())")
        self.home()
        self.js("() => app.extensionManager.workflow.activeWorkflow.changeTracker.captureCanvasState()")
        self.wait_for(SHOWS)
        self.settle()

    def home(self, scale: float = 1.0) -> None:
        """The graph's view as it was at the start."""
        self.js(
            """(id, s) => { const { ds } = app.canvas; ds.scale = s; ds.offset = [0, 0]
            app.canvas.setDirty(true, true) }""",
            scale,
        )
        self.settle(0.5)

    def reload(self) -> None:
        """The page anew, with the graph that the host kept; the editor shows the picture again."""
        self.settle(2.0)  # the host stores it with a delay
        self.page.reload(wait_until="domcontentloaded")
        self.wait_ready()
        self.wait_for(SHOWS)
        self.home()

    def errors(self) -> list[str]:
        """What went wrong in our own scripts."""
        return [line for line in self.logs if line.startswith("[pageerror]") or "region-drag-editing" in line]

    def settle(self, seconds: float = 0.15) -> None:
        time.sleep(seconds)

    def wait_for(self, condition: str, *given: Any, seconds: float = 60.0) -> None:
        """Until condition(state, element of the widget, ...given) holds in the page."""
        code = f"""(a) => {{ const w = ({FIND})(a[0]); if (!w?.dragEditor) return false
          return ({condition})(w.dragEditor.state(), w.element, ...a.slice(1)) }}"""
        self.page.wait_for_function(code, arg=[self.ids["editor"], *given], timeout=seconds * 1000)

    def shot(self, name: str) -> Path:
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{self.cell}-{name}.png"
        self.page.screenshot(path=str(path))
        return path

    # ---- the editor

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.js(
            f"""(id) => {{ const w = ({FIND})(id), s = w.dragEditor.state()
              return {{ doc: s.doc, text: s.text, view: s.view, size: s.size, tool: s.tool, sel: s.sel,
                error: s.error, showing: s.showing, full: s.full, value: w.value }} }}"""
        )
        return found

    @property
    def text(self) -> str:
        return str(self.state["text"])

    @property
    def doc(self) -> dict[str, Any]:
        return dict(self.state["doc"])

    @property
    def region(self) -> dict[str, Any]:
        return dict(self.doc["regions"][0])

    def at(self, point: tuple[float, float]) -> tuple[float, float]:
        x, y = self.js(f"(id, p) => ({FIND})(id).dragEditor.state().toClient(p)", list(point))
        return float(x), float(y)

    def handle(self, name: str) -> tuple[float, float]:
        """Where a handle of the selected region is, in picture pixels."""
        found = self.js(f"(id) => ({FIND})(id).dragEditor.state().handles().map((h) => [h.id, h.at])")
        x, y = next(at for n, at in found if n == name)  # in the box's pixels
        view = self.state["view"]
        return (x - view["x"]) / view["scale"] - 0.5, (y - view["y"]) / view["scale"] - 0.5

    def click(self, *points: tuple[float, float]) -> None:
        for point in points:
            self.page.mouse.move(*self.at(point))
            self.page.mouse.down()
            self.page.mouse.up()
            self.settle(0.06)

    def drag(self, start: tuple[float, float], end: tuple[float, float], button: str = "left") -> None:
        a, b = self.at(start), self.at(end)
        self.page.mouse.move(*a)
        self.page.mouse.down(button=button)
        for i in range(1, 7):
            self.page.mouse.move(a[0] + (b[0] - a[0]) * i / 6, a[1] + (b[1] - a[1]) * i / 6)
            self.settle(0.02)
        self.page.mouse.up(button=button)
        self.settle()

    def focus(self) -> None:
        self.js(f"(id) => ({FIND})(id).dragEditor.focus()")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.settle(0.04)

    def polygon(self, *corners: tuple[float, float]) -> None:
        self.focus()
        self.press("p")
        self.click(*corners)
        self.press("Enter")
        self.settle()

    # ---- the queue

    def queue(self, seconds: float = 120.0) -> dict[str, Any]:
        """Queues the graph as the button does; what the nodes gave, by id. Fails if it did not succeed."""
        return self.finished(self.queued(), seconds)

    def queued(self) -> set[str]:
        """Queues the graph; what had ended before."""
        before = set(self.server.get("/history"))
        self.js("() => app.queuePrompt(0, 1)")
        return before

    def finished(self, before: set[str], seconds: float = 120.0, status: str = "success") -> dict[str, Any]:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            history = self.server.get("/history")
            if new := set(history) - before:
                entry = history[new.pop()]
                if entry.get("status", {}).get("completed") is not None:
                    assert entry["status"]["status_str"] == status, entry["status"]
                    return dict(entry["outputs"])
            time.sleep(0.2)
        raise AssertionError(f"nothing was executed in {seconds:.0f} s; {self.logs[-5:]}")

    def executed_instruction(self, outputs: dict[str, Any]) -> str:
        shown = outputs[str(self.ids["text"])]["text"]
        return str(shown[0])


@contextmanager
def open_page(browser: Any, frontend: Frontend, vue: bool) -> Iterator[Editor]:
    """A page with that renderer, cut off from every other machine."""
    server = frontend.server
    for name, value in {**SETTINGS, "Comfy.VueNodes.Enabled": vue}.items():
        request = urllib.request.Request(f"{server.url}/settings/{name}", data=json.dumps(value).encode())
        request.add_header("Content-Type", "application/json")
        urllib.request.urlopen(request, timeout=60)
    context = browser.new_context(viewport={"width": 1500, "height": 950})
    page = context.new_page()
    editor = Editor(page, frontend, vue)
    page.on("console", lambda m: editor.logs.append(f"[{m.type}] {m.text}"))
    page.on("pageerror", lambda e: editor.logs.append(f"[pageerror] {e}"))
    near = (server.url, "data:", "blob:")
    page.route("**/*", lambda r: r.continue_() if r.request.url.startswith(near) else r.abort())
    try:
        page.goto(server.url, wait_until="domcontentloaded")
        editor.wait_ready()
        time.sleep(2)
        editor.js(
            "(id, vue) => { if (LiteGraph.vueNodesMode !== vue) throw new Error('the other renderer') }", vue
        )
        yield editor
    finally:
        context.close()

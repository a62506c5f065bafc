"""The editor in a bare page: a static server of the checkout, and a page with hands."""

from __future__ import annotations

import functools
import http.server
import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / "out" / "browser"
PAGE = "tests/browser/bare.html"
BALL, HOUSE = (330.0, 405.0), (130.0, 330.0)  # in the picture of bare.html


class _Files(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}

    def log_message(self, *_: Any) -> None:
        pass

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()


@contextmanager
def served(folder: Path = ROOT) -> Iterator[str]:
    """The folder over HTTP on a free port of this machine."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Files, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class Hands:
    """Mouse and keys on one editor; places are (x, y) pixels of its picture."""

    def __init__(self, page: Any, address: str, **ask: Any) -> None:
        self.page = page
        self.faults: list[str] = []
        page.on("pageerror", lambda e: self.faults.append(str(e)))
        page.on("console", lambda m: self.faults.append(m.text) if m.type == "error" else None)
        page.goto(f"{address}/{PAGE}?{urlencode({'theme': 'dark', **ask})}")
        page.wait_for_function("window.probe")
        self.settle()

    def settle(self) -> None:
        """Two frames: what was asked for is drawn."""
        self.page.evaluate("() => new Promise(d => requestAnimationFrame(() => requestAnimationFrame(d)))")

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.page.evaluate("probe.editor.state()")
        return state

    def doc(self) -> dict[str, Any]:
        """What is stored, read back."""
        text = self.page.evaluate("probe.editor.getText()")
        stored: dict[str, Any] = json.loads(text) if text else {"regions": [], "points": []}
        return stored

    def region(self, i: int = 0) -> dict[str, Any]:
        out: dict[str, Any] = self.doc()["regions"][i]
        return out

    def at(self, p: tuple[float, float]) -> tuple[float, float]:
        """Where a pixel of the picture is on the page."""
        x, y = self.page.evaluate("p => probe.editor.state().toClient(p)", list(p))
        return x, y

    def click(self, p: tuple[float, float], **how: Any) -> None:
        self.page.mouse.click(*self.at(p), **how)

    def drag(self, *way: tuple[float, float], steps: int = 6, hold: str = "", release: bool = True) -> None:
        """Press on the first place, over the others, release."""
        self.drag_client(*[self.at(p) for p in way], steps=steps, hold=hold, release=release)

    def drag_client(
        self, *way: tuple[float, float], steps: int = 6, hold: str = "", release: bool = True
    ) -> None:
        mouse = self.page.mouse
        if hold:
            self.page.keyboard.down(hold)
        mouse.move(*way[0])
        mouse.down()
        for a, b in zip(way, way[1:], strict=False):
            for k in range(1, steps + 1):
                mouse.move(a[0] + (b[0] - a[0]) * k / steps, a[1] + (b[1] - a[1]) * k / steps)
        if release:
            mouse.up()
        if hold:
            self.page.keyboard.up(hold)
        self.settle()

    def load(self, document: dict[str, Any] | str) -> None:
        """Gives the editor a document, as the host does."""
        text = document if isinstance(document, str) else json.dumps(document)
        self.page.evaluate("t => probe.editor.setText(t)", text)
        self.settle()

    def key(self, *keys: str) -> None:
        for k in keys:
            self.page.keyboard.press(k)

    def focus(self) -> None:
        self.page.evaluate("probe.editor.focus()")

    def polygon(self, centre: tuple[float, float], radius: float, corners: int = 8) -> None:
        """A polygon drawn by clicks, closed by Enter."""
        self.focus()
        self.key("p")
        for k in range(corners):
            t = 2 * math.pi * k / corners
            self.click((centre[0] + radius * math.cos(t), centre[1] + radius * math.sin(t)))
        self.key("Enter")
        self.settle()

    def handle(self, name: str) -> tuple[float, float]:
        """Where a handle of the selected region is on the page."""
        x, y = self.page.evaluate(
            """name => {
              const h = probe.editor.state().handles().find(h => h.id === name)
              const box = probe.root.querySelector('.drg-box'), r = box.getBoundingClientRect()
              const { width, height } = getComputedStyle(box)
              const [kx, ky] = [r.width / parseFloat(width), r.height / parseFloat(height)]
              return [r.left + h.at[0] * kx, r.top + h.at[1] * ky]
            }""",
            name,
        )
        return x, y

    def tool(self, name: str) -> None:
        self.page.click(f'.drg-rail [data-tool="{name}"]')

    def shot(self, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.settle()
        self.page.screenshot(path=str(SHOTS / f"{name}.png"))


Open = Callable[..., Hands]


def centroid(points: list[list[float]]) -> tuple[float, float]:
    """Mean of the corners: of a regular polygon its centre."""
    return sum(p[0] for p in points) / len(points), sum(p[1] for p in points) / len(points)


def near(p: Any, q: Any, by: float = 1.0) -> bool:
    return math.dist(p, q) <= by


def pixel(hands: Hands, p: tuple[float, float]) -> list[int]:
    """The colour that the canvas shows at a place of the picture."""
    out: list[int] = hands.page.evaluate(
        """p => {
          const c = probe.root.querySelector('canvas'), r = c.getBoundingClientRect(), k = c.width / r.width
          const [x, y] = probe.editor.state().toClient(p)
          const at = [(x - r.left) * k, (y - r.top) * k].map(Math.round)
          return [...c.getContext('2d').getImageData(...at, 1, 1).data]
        }""",
        list(p),
    )
    return out


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """The checkout over HTTP."""
    with served() as url:
        yield url


@pytest.fixture
def opened(browser: Any, address: str) -> Iterator[Open]:
    """Opens editors: opened(w=.., h=.., iw=.., zoom=.., page={..}). No page may log an error."""
    contexts, all_hands = [], []

    def start(page: dict[str, Any] | None = None, **ask: Any) -> Hands:
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **(page or {})}))
        hands = Hands(contexts[-1].new_page(), address, **ask)
        all_hands.append(hands)
        return hands

    yield start
    faults = [f for h in all_hands for f in h.faults]
    for context in contexts:
        context.close()
    assert faults == []

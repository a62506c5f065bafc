"""The drag editor in a real page of a real ComfyUI, in Chromium: `python dev.py test --browser`.

Two renderers (LiteGraph, Nodes 2.0) by two frontends (the one that ComfyUI pins, the newest); screenshots
go to out/browser.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.bare import address, opened  # noqa: F401  fixtures of the page without a host
from tests.browser.driver import Editor, Frontend, open_page, picture
from tests.browser.place import chromium, missing_browser, missing_host, newest_frontend
from tests.host.server import Server

CELLS = [(frontend, vue) for frontend in ("pinned", "newest") for vue in (False, True)]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where something is missing, one test stands for all that need it and says what."""
    for said, fixture in ((missing_browser(), None), (missing_host(), "frontend")):
        needing = [i for i in items if fixture is None or fixture in getattr(i, "fixturenames", ())]
        if said and needing:
            needing[0].add_marker(pytest.mark.skip(reason=said))
            config.hook.pytest_deselected(items=needing[1:])
            items[:] = [i for i in items if i not in needing[1:]]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as p:
        started = p.chromium.launch(executable_path=chromium(), args=args)
        yield started
        started.close()


@pytest.fixture(scope="session", params=["pinned", "newest"])
def frontend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    """A server with that frontend; a start takes most of a minute."""
    more: tuple[str, ...] = ()
    if request.param == "newest":
        folder, said = newest_frontend()
        if folder is None:
            pytest.skip(said)
        more = ("--front-end-root", str(folder))
    with Server(tmp_path_factory.mktemp(request.param), (*more, "--preview-method", "latent2rgb")) as server:
        server.upload(picture(), "scene.png")
        server.upload(picture(seed=5, width=300, height=200), "other.png")
        yield Frontend(request.param, server)


@pytest.fixture(scope="session", params=["litegraph", "nodes2"])
def page(request: pytest.FixtureRequest, frontend: Frontend, browser: Any) -> Iterator[Editor]:
    """A page of one cell of the matrix, with LoadImage -> DragEditor -> what it gives, and nothing drawn."""
    with open_page(browser, frontend, vue=request.param == "nodes2") as editor:
        yield editor


@pytest.fixture
def editor(page: Editor) -> Editor:
    page.fresh()
    return page

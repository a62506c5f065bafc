"""Tests against a real ComfyUI (COMFYUI_PATH, COMFYUI_PYTHON): `python dev.py test --host`.

Each runs the host in a process of its own. inside/ holds tests that run in that process: test_inside.py
starts them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.host.place import NO_COMPILER, compiler, has_card, missing
from tests.host.server import Server

collect_ignore = ["inside"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a host, one test stands for all and says why it is skipped: one line, not one a test."""
    if (said := missing()) and items:
        items[0].add_marker(pytest.mark.skip(reason=said))
        config.hook.pytest_deselected(items=items[1:])
        del items[1:]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Under --cuda on a machine without a card, one line that says so."""
    if os.environ.get("DRAG_CUDA") and missing() is None and not has_card():
        rehearsed = (
            "no CUDA card: the tests in ComfyUI's process ran on an imitated one (tests/host/rehearsal.py)"
        )
        terminalreporter.write_line(rehearsed if compiler() else NO_COMPILER)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests, since a start takes most of a minute: leave its queue empty."""
    with Server(tmp_path_factory.mktemp("server")) as started:
        yield started

"""The published methods, one file each, and the table of them: a new one is its file and its line here."""

from __future__ import annotations

from importlib import import_module

from .record import Method

# In the order of the node's list. Each file's METHOD is its record.
FILES = (
    "dragflow",
    "dragnext",
    "gooddrag",
    "dragdiffusion",
    "adaptivedrag",
)


def _record(file: str) -> Method:
    method = import_module(f"{__name__}.{file}").METHOD
    assert isinstance(method, Method) and method.name == file
    return method


METHODS: dict[str, Method] = {file: _record(file) for file in FILES}

"""The vectors that the drag editor's JavaScript is tested with are what this Python computes now."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tools.vectors import GOLDEN, vectors

STALE = "run python -m tools.vectors, and node --test tests/js"


def close(a: Any, b: Any) -> bool:
    """Equal but for the last digits of numbers, in which machines differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(close(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(close, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return a == pytest.approx(b, abs=1e-11)
    return bool(a == b)


@pytest.mark.parametrize("name", vectors())
def test_the_vectors_are_up_to_date(name: str) -> None:
    kept = json.loads((GOLDEN / name).read_text(encoding="utf-8"))
    assert close(kept, json.loads(vectors()[name])), STALE


def test_documents_are_read_refused_and_left_as_drafts() -> None:
    texts = json.loads((GOLDEN / "instruction_vectors.json").read_text(encoding="utf-8"))
    assert sum("error" not in x for x in texts) >= 8
    assert sum("error" in x and "draft_error" not in x for x in texts) >= 5
    assert sum("draft_error" in x for x in texts) >= 40

"""Ten thousand random drag instructions through parser and task: no traceback, every error one sentence."""

from __future__ import annotations

import random
import time

import torch

from drag_core.motion.draft import shown, unfinished
from drag_core.motion.instruction import parse, to_json
from drag_core.motion.region import drag_task
from drag_core.pictures.overlay import overlay
from drag_core.types import DragError, Grid
from tests.core.documents import random_document

SIZE = Grid(60, 80)


def through(text: str, image: torch.Tensor) -> bool:
    """What the editor's node does with a document; whether it drags something."""
    x = parse(text, finished=False)
    assert parse(to_json(x), finished=False) == x
    masks = shown(x, SIZE)[:2]
    assert all(m.shape == (60, 80) and ((m == 0) | (m == 1)).all() for m in masks)
    if unfinished(x):
        return False
    task, _ = drag_task(SIZE, instruction=x)
    assert overlay(image, task).isfinite().all()
    return True


def test_ten_thousand_random_documents() -> None:
    r, image, counts = random.Random(11), torch.rand(3, 60, 80), {"dragged": 0, "draft": 0, "refused": 0}
    for _ in range(10_000):
        text = random_document(r)
        for tries_left in range(20, -1, -1):  # the clock of a busy machine: the best counts
            start = time.process_time()
            try:
                what = "dragged" if through(text, image) else "draft"
            except DragError as e:
                assert 10 < len(str(e)) < 400 and "\n" not in str(e), (text, e)
                what = "refused"
            if (took := time.process_time() - start) <= 0.05:
                break
            assert tries_left, f"{took:.3f} s: {text}"
        counts[what] += 1
    assert min(counts.values()) > 500, counts

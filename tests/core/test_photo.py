"""The demo's photograph: a crop of a picture that comes with scikit-image, and a drag of a mast in it."""

from __future__ import annotations

import importlib

import pytest

from drag_core.bench import photo
from drag_core.motion.masks import moved
from drag_core.motion.task import build_task
from drag_core.types import DragError, Grid


def test_the_drag_moves_the_mast_into_empty_sky() -> None:
    pytest.importorskip("skimage.data", reason="needs scikit-image: pip install scikit-image")
    image, drag = photo.photograph()
    assert image.shape == (1, 3, 256, 256) and float(image.max()) <= 1
    task, notes = build_task(drag, Grid(256, 256))
    (region,) = task.regions
    assert region.motion.shift == pytest.approx((photo.RIGHT, 0.0)) and notes == ()
    there = moved(region) * (1 - region.mask)
    # blue sky, and in the region the mast's light parts
    blue, red = image[0, 2], image[0, 0]
    assert float(((blue > red) * there).sum() / there.sum()) > 0.95
    assert float((image[0].amax(0) * region.mask).amax()) > 0.5


def test_without_scikit_image_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", gone)
    with pytest.raises(DragError, match="pip install scikit-image"):
        photo.photograph()

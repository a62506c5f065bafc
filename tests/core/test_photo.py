"""The demo's photograph: a crop of a picture that comes with scikit-image, and a drag of a mast in it."""

from __future__ import annotations

import importlib

import cv2
import pytest
import torch

from drag_core.bench import photo
from drag_core.motion.masks import grow, moved
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


def test_the_outline_takes_the_whole_mast_along() -> None:
    pytest.importorskip("skimage.data", reason="needs scikit-image: pip install scikit-image")
    image, drag = photo.photograph()
    (region,) = build_task(drag, Grid(256, 256))[0].regions
    sky = cv2.GaussianBlur(image[0].permute(1, 2, 0).numpy(), (0, 0), 1.0)
    rim = grow(region.mask, 5) - grow(region.mask, 1)
    # the sky beside the mast is even: a bar that stays behind would stand out from the rim's rows
    unlike = []
    for y in range(24, 256):
        for half in (slice(0, 158), slice(158, 256)):
            there = torch.from_numpy(sky[y, half])[rim[y, half] > 0]
            unlike.append(float((there.amax(0) - there.amin(0)).max()) if len(there) else 0.0)
    assert max(unlike) < 0.04, (max(unlike), unlike.index(max(unlike)))


def test_without_scikit_image_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", gone)
    with pytest.raises(DragError, match="pip install scikit-image"):
        photo.photograph()

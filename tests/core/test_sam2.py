"""SAM 2's image encoder against transformers' on the same weights, and what a wrong file is told."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from drag_core.features import sam2
from drag_core.features.sam2 import MEAN, SPREAD, image_features, read_sam2
from drag_core.types import DragError
from tests.core import tiny_sam2

LIMIT = 1e-5


@pytest.fixture(autouse=True)
def tiny_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sam2.LAYOUTS, tiny_sam2.KEY, tiny_sam2.TINY)


@pytest.mark.parametrize("side", [128, 224])  # windows that divide the maps, and windows that don't
def test_the_embedding_is_transformers(side: int) -> None:
    net = tiny_sam2.encoder(side)
    sam = read_sam2({"model": tiny_sam2.released(net) | {"sam_mask_decoder.x": torch.zeros(1)}})
    assert sam.label == "SAM 2 (eight blocks)" and sam.blocks == 8
    picture = torch.rand(1, 3, 90, 150, generator=torch.Generator().manual_seed(1))
    got = image_features(replace(sam, layout=replace(sam.layout, side=side)), picture)
    x = F.interpolate(picture, (side, side), mode="bilinear", antialias=True)
    x = (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(SPREAD)[:, None, None]
    with torch.no_grad():
        wanted = net(x).fpn_hidden_states[2]
    assert got.shape == wanted.shape == (1, 256, side // 16, side // 16)
    assert float((got - wanted).abs().max() / wanted.abs().max()) <= LIMIT


def test_every_released_size_has_a_head_that_divides_its_channels() -> None:
    for (channels, _), layout in sam2.LAYOUTS.items():
        assert channels % layout.width == 0 and len(layout.windows) == 4


def test_wrong_files_say_what_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    weights = tiny_sam2.released(tiny_sam2.encoder())
    with pytest.raises(
        DragError, match=r"the SAM 2 file is not complete: it lacks image_encoder.trunk.patch"
    ):
        read_sam2({"a": torch.zeros(1)})
    lacking = {n: w for n, w in weights.items() if "blocks.3.attn.qkv" not in n}
    with pytest.raises(DragError, match=re.escape("blocks.3.attn.qkv.weight")):
        read_sam2(lacking)
    monkeypatch.delitem(sam2.LAYOUTS, tiny_sam2.KEY)
    with pytest.raises(
        DragError, match=r"has 16 channels and 8 blocks and none is known .*96 and 12 \(tiny\)"
    ):
        read_sam2(weights)

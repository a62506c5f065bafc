"""DAI against GoodDrag's script, PSNR and SSIM against scikit-image."""

from __future__ import annotations

import pytest
from torch import Tensor

from drag_core.metrics.dai import dai
from drag_core.metrics.region import psnr, ssim
from drag_core.types import Point
from tests.golden.load import golden


def picture(pixels: Tensor) -> Tensor:
    return pixels.permute(2, 0, 1).double() / 255


def test_dai() -> None:
    data = golden("dai")
    a, b = picture(data["original"]), picture(data["edited"])
    xy: list[Point] = [(float(x), float(y)) for x, y in data["points"].tolist()]
    pairs = list(zip(xy[::2], xy[1::2], strict=True))
    for i, radius in enumerate(data["radii"].tolist()):
        got, first = dai(a, b, pairs, radius), dai(a, b, pairs[:1], radius)
        assert (got.pairs, got.skipped) == (3, 0)
        assert got.script == pytest.approx(float(data["gooddrag_script"][i]), rel=1e-6)
        assert got.paper == pytest.approx(float(data["paper_eq8"][i]), rel=1e-6)
        assert first.script == first.paper == pytest.approx(float(data["single_pair_script"][i]), rel=1e-6)


def test_psnr_and_ssim() -> None:
    data = golden("psnr_ssim")
    a, b, mask = picture(data["original"]), picture(data["edited"]), data["mask"].float()
    assert psnr(a, b) == pytest.approx(float(data["psnr"]), abs=1e-10)
    assert psnr(a, b, mask) == pytest.approx(float(data["region_psnr"]), abs=1e-10)
    assert ssim(a, b) == pytest.approx(float(data["ssim_wang"]), abs=1e-10)
    assert ssim(a, b, mask) == pytest.approx(float(data["region_ssim"]), abs=1e-10)

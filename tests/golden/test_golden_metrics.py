"""Metrics against the published scripts, LPIPS against its package, PSNR and SSIM against scikit-image."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from drag_core.metrics.dai import dai
from drag_core.metrics.distance import Size, md, md2
from drag_core.metrics.lpips import LpipsNet, lpips, lpips_map
from drag_core.metrics.lpips_weights import alex_features
from drag_core.metrics.region import psnr, ssim
from drag_core.types import Grid, Point
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


def formula(shape: tuple[int, ...], k: int) -> Tensor:
    """Weights that need no file: see tests/golden/README.md."""
    fan_in = max(1, math.prod(shape[1:]))
    wave = torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) * 0.7310585 + 1.3 * k)
    return (wave * math.sqrt(6 / fan_in)).float().reshape(shape)


def alex_by_formula() -> LpipsNet:
    features = alex_features()
    convolutions = [layer for layer in features if isinstance(layer, nn.Conv2d)]
    with torch.no_grad():
        for k, layer in enumerate(convolutions):
            assert layer.bias is not None
            layer.weight.copy_(formula(tuple(layer.weight.shape), k))
            layer.bias.copy_(0.05 * formula(tuple(layer.bias.shape), k + 50))
    widths = (64, 192, 384, 256, 256)
    return LpipsNet(
        features, tuple(formula((1, c, 1, 1), 100 + i).abs() * 0.02 for i, c in enumerate(widths))
    )


def test_lpips_with_weights_by_formula() -> None:
    data, net = golden("lpips_formula"), alex_by_formula()
    first = next(layer for layer in net.features if isinstance(layer, nn.Conv2d)).weight
    assert first.flatten()[:8].tolist() == pytest.approx(data["first_weights"].tolist(), abs=1e-7)
    assert net.heads[0].flatten()[:8].tolist() == pytest.approx(data["head0"].tolist(), abs=1e-7)
    a, b = picture(data["original"]), picture(data["edited"])
    assert lpips(a, b, net, None) == pytest.approx(float(data["native"]), abs=1e-6)
    assert lpips(a, b, net) == pytest.approx(float(data["at224"]), abs=1e-6)
    spatial = lpips_map(a, b, net)
    h, w = spatial.shape
    assert float(spatial.mean()) == pytest.approx(float(data["spatial_mean"]), abs=1e-6)
    assert float(spatial[h // 2, w // 2]) == pytest.approx(float(data["spatial_center"]), abs=1e-6)


@pytest.mark.parametrize("as_size", [lambda h, w: Grid(h, w), lambda h, w: (h, w)])
def test_mean_distances(as_size: Callable[[int, int], Size]) -> None:
    """DragDiffusion's, DragLoRA's and DragFlow's own functions on made-up features."""
    data = golden("match")
    size, where = as_size(*data["editable"].shape), data["editable"] > 0
    starts, targets = data["handles"], data["targets"]
    native = (data["feat_src_native"], data["feat_dst_native"])
    assert md(*native, starts, targets, size).tolist() == pytest.approx(data["md_points"].tolist(), abs=1e-4)
    masked = md(*native, starts, targets, size, where)
    assert masked.tolist() == pytest.approx(data["m_md_points"].tolist(), abs=1e-4)
    assert round(float(masked.mean()), 3) == float(data["dragflow_md1"])
    got = md2(data["feat_src_768"], data["feat_dst_768"], starts, targets, size)
    assert float(got.mean()) == pytest.approx(float(data["dragflow_md2"]), abs=1e-4)

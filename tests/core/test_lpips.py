"""LPIPS: against its definition written out, on pictures of known distance, and its files."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from drag_core.metrics.lpips import LpipsNet, distance_of, lpips, lpips_map
from drag_core.metrics.lpips_weights import (
    ALEX,
    KINDS,
    VGG,
    Kind,
    alex_features,
    lpips_net,
    read_lpips,
    sha256_of,
    vgg_features,
)
from drag_core.types import DragError
from tests.core.test_metrics import noise


def random_weights(kind: Kind, seed: int = 11) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A backbone with a classifier's weight beside it, and heads, as their files name them."""
    torch.manual_seed(seed)
    features = alex_features() if kind is ALEX else vgg_features()
    backbone = {f"features.{key}": value for key, value in features.state_dict().items()}
    heads = {f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1) for i, c in enumerate(kind.widths)}
    return backbone | {"classifier.1.weight": torch.zeros(2, 2)}, heads


def by_definition(a: Tensor, b: Tensor, net: LpipsNet, taps: tuple[int, ...]) -> float:
    """Zhang et al. eq. 1 with a loop for each picture and layer, in float64."""
    shift = torch.tensor([-0.030, -0.088, -0.188], dtype=torch.float64)[:, None, None]
    scale = torch.tensor([0.458, 0.448, 0.450], dtype=torch.float64)[:, None, None]
    double = net.features.double()
    seen = []
    for picture in (a, b):
        x, kept = ((picture.double() * 2 - 1 - shift) / scale)[None], []
        for i, layer in enumerate(double):
            x = layer(x)
            if i in taps:
                kept.append(x / (x.pow(2).sum(1, keepdim=True).sqrt() + 1e-10))
        seen.append(kept)
    total = 0.0
    for one, other, head in zip(*seen, net.heads, strict=True):
        total += float(((one - other) ** 2 * head.double()).sum(1).mean())
    net.features.float()
    return total


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda k: k.name)
def test_it_is_the_definition(kind: Kind) -> None:
    net = lpips_net(*random_weights(kind))
    a, b = noise(1, 80, 96), noise(2, 80, 96)
    assert lpips(a, b, net, None) == pytest.approx(by_definition(a, b, net, kind.taps), rel=1e-5)
    small = [F.interpolate(p[None], (224, 224), mode="bilinear", align_corners=False)[0] for p in (a, b)]
    assert lpips(a, b, net) == pytest.approx(lpips(small[0], small[1], net, None), rel=1e-6)
    assert lpips(a, b, net) == pytest.approx(lpips(b, a, net), rel=1e-5)
    assert lpips(a, a, net) == 0 and lpips(a, b, net) > 1e-3
    signed = (a * 2 - 1, b * 2 - 1)
    assert distance_of(net)(*signed) == lpips(a, b, net)


def test_the_classic_error_would_show() -> None:
    """Pictures in [0, 1] taken for [-1, 1] give another number: the conversion is inside."""
    net = lpips_net(*random_weights(ALEX))
    a, b = noise(1), noise(2)
    assert distance_of(net, None)(a, b) != pytest.approx(lpips(a, b, net, None), rel=0.05)


def test_one_layer_by_hand() -> None:
    """A 1x1 convolution that gives (r, g): white against red, unit vectors (1, 1)/sqrt 2 and (1, 0)-like."""
    conv = nn.Conv2d(3, 2, 1)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 0], conv.weight[1, 1] = 1, 1
        conv.bias.zero_()  # type: ignore[union-attr]
    net = LpipsNet(nn.Sequential(conv, nn.ReLU()), (torch.tensor([2.0, 3.0]).reshape(1, 2, 1, 1),))
    white, red = torch.ones(3, 4, 4), torch.zeros(3, 4, 4)
    red[0] = 1
    r, g = (1 + 0.030) / 0.458, (1 + 0.088) / 0.448  # red's green is negative: 0 after the ReLU
    unit = (r / math.hypot(r, g), g / math.hypot(r, g))
    want = 2 * (unit[0] - 1) ** 2 + 3 * unit[1] ** 2
    assert lpips(white, red, net, None) == pytest.approx(want, rel=1e-5)
    half = torch.cat([white[..., :2], red[..., 2:]], 2)
    found = lpips_map(white, half, net)
    assert found[:, :2].abs().max() == 0 and float(found[0, 3]) == pytest.approx(want, rel=1e-5)
    assert lpips(white, half, net, None) == pytest.approx(want / 2, rel=1e-5)


def test_heads_and_layers_must_agree() -> None:
    with pytest.raises(DragError, match="4 heads and 5 layers"):
        LpipsNet(alex_features(), tuple(torch.ones(1, 1, 1, 1) for _ in range(4)))
    with pytest.raises(DragError, match="80x64 and 72x64"):
        lpips(noise(1), noise(1)[..., :72], lpips_net(*random_weights(ALEX)), None)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_files(tmp_path: Path, suffix: str) -> None:
    paths = tmp_path / f"backbone.{suffix}", tmp_path / f"heads.{suffix}"
    for path, weights in zip(paths, random_weights(ALEX), strict=True):
        torch.save(weights, path) if suffix == "pth" else save_file(weights, path)
    net = read_lpips(*paths)
    assert lpips(noise(1), noise(2), net) == lpips(noise(1), noise(2), lpips_net(*random_weights(ALEX)))
    assert (net.name, net.sha256, net.official) == ("LPIPS alex v0.1", sha256_of(paths[0]), False)
    with pytest.raises(DragError, match=r"no heads of LPIPS v0.1 .*classifier.1.weight"):
        read_lpips(paths[0], paths[0])
    with pytest.raises(DragError, match=r"not the weights of alex .*features.0.* is missing"):
        read_lpips(paths[1], paths[1])
    with pytest.raises(DragError, match=r"there is no file .*alexnet-owt-7be5be79.pth"):
        read_lpips(tmp_path / f"none.{suffix}", paths[1])
    with pytest.raises(DragError, match="not the weights of vgg"):
        lpips_net(random_weights(ALEX)[0], random_weights(VGG)[1])


class Runs:
    """What a hostile pickle would do."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("/tmp/never"),))  # type: ignore[return-value]


def test_a_file_that_runs_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "heads.pth"
    torch.save({"lin0.model.1.weight": Runs()}, path)
    with pytest.raises(DragError, match="heads.pth cannot be read as plain weights"):
        read_lpips(path, path)
    torch.save([torch.ones(1)], path)
    with pytest.raises(DragError, match="holds no table of weights"):
        read_lpips(path, path)


def test_the_papers_weights_are_known_by_their_hashes() -> None:
    backbone, heads = random_weights(ALEX)
    assert lpips_net(backbone, heads, "7be5be79" + "0" * 56, ALEX.heads).official
    assert not lpips_net(backbone, heads, "7be5be78" + "0" * 56, ALEX.heads).official
    assert not lpips_net(backbone, heads, "7be5be79" + "0" * 56, VGG.heads).official

"""Reading a map lazily equals upsampling it first: values and gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from drag_core.kernels.lookup import lookup, lookup_all
from drag_core.motion.geometry import sample
from drag_core.types import Grid

NATIVE, LARGE = (13, 17), Grid(51, 70)


def feature_map() -> Tensor:
    g = torch.Generator().manual_seed(3)
    return torch.randn(1, 5, *NATIVE, dtype=torch.float64, generator=g).requires_grad_()


def random_points(whole: bool, outside: float, count: int = 400) -> Tensor:
    """(count, 2) places on LARGE, reaching `outside` cells beyond every border."""
    g = torch.Generator().manual_seed(4)
    span = torch.tensor([LARGE.width - 1.0, LARGE.height - 1.0], dtype=torch.float64) + 2 * outside
    points = torch.rand(count, 2, dtype=torch.float64, generator=g) * span - outside
    return points.round() if whole else points


def agree(x: Tensor, got: Tensor, want: Tensor) -> None:
    assert torch.allclose(got, want, rtol=0, atol=1e-12)
    weight = torch.randn(got.shape, dtype=got.dtype, generator=torch.Generator().manual_seed(5))
    (a,) = torch.autograd.grad((got * weight).sum(), x, retain_graph=True)
    (b,) = torch.autograd.grad((want * weight).sum(), x)
    assert torch.allclose(a, b, rtol=0, atol=1e-11) and a.abs().max() > 0


def test_equals_indexing_the_upsampled_map() -> None:
    x, at = feature_map(), random_points(whole=True, outside=0)
    up = F.interpolate(x, (LARGE.height, LARGE.width), mode="bilinear")
    agree(x, lookup(x, LARGE, at, padding="border"), up[0][:, at[:, 1].long(), at[:, 0].long()])


@pytest.mark.parametrize("padding", ["border", "zeros"])
@pytest.mark.parametrize("outside", [0.0, 3.0])
def test_equals_grid_sample_of_the_upsampled_map(padding: str, outside: float) -> None:
    x, at = feature_map(), random_points(whole=False, outside=outside)
    up = F.interpolate(x, (LARGE.height, LARGE.width), mode="bilinear")
    agree(x, lookup(x, LARGE, at, padding=padding), sample(up, at, padding=padding))


@pytest.mark.parametrize("size", [Grid(*NATIVE), Grid(7, 9), Grid(26, 17)])
def test_other_sizes(size: Grid) -> None:
    """The native size, a smaller one (interpolate without antialias) and one that grows in height alone."""
    x = feature_map()
    at = torch.tensor([[0.0, 0.0], [3.5, 2.25], [size.width - 1.0, size.height - 1.0]], dtype=torch.float64)
    up = F.interpolate(x, (size.height, size.width), mode="bilinear")
    agree(x, lookup(x, size, at, padding="border"), sample(up, at, padding="border"))


def test_any_shape_of_points_and_several_maps() -> None:
    a, b = feature_map(), torch.ones(1, 2, 4, 4, dtype=torch.float64)
    at = random_points(whole=False, outside=0, count=6).reshape(2, 3, 2)
    out = lookup_all([a, b], LARGE, at, padding="border")
    assert out.shape == (7, 2, 3)
    assert torch.equal(out[:5, 1, 2], lookup(a, LARGE, at[1, 2][None], padding="border")[:, 0])
    assert torch.allclose(out[5:], torch.ones(2, 2, 3, dtype=torch.float64))

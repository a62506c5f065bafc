"""What is painted where a thing was: the smoothest colours between the rims; and the pixel warp on it."""

from __future__ import annotations

import pytest
import torch

from drag_core.pictures.inpaint import membrane, painted_over, pixel_warp
from drag_core.types import AffineMotion, Region


def test_one_missing_pixel_is_the_mean_of_its_four_neighbours() -> None:
    image = torch.zeros(1, 3, 3)
    image[0] = torch.tensor([[9.0, 0.2, 9.0], [0.4, 5.0, 0.8], [9.0, 0.6, 9.0]])
    hole = torch.zeros(3, 3)
    hole[1, 1] = 1
    out = membrane(image, hole)
    assert float(out[0, 1, 1]) == pytest.approx(0.5, abs=1e-4)
    assert torch.equal(out * (1 - hole), image * (1 - hole))  # what is known stays


@pytest.mark.parametrize("height, width", [(64, 64), (97, 61), (40, 131)])
def test_a_ramp_goes_on_through_the_hole(height: int, width: int) -> None:
    """A linear picture solves Laplace's equation: it comes back, however wide the hole."""
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    image = torch.stack([x / width, y / height, (x + y) / (height + width)])
    hole = torch.zeros(height, width)
    hole[8 : height - 5, 4 : width - 9] = 1
    assert (membrane(image, hole) - image).abs().max() <= 0.01


def test_a_fill_is_within_the_colours_of_its_rim_also_at_the_border() -> None:
    g = torch.Generator().manual_seed(0)
    image, hole = torch.rand(3, 50, 70, generator=g), torch.zeros(50, 70)
    hole[0:30, 40:70] = 1  # a corner of the picture
    hole[35:45, 5:20] = 1  # and a second hole
    out = membrane(image, hole)
    assert float(out.min()) >= -1e-3 and float(out.max()) <= 1 + 1e-3 and out.isfinite().all()
    inside = out[:, hole > 0.5]
    assert float(inside.std()) < 0.5 * float(image.std())


def test_nothing_missing_and_nothing_known() -> None:
    image = torch.rand(3, 8, 9)
    assert torch.equal(membrane(image, torch.zeros(8, 9)), image)
    out = membrane(image, torch.ones(8, 9))
    assert torch.allclose(out, image.mean((1, 2), keepdim=True).expand_as(image))


def test_a_thing_is_painted_over_with_its_rim_of_five_pixels() -> None:
    image = torch.full((3, 60, 60), 0.25)
    image[:, 20:30, 20:30] = 1.0
    image[:, 17, 17:33] = 0.9  # its soft edge, three pixels out
    mask = torch.zeros(60, 60)
    mask[20:30, 20:30] = 1
    assert (painted_over(image, mask) - 0.25).abs().max() <= 1e-3


def test_the_warp_leaves_no_thing_behind_and_puts_it_where_it_goes() -> None:
    image = torch.full((3, 64, 64), 0.25)
    image[0, 10:20, 10:20] = 1.0
    mask = torch.zeros(64, 64)
    mask[10:20, 10:20] = 1
    out = pixel_warp(image, [Region(mask, AffineMotion(shift=(30.0, 20.0)))])
    want = torch.full((3, 64, 64), 0.25)
    want[0, 30:40, 40:50] = 1.0
    assert (out - want).abs().max() <= 1e-3

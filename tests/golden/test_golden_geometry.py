"""Motions, masks and weights against DragFlow's and DragNeXt's released code."""

from __future__ import annotations

import math

import pytest
import torch

from drag_core.motion.geometry import motion_matrix, rotation, sampling_grid, turn_angle, warp
from drag_core.motion.masks import centroid, enclosing_box, region_weights
from drag_core.types import AffineMotion, Grid
from tests.golden.load import golden

# The translation's points are not in the file: its shift is what its own full grid says.
MOTIONS = {"rot": rotation((33, 27), (50, 45), (30, 48)), "tr": AffineMotion(shift=(28.0, 13.0))}


@pytest.mark.parametrize("kind", MOTIONS)
@pytest.mark.parametrize("index", range(3))
def test_dragflow_affine(kind: str, index: int) -> None:
    data = golden("dragflow_affine")
    size = Grid(*data["region"].shape[-2:])
    matrix = motion_matrix(MOTIONS[kind], float(data["weights"][index]))
    cells = torch.tensor([size.width, size.height])
    want = (data[f"{kind}_grid"][index].double() + 1) * cells / 2 - 0.5
    assert (sampling_grid(matrix, size) - want).abs().max() < 5e-5
    got = warp(data["region"], matrix, padding="zeros")[0]
    assert (got - data[f"{kind}_region"][index]).abs().mean() < 1e-5
    flipped = ((got > 0.5) != (data[f"{kind}_region"][index] > 0.5)).float().mean()
    assert (
        flipped < 5e-3
    )  # border pixels alone: half a pixel of shift puts a row of 20 exactly on the threshold


def test_dragflow_rotation_angle() -> None:
    data = golden("dragflow_affine")
    assert math.degrees(MOTIONS["rot"].angle) == pytest.approx(float(data["rot_full_delta"]), rel=1e-6)


def test_dragflow_centroid_is_ours_rounded() -> None:
    data = golden("dragflow_affine")
    for warped, want in zip(data["rot_region"], data["rot_centroid"], strict=True):
        x, y = centroid(warped[0])
        assert abs(x - want[0]) <= 1 and abs(y - want[1]) <= 1


@pytest.mark.parametrize("index", range(3))
def test_dragnext_angle(index: int) -> None:
    """Theirs: where handle and target lie seen from the centre, counter-clockwise, [row, col]; used in steps
    of 2°.
    """
    data = golden("dragnext_geometry")
    centre, handle, target = [(c, r) for r, c in data["angle_cases"][index].tolist()]
    first, last = data["angles"][index].tolist()
    ours = -math.degrees(turn_angle(handle, target, centre))
    gap = (ours - (last - first) + 180) % 360 - 180
    assert abs(gap) < 1e-4
    assert abs(ours - 2 * round(ours / 2)) <= 2  # what their quantisation may move it by


def test_dragnext_rotated_mask() -> None:
    """torchvision counts its centre (32, 24) from the picture's corner, half a pixel before ours, and turns
    against us.
    """
    data = golden("dragnext_geometry")
    matrix = motion_matrix(AffineMotion(angle=-math.radians(30), anchor=(31.5, 23.5)))
    assert torch.equal(warp(data["mask"], matrix, mode="nearest", padding="zeros"), data["rotated"])


@pytest.mark.parametrize(
    ("moved", "want"), [("translated", "adaptive_translate"), ("rotated", "adaptive_rotate")]
)
def test_dragflow_adaptive_mask(moved: str, want: str) -> None:
    data = {name: (x > 0).float() for name, x in golden("dragflow_adaptive_mask").items()}
    assert torch.equal(enclosing_box(torch.maximum(data["mask"], data[moved])), data[want])


def test_dragflow_region_weights() -> None:
    data = golden("dragflow_region_weights")
    masks = [(torch.arange(10_000) < area).float().reshape(100, 100) for area in data["areas"].tolist()]
    assert region_weights(masks) == pytest.approx(data["norm"].tolist(), rel=1e-6)
    assert region_weights(masks[:1]) == (1.0,)

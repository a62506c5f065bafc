"""The loss curve: falls where the loss falls, says its ends, survives odd input."""

from __future__ import annotations

import pytest
import torch

from drag_core.pictures.plot import loss_curve


def heights(picture: torch.Tensor) -> list[int]:
    """Row of the curve's colour by column, from left to right, where there is any."""
    blue = (picture[2] > 0.7) & (picture[0] < 0.4) & (picture[1] < 0.6)
    blue[:28] = False  # the text
    return [int(torch.nonzero(c)[:, 0].min()) for c in blue.T if c.any()]


def test_a_falling_loss_falls() -> None:
    rows = heights(loss_curve([4.0, 3.0, 2.0, 1.0]))
    inner = rows[3:-3]  # without the line's round ends
    assert inner == sorted(inner) and inner[-1] - inner[0] > 80


def test_levels_are_lines_between_updates() -> None:
    plain, lined = loss_curve([1.0] * 6), loss_curve([1.0] * 6, [2, 4])
    columns = torch.nonzero((plain != lined)[:, 40:170].any(0).any(0))[:, 0]
    assert columns.tolist() == [12 + round(1.5 * 360 / 5)]


@pytest.mark.parametrize("losses", [[], [1.0], [float("nan")], [0.0, 0.0], [1e30, float("inf"), -1.0]])
def test_odd_input(losses: list[float]) -> None:
    out = loss_curve(losses, [1, 1])
    assert out.shape == (3, 192, 384) and out.min() >= 0 and out.max() <= 1 and (out < 0.5).any()

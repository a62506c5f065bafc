"""Gradient descent by a fixed length."""

from __future__ import annotations

import torch

from drag_core.features.descent import NormalisedDescent


def test_normalised_descent_steps_by_its_length() -> None:
    for scale in (1e-6, 1.0, 1e6):
        p = torch.zeros(5)
        p.grad = scale * torch.tensor([3.0, 0.0, -4.0, 0.0, 0.0])
        NormalisedDescent([p], lr=0.1).step()
        rms = (12.5**0.5) * (1 + (1e-12 / (scale * 12.5**0.5)))
        assert torch.allclose(p, torch.tensor([-0.3, 0.0, 0.4, 0.0, 0.0]) / rms, rtol=1e-4)
    p = torch.ones(3)
    p.grad = torch.zeros(3)
    NormalisedDescent([p], lr=0.1).step()
    assert torch.equal(p, torch.ones(3))

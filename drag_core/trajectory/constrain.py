"""Keeping the rest of the picture still."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor


class Constraint(Protocol):
    @property
    def needs_prediction(self) -> bool: ...

    def beside(self, z: Tensor) -> Constraint:
        """Returns the same with its masks on z's device, for many calls."""
        ...

    def penalty(self, z_next: Tensor, ref_next: Tensor, progress: float = 1.0) -> Tensor:
        """Computes what is added to the loss.

        z_next, ref_next: the latents one denoising step ahead.
        progress: the update's.
        """
        ...

    def project(self, z: Tensor, ref: Tensor) -> Tensor:
        """Puts z's background back; `ref` is the background of the same level."""
        ...


@dataclass(frozen=True)
class HardBackground:
    """Keeps the latent outside `editable` the source's, bit for bit (DragFlow eq. 4).

    editable: (1, 1, h, w) in {0, 1}.
    """

    editable: Tensor
    needs_prediction: bool = False

    def beside(self, z: Tensor) -> HardBackground:
        return replace(self, editable=self.editable.to(z))

    def penalty(self, z_next: Tensor, ref_next: Tensor, progress: float = 1.0) -> Tensor:
        return z_next.new_zeros(())

    def project(self, z: Tensor, ref: Tensor) -> Tensor:
        return torch.where(self.editable.to(z) > 0.5, z, ref)


@dataclass(frozen=True)
class SoftBackground:
    """Adds weight · Σ |(z_next - ref_next)·(1 - editable)| to the loss.

    This is the second term of GoodDrag's eq. 3 and 6 (also DragDiffusion's, and DragNeXt's R_M).
    """

    editable: Tensor
    weight: float
    needs_prediction: bool = True

    def beside(self, z: Tensor) -> SoftBackground:
        return replace(self, editable=self.editable.to(z))

    def penalty(self, z_next: Tensor, ref_next: Tensor, progress: float = 1.0) -> Tensor:
        return self.weight * ((z_next - ref_next) * (1 - self.editable.to(z_next))).abs().sum()

    def project(self, z: Tensor, ref: Tensor) -> Tensor:
        return z


@dataclass(frozen=True)
class FreeBackground:
    """The constraint where no mask was given: everything may change."""

    needs_prediction: bool = False

    def beside(self, z: Tensor) -> FreeBackground:
        return self

    def penalty(self, z_next: Tensor, ref_next: Tensor, progress: float = 1.0) -> Tensor:
        return z_next.new_zeros(())

    def project(self, z: Tensor, ref: Tensor) -> Tensor:
        return z

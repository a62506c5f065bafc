"""Whether a drag has left the range of latents: sizes measured on the device, read where losses are read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..types import DragError

FARTHEST = 10.0  # times the largest |value| of the source's latent, how far a value may be from the source's
WIDEST = 4.0  # times the source's standard deviation
# measured of dragflow, copy_paste, dragnext and gooddrag on the embedded models: at most 1.7 and 1.02
LEAST = 1.0  # of either, a latent's own unit: a flat picture has hardly any


class Diverged(DragError):
    """The error of a drag that has left the range of latents.

    The sentence ends with advice that one may add to.
    """


@dataclass(frozen=True)
class Size:
    """How large a latent is beside the source's at its level.

    moved: the largest |z - source|.
    spread: z's standard deviation.
    largest: the largest |value| of the source's, at least 1.
    source_spread: the source's standard deviation, at least 1.
    """

    moved: float
    spread: float
    largest: float
    source_spread: float

    @property
    def wrong(self) -> str:
        """Half a sentence, empty where the latent is inside."""
        if not (math.isfinite(self.moved) and math.isfinite(self.spread)):
            return "the latent is not finite"
        if self.moved > FARTHEST * self.largest:
            return (
                f"the latent is {self.moved:.3g} away from the picture's own, whose largest value is "
                f"{self.largest:.3g} (at most {FARTHEST:g} times that is a latent)"
            )
        if self.spread > WIDEST * self.source_spread:
            return (
                f"the latent's standard deviation is {self.spread:.3g} and the picture's own "
                f"{self.source_spread:.3g} (at most {WIDEST:g} times that is a latent)"
            )
        return ""


@torch.no_grad()
def extent(source: Tensor) -> Tensor:
    """Measures the largest |value| and standard deviation of a level's source latent (1, C, h, w).

    Returns (2,) on its device, each at least LEAST.
    """
    return torch.stack((source.abs().amax(), source.std())).clamp_min(LEAST)


@torch.no_grad()
def measured(loss: Tensor, z: Tensor, source: Tensor, of_source: Tensor) -> Tensor:
    """Measures (5,) on its device: the loss () and a Size's numbers.

    It waits for none of them and takes five operations. All cells are read, as those that may not change
    don't.

    of_source: extent(source).
    """
    far = torch.linalg.vector_norm(z - source, torch.inf)
    return torch.cat((loss.detach()[None], far[None], z.std()[None], of_source))


def check(losses: Sequence[float], sizes: Sequence[Size], updates: int) -> None:
    """Raises Diverged for the first of at most `updates` updates that was outside."""
    for i, (loss, size) in enumerate(zip(losses, sizes, strict=True), 1):
        wrong = size.wrong if math.isfinite(loss) else f"the loss is {loss}, which no step can follow"
        if wrong:
            raise Diverged(f"the drag diverged: after update {i} of {updates} {wrong}: use a smaller step")


def check_end(z: Tensor, source: Tensor) -> None:
    """Checks the same of the clean latent after denoising."""
    size = Size(*measured(z.new_zeros(()), z, source, extent(source)).tolist()[1:])
    if size.wrong:
        raise Diverged(f"the drag diverged: after denoising {size.wrong}: use a smaller step")

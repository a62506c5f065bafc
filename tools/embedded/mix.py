"""The mix that the trainings see: lit scenes, plain scenes, crops of photographs, in fixed shares.

What a batch holds depends on its step alone: the scenes in a bank on how many were drawn, the choice among
them on the step's own random numbers. So a checkpoint needs no pictures and no random state.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .photos import Photos
from .pool import SIDE, Draw, refuse_held_out, training_seeds

NOISE_STREAMS = 100


@dataclass(frozen=True)
class Shares:
    lit: float
    plain: float
    photos: float


WHOLE = Shares(0.68, 0.25, 0.07)  # the denoisers'
CUT = Shares(0.58, 0.20, 0.22)  # the autoencoder's, which must hold what the scenes don't draw


def numbers(stream: int, step: int, device: torch.device | str = "cpu") -> torch.Generator:
    """The random numbers of one step of the training `stream`."""
    return torch.Generator(device).manual_seed(stream * 10_000_019 + step)


def noise_like(z: Tensor, stream: int, step: int) -> Tensor:
    """Normal noise for one step; from a stream of its own, as the step's choices use up `stream`."""
    g = numbers(stream + NOISE_STREAMS, step, z.device)
    return torch.randn(z.shape, generator=g, device=z.device)


@dataclass
class Bank:
    """A ring of the latest scenes, as bytes on the device.

    pictures: (capacity, 3, 256, 256).
    at_once: the most that one call of `draw` draws.
    """

    draw: Draw
    pictures: Tensor
    at_once: int
    drawn: int = 0

    def fill_to(self, total: int) -> None:
        """Draws on until `total` scenes were drawn in all; those that would be gone again are left out."""
        capacity, device = len(self.pictures), self.pictures.device
        for first in range(max(self.drawn, total - capacity), total, self.at_once):
            count = min(self.at_once, total - first)
            seeds = training_seeds(first, count)
            refuse_held_out(seeds)
            slots = torch.arange(first, first + count) % capacity
            self.pictures[slots.to(device)] = self.draw(seeds.to(device)).to(device)
        self.drawn = max(self.drawn, total)

    def some(self, count: int, g: torch.Generator) -> Tensor:
        chosen = torch.randint(min(self.drawn, len(self.pictures)), (count,), generator=g)
        return self.pictures[chosen.to(self.pictures.device)]


def bank(draw: Draw, capacity: int, device: torch.device, at_once: int = 256) -> Bank:
    return Bank(draw, torch.empty(capacity, 3, SIDE, SIDE, dtype=torch.uint8, device=device), at_once)


@dataclass(frozen=True)
class Mix:
    """first: lit scenes drawn before the first step; then `chunk` more every `every` steps."""

    lit: Bank
    plain: Bank
    photos: Photos | None
    first: int
    chunk: int
    every: int

    def at(self, step: int) -> None:
        """Brings the banks to where they are at `step`, counted over all trainings of a run."""
        self.plain.fill_to(len(self.plain.pictures))
        self.lit.fill_to(self.first + self.chunk * (step // self.every))

    def counts(self, n: int, shares: Shares) -> tuple[int, int, int]:
        """How many of n are lit, plain and photographs."""
        photos = round(n * shares.photos) if self.photos else 0
        plain = round((n - photos) * shares.plain / (shares.lit + shares.plain))
        return n - photos - plain, plain, photos

    def batch(self, n: int, shares: Shares, side: int, g: torch.Generator) -> Tensor:
        """Draws (n, 3, side, side) in [0, 1], crops where side < 256; half of them are mirrored."""
        lit, plain, photos = self.counts(n, shares)
        x = torch.cat([self.lit.some(lit, g), self.plain.some(plain, g)])
        if side < SIDE:
            x = cut(x, side, g)
        mirrored = torch.rand(len(x), 1, 1, 1, generator=g).to(x.device) < 0.5
        x = torch.where(mirrored, x.flip(3), x).float() / 255
        return torch.cat([x, self.photos.draw(photos, side, g)]) if self.photos and photos else x


def cut(x: Tensor, side: int, g: torch.Generator) -> Tensor:
    """Cuts one crop out of every picture (B, 3, H, W), each at its own place."""
    b, _, h, w = x.shape
    along = torch.arange(side)
    rows, columns = (torch.randint(0, n + 1 - side, (b, 1), generator=g) + along for n in (h, w))
    at = torch.arange(b)[:, None, None], rows[:, :, None], columns[:, None, :]
    picked: Tensor = x.permute(0, 2, 3, 1)[tuple(i.to(x.device) for i in at)]
    return picked.permute(0, 3, 1, 2)

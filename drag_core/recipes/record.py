"""The record of a published method: its paper, its numbers, how it is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from ..trajectory.schedules import ddim, flow, flux_shift, kept_steps
from ..types import Family, Grid, Schedule, Task, Variant
from .numbers import Numbers
from .recipe import Recipe

# What people call the families.
FAMILY_NAMES: dict[Family, str] = {"flux": "FLUX", "sd": "SD"}

Moves = Literal["regions", "points"]
Way = Literal["region", "pbsi", "point", "semantic"]


@dataclass(frozen=True)
class Paper:
    """Where a method was published, with arXiv's number, as "2404.07206", as `arxiv`."""

    title: str
    authors: str
    year: int
    arxiv: str

    @property
    def url(self) -> str:
        return f"https://arxiv.org/abs/{self.arxiv}"


@dataclass(frozen=True, kw_only=True)
class InversionSettings:
    """How far the picture is inverted: `steps` from clean to full noise, of which the share `strength`."""

    steps: int
    strength: float

    def schedule(self, family: Family, latent: Grid) -> Schedule:
        """Computes the noise levels for a latent (h, w).

        FLUX's flow, shifted by its image tokens (2x2 cells), or SD's DDIM.
        """
        if family == "sd":
            return ddim(self.steps, self.strength)
        shift = flux_shift(latent.height * latent.width // 4)
        return flow(self.steps, skip=self.steps - kept_steps(self.steps, self.strength), shift=shift)


class Build(Protocol):
    """A method's recipe for a task, on the model that the paper has."""

    def __call__(self, task: Task, variant: Variant = "ours") -> Recipe: ...


@dataclass(frozen=True, kw_only=True)
class Method:
    """A published method.

    way, numbers: what an editor shows and a custom recipe starts from.
    default: whether "auto" takes it for a model of `family` where this is what moves.
    draft_kv: whether our variant looks at a draft's K/V where it starts from one.
    superpixels: whether the paper cuts the picture into super-pixels before it drags, which its mask follows.
    """

    name: str
    paper: Paper
    family: Family
    moves: Moves
    way: Way
    numbers: Numbers
    inversion: InversionSettings
    build: Build
    default: bool = False
    draft_kv: bool = False
    superpixels: bool = False

"""LPIPS of Zhang et al. 2018: how unlike two pictures look to a network trained on photographs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..types import DragError

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of pictures in [-1, 1]
EPSILON = 1e-10  # added to the norm, not under its root: as the package lpips
SIDE = 224  # what every published script of drag editing resizes to first
Distance = Callable[[Tensor, Tensor], float]  # of two pictures (3, H, W) in [-1, 1]


@dataclass(frozen=True, eq=False)
class LpipsNet:
    """The network LPIPS looks through.

    features: a convolutional network's layers, as torchvision's `alexnet().features`.
    heads: (1, C, 1, 1) each, how much every channel of a tapped layer counts.
    taps: the layers tapped, by their place in `features`. None: every ReLU.
    name, sha256: of the weights, for the record.
    official: whether these are the weights that the papers used, by the hashes of their files.
    """

    features: nn.Sequential
    heads: tuple[Tensor, ...]
    taps: tuple[int, ...] | None = None
    name: str = "LPIPS with unnamed weights"
    sha256: str = ""
    official: bool = False

    def __post_init__(self) -> None:
        if len(self.heads) != len(self.tapped) or not self.heads:
            raise DragError(
                f"LPIPS has {len(self.heads)} heads and {len(self.tapped)} layers to look at: give one head "
                "for each layer"
            )

    @property
    def tapped(self) -> tuple[int, ...]:
        if self.taps is not None:
            return self.taps
        return tuple(i for i, layer in enumerate(self.features) if isinstance(layer, nn.ReLU))


def lpips(a: Tensor, b: Tensor, net: LpipsNet, size: int | None = SIDE) -> float:
    """Computes LPIPS of two pictures (3, H, W) in [0, 1]; 0 is alike, lower is better.

    size: both are resized to size x size first: bilinear, corners not aligned, not antialiased, as the drag
        papers' scripts do (antialiasing changes the number by 3 %). None: native size, at least 63 px for
        AlexNet.
    Of each tapped layer the mean over its places counts. Equal to the package lpips 0.1.4.
    """
    return _distance(_signed(a), _signed(b), net, size)


def lpips_map(a: Tensor, b: Tensor, net: LpipsNet) -> Tensor:
    """Computes LPIPS at every pixel of two pictures (3, H, W) in [0, 1], as (H, W): the package's spatial."""
    h, w = a.shape[-2:]
    maps = [F.interpolate(m, (h, w), mode="bilinear") for m in _layers(_signed(a), _signed(b), net)]
    return torch.cat(maps, 1).sum(1)[0]


def distance_of(net: LpipsNet, size: int | None = SIDE) -> Distance:
    """Makes LPIPS a function of two pictures (3, H, W) in [-1, 1], as fidelity.py takes one."""
    return lambda a, b: _distance(a, b, net, size)


def resized(picture: Tensor, size: int) -> Tensor:
    """Resizes (3, H, W) to (3, size, size) as `lpips` does."""
    return F.interpolate(picture[None], (size, size), mode="bilinear")[0]


def _signed(picture: Tensor) -> Tensor:
    return picture * 2 - 1


def _distance(a: Tensor, b: Tensor, net: LpipsNet, size: int | None) -> float:
    small = [x if size is None else resized(x, size) for x in (a, b)]
    return float(sum(m.mean() for m in _layers(small[0], small[1], net)))


def _layers(a: Tensor, b: Tensor, net: LpipsNet) -> Iterator[Tensor]:
    """Yields a map (1, 1, h, w) for each tapped layer: Zhang et al. eq. 1 before its mean over places."""
    if a.shape != b.shape:
        raise DragError(
            f"LPIPS compares pictures of one size, and these are {a.shape[-1]}x{a.shape[-2]} and "
            f"{b.shape[-1]}x{b.shape[-2]}: scale one of them"
        )
    like = net.heads[0]
    shift, scale = (like.new_tensor(v)[:, None, None] for v in (SHIFT, SCALE))
    with torch.no_grad():
        x = torch.stack([(p.to(like) - shift) / scale for p in (a, b)])
        heads = dict(zip(net.tapped, net.heads, strict=True))
        for i, layer in enumerate(net.features):
            x = layer(x)
            if i in heads:
                unit = x / (x.square().sum(1, keepdim=True).sqrt() + EPSILON)
                yield F.conv2d((unit[:1] - unit[1:]).square(), heads[i])
            if i == net.tapped[-1]:
                break

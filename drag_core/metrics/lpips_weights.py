"""LPIPS from weights the user has: a network's, and the package lpips' heads. Nothing is downloaded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..types import DragError
from .lpips import LpipsNet

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Kind:
    """A network that LPIPS v0.1 has heads for.

    file, digits: of torchvision's weights; the digits begin the file's sha256.
    heads: sha256 of the package's file of heads.
    widths: channels of the tapped layers.
    """

    name: str
    file: str
    digits: str
    heads: str
    widths: tuple[int, ...]
    taps: tuple[int, ...]


ALEX = Kind(
    "alex",
    "alexnet-owt-7be5be79.pth",
    "7be5be79",
    "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    (64, 192, 384, 256, 256),
    (1, 4, 7, 9, 11),
)
VGG = Kind(
    "vgg",
    "vgg16-397923af.pth",
    "397923af",
    "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    (64, 128, 256, 512, 512),
    (3, 8, 15, 22, 29),
)
KINDS = {kind.name: kind for kind in (ALEX, VGG)}
NEEDED = (
    "AlexNet's weights (alexnet-owt-7be5be79.pth of download.pytorch.org/models) and LPIPS' heads "
    "(lpips/weights/v0.1/alex.pth of the PyPI package lpips 0.1.4)"
)


def alex_features() -> nn.Sequential:
    """Builds the convolutions of AlexNet, with the layers' places in torchvision's `features`."""
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
    )


def vgg_features() -> nn.Sequential:
    """Builds the convolutions of VGG16 up to the last tapped one, as torchvision's `features`."""
    layers: list[nn.Module] = []
    before = 3
    for count, width in zip((2, 2, 3, 3, 3), VGG.widths, strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers[:-1])


def lpips_net(
    backbone: Weights, heads: Weights, backbone_sha256: str = "", heads_sha256: str = ""
) -> LpipsNet:
    """Makes the network of both files' tensors.

    backbone: "features.0.weight" ..., of torchvision's AlexNet or VGG16; more (its classifier) is left out.
    heads: "lin0.model.1.weight" ... (1, C, 1, 1), as in the package lpips.
    """
    kind = next((k for k in KINDS.values() if _fits(heads, k)), None)
    if kind is None:
        raise DragError(
            f"these are no heads of LPIPS v0.1 for AlexNet or VGG16 ({_some(heads)}): choose "
            "lpips/weights/v0.1/alex.pth of the PyPI package lpips 0.1.4"
        )
    features = alex_features() if kind is ALEX else vgg_features()
    own = features.state_dict()
    given = {key.removeprefix("features."): value for key, value in backbone.items()}
    odd = [key for key, value in own.items() if key not in given or given[key].shape != value.shape]
    if odd:
        raise DragError(
            f"these are not the weights of {kind.name} that its heads belong to ({_some(backbone)}; "
            f"features.{odd[0]} is missing or has another shape): choose {kind.file} of torchvision"
        )
    features.load_state_dict({key: given[key].float() for key in own})
    features.eval().requires_grad_(False)
    official = heads_sha256 == kind.heads and backbone_sha256.startswith(kind.digits)
    parts = tuple(heads[f"lin{i}.model.1.weight"].float() for i in range(len(kind.widths)))
    return LpipsNet(features, parts, kind.taps, f"LPIPS {kind.name} v0.1", backbone_sha256, official)


def read_lpips(backbone: Path, heads: Path) -> LpipsNet:
    """Reads both files, .safetensors or torch's own."""
    found = read_plain(backbone), read_plain(heads)
    return lpips_net(*found, sha256_of(backbone), sha256_of(heads))


def read_plain(path: Path) -> Weights:
    """Reads a table of tensors; of a .pth file nothing but plain tensors is accepted."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        if tuple(int(x) for x in torch.__version__.split(".")[:2]) < (2, 6):
            raise DragError(
                f"torch {torch.__version__} can't read {path.name} safely: use torch 2.6 or newer, or a "
                ".safetensors file"
            )
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DragError(f"there is no file {path}: LPIPS needs {NEEDED}") from None
    except DragError:
        raise
    except Exception as error:  # each reader has errors of its own
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DragError(f"{path.name} cannot be read as plain weights: {first}") from None
    if not isinstance(loaded, Mapping) or not all(isinstance(x, Tensor) for x in loaded.values()):
        raise DragError(f"{path.name} holds no table of weights: choose {NEEDED}")
    return loaded


def sha256_of(path: Path) -> str:
    """Hashes a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _fits(heads: Weights, kind: Kind) -> bool:
    shapes = [(1, width, 1, 1) for width in kind.widths]
    return all(
        f"lin{i}.model.1.weight" in heads and tuple(heads[f"lin{i}.model.1.weight"].shape) == shape
        for i, shape in enumerate(shapes)
    )


def _some(weights: Weights) -> str:
    return ", ".join(sorted(weights)[:3]) or "no tensors"

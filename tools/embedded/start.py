"""What the trainings start from: given weights, in the files that ship, or nothing."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from drag_core.backends import single_file
from drag_core.backends.checkpoint import read_weights
from drag_core.backends.keys import taesd_from_original
from drag_core.types import DragError

from .autoencoder import Autoencoder, begin
from .codec import SHIPPED, read_linear
from .export import FILES, HEAD_CHANNELS, PATHS
from .mix import WHOLE, Mix, numbers
from .models import start, tiny_flux, tiny_unet
from .pool import SIDE

PICTURES = 128  # whose principal components the linear encoder starts from


def find(folder: Path, name: str) -> Path:
    """The file of one network in a folder: flat, as a training writes them, or laid out as models/ is."""
    places = [folder / FILES[name], *([folder / PATHS[name]] if name in PATHS else [SHIPPED])]
    for path in places:
        if path.exists():
            return path
    raise DragError(f"{folder} has no {FILES[name]}: --from takes a folder that a training wrote, or models/")


def autoencoder(given: Path | None, mix: Mix) -> Autoencoder:
    """The autoencoder at the first step; the linear encoder of models/ lies beside this file."""
    torch.manual_seed(0)
    net = Autoencoder()
    if given is None:
        mix.at(0)
        begin(net, mix.batch(PICTURES, WHOLE, SIDE, numbers(0, 0)))
        return net
    net.encoder.load_state_dict(read_linear(find(given, "linear"))[0].state_dict())
    own = taesd_from_original(read_weights(find(given, "vae")))
    own = {k.removeprefix("decoder."): v.float() for k, v in own.items() if k.startswith("decoder.")}
    net.decoder.load_state_dict(own)
    return net


def denoiser(name: str, given: Path | None) -> nn.Module:
    """One denoiser at the first step, in diffusers' names."""
    torch.manual_seed(0)
    net: nn.Module = tiny_unet() if name == "unet" else tiny_flux()
    if given is None:
        start(net)
        return net
    weights = read_weights(find(given, name))
    read = single_file.sd_unet(weights, HEAD_CHANNELS) if name == "unet" else single_file.flux(weights)
    net.load_state_dict(read.state_dict())
    return net

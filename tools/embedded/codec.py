"""The embedded autoencoder: a linear lapped encoder, written exactly into TAESD's encoder, and TAESD's
decoder.

Why linear: sixteen smooth filters of 28x28 pixels, stride 8, are what shifts and turns of the picture disturb
least (a trained non-linear encoder is free to alias), and latents for training cost 1 ms a picture where
TAESD's own 30 GFLOP cost 350 ms on a core. TAESD's convolutions can hold such a filter bank exactly: 2x2
pixels become channels at each stride, a constant channel lifts everything above zero so that no ReLU bites,
and the last convolution takes the lift off again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from safetensors.torch import load_file
from torch import Tensor, nn

MIDDLE = 63  # channels left beside the constant one


class LinearEncoder(nn.Module):
    """Picture (B, 3, H, W) in [0, 1] -> latent (B, 16, H/8, W/8), affine."""

    def __init__(self) -> None:
        super().__init__()
        self.analyse = nn.Conv2d(48, MIDDLE, 3, stride=2, padding=1, bias=False)
        self.mix = nn.Conv2d(MIDDLE, 16, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.mix(self.analyse(F.pixel_unshuffle(x - 0.5, 4)))
        return z

    @torch.no_grad()
    def start_from_pca(self, pictures: Tensor, level: float = 0.8) -> None:
        """Start as the principal components of 8x8 blocks, partly whitened to an overall deviation of
        `level`.
        """
        blocks = (
            F.pixel_unshuffle(F.pixel_unshuffle(pictures - 0.5, 4), 2).permute(0, 2, 3, 1).reshape(-1, 192)
        )
        mean = blocks.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov(blocks.T))
        values, vectors = values.flip(0)[:MIDDLE], vectors.flip(1)[:, :MIDDLE]
        self.analyse.weight.zero_()
        # 192 = 48 channels x (row, column) of the 4x4 cells inside the block; taps 1, 2 of the stride-2
        # kernel
        self.analyse.weight[:, :, 1:, 1:] = vectors.T.reshape(MIDDLE, 48, 2, 2)
        gain = values[:16] ** -0.35
        gain *= level / (gain * values[:16].sqrt()).square().mean().sqrt()
        self.mix.weight.zero_()
        self.mix.weight[torch.arange(16), torch.arange(16), 1, 1] = gain
        assert self.mix.bias is not None
        self.mix.bias.copy_(-gain * (vectors.T[:16] @ mean))


SHIPPED = Path(__file__).with_name("linear_encoder.safetensors")


def read_linear(path: Path = SHIPPED) -> tuple[LinearEncoder, float]:
    """Reads a linear encoder, and the deviation of its latents that denoisers see them divided by."""
    encoder, weights = LinearEncoder(), load_file(path)
    deviation = float(weights.pop("deviation"))
    encoder.load_state_dict(weights)
    return encoder, deviation


def taesd() -> AutoencoderTiny:
    """TAESD's architecture for 16 latent channels, as ComfyUI and diffusers know it."""
    return AutoencoderTiny(latent_channels=16)


@torch.no_grad()
def write_into_taesd(linear: LinearEncoder, encoder: Any) -> None:
    """Set `encoder` (diffusers EncoderTiny) so that it computes exactly `linear`; channel 63 is the constant
    1.
    """
    convs = [m for m in encoder.layers if isinstance(m, nn.Conv2d)]
    for p in encoder.parameters():
        p.zero_()  # blocks become relu(x): the identity on what is not negative
    first, down1, down2, down3, last = convs
    assert first.bias is not None and last.bias is not None and linear.mix.bias is not None
    for c in range(3):
        first.weight[c, c, 1, 1] = 1.0
    first.bias[63] = 1.0
    for conv, channels in ((down1, 3), (down2, 12)):
        for c in range(channels):
            for dy in range(2):
                for dx in range(2):
                    conv.weight[4 * c + 2 * dy + dx, c, 1 + dy, 1 + dx] = 1.0
        conv.weight[63, 63, 1, 1] = 1.0
    # two unshuffles by 2 order the 4x4 pixels differently from one by 4
    index = torch.arange(48).reshape(3, 4, 4)
    order = F.pixel_unshuffle(F.pixel_unshuffle(index[None].float(), 2), 2).flatten().long()
    analyse = linear.analyse.weight[:, order].double()
    lift = (0.5 * analyse.abs().sum((1, 2, 3)) + 1e-3).half().double()
    down3.weight[:MIDDLE, :48] = analyse.float()
    down3.weight[:MIDDLE, 63] = (-0.5 * analyse.sum(1)).float()
    down3.weight[:MIDDLE, 63, 1, 1] += lift.float()
    down3.weight[63, 63, 1, 1] = 1.0
    # the file is in half precision: lift and its removal must still cancel, so what rounding leaves goes
    # into the bias
    mix = linear.mix.weight.half()
    removal = -(mix.double() * lift[None, :, None, None]).sum(1)
    last.weight[:, :MIDDLE] = mix.float()
    last.weight[:, 63] = removal.half().float()
    last.bias.copy_(linear.mix.bias + (removal - removal.half().double()).sum((1, 2)).float())

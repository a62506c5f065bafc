"""The published loops, restated in our own words: what an iteration costs when it is written the usual way.

Whole maps are upsampled, patches are sliced out of them, weights are not frozen. Checked once against the
released GoodDrag run for real on the CPU; its counts are the constants
below, and `python -m benchmarks.counts sd15` fails if this restatement leaves them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.meter import Meter, Saved

# GoodDrag's own code: GFLOP of forward and backward; GB of backward at 2 and 12 points; MB saved
FORWARD, BACKWARD = 803.27, 1666.62
BACKWARD_GB = {2: 21.67, 12: 49.27}
SAVED_MB = {2: 1872, 12: 1874}
# moved by an iteration of the restatement; the loss alone: 640 channels 1 and 4 regions of 4096 px, 3520
# channels; DragFlow's at 1024 px, 1 and 4 regions. performance.md has up to 4 % more (30.8, 58.5; 21.3,
# 79.3): there an expanded operand counts as often as it is used, here once, in the reference's favour.
ITERATION_GB = {2: 30.51, 12: 58.16}
REGION_GB = {(640, 1): 1.72, (640, 4): 6.31, (3520, 1): 9.39}
DRAGFLOW_GB = {1: 20.54, 4: 76.11}


def gooddrag_loss(upsampled: Tensor, first: Tensor, points: list[tuple[int, int]], r: int = 4) -> Tensor:
    """Patches of the upsampled map by four slices, blended, against the reference's."""
    loss: Any = 0.0
    for y, x in points:
        want = first[:, :, y - r : y + r + 1, x - r : x + r + 1].detach()
        weight = torch.tensor([0.3, 0.2, 0.4, 0.1]).to(upsampled.device)
        corners = torch.stack(
            [
                upsampled[:, :, y + dy - r : y + dy + r + 1, x + dx - r : x + dx + r + 1]
                for dy, dx in ((0, 0), (1, 0), (0, 1), (1, 1))
            ]
        )
        loss = loss + (2 * r) ** 2 * F.l1_loss(want, (weight.view(-1, 1, 1, 1, 1) * corners).sum(0))
    out: Tensor = loss
    return out


class GoodDrag:
    """The updates of an edit as released: gradients for every weight, the whole UNet, the soft background on
    its output. `phase` is told what comes next.
    """

    def __init__(self, unet: Any, points: int, device: str = "meta", side: int = 64) -> None:
        self.unet, like = unet.requires_grad_(True), next(unet.parameters())

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, device=device, dtype=like.dtype)

        self.z = zeros(1, 4, side, side).requires_grad_(True)
        self.text = zeros(1, 77, unet.config.cross_attention_dim)
        self.t = torch.full((1,), 701, device=device)
        self.keep, self.before = zeros(1, 1, side, side), zeros(1, 4, side, side)
        self.first = zeros(1, unet.config.block_out_channels[1], 4 * side, 4 * side)
        n = 4 * side - 40
        self.where = [(20 + (40 + 3 * i) % n, 20 + (60 + 5 * i) % n) for i in range(points)]
        self.m, self.v = zeros(1, 4, side, side), zeros(1, 4, side, side)

    def update(self, phase: Callable[[str], None] = lambda name: None) -> None:
        found: list[Tensor] = []
        hook = self.unet.up_blocks[2].register_forward_hook(lambda _, __, out: found.append(out))
        phase("forward")
        out = self.unet(self.z, self.t, encoder_hidden_states=self.text, return_dict=False)[0]
        hook.remove()
        phase("loss")
        upsampled = F.interpolate(found.pop(), self.first.shape[-2:], mode="bilinear")
        loss = gooddrag_loss(upsampled, self.first, self.where)
        ahead = self.z * 0.99 + out * 0.05
        loss = loss + 0.1 * ((ahead - self.before) * (1 - self.keep)).abs().sum()
        del upsampled, out, ahead
        phase("backward")
        loss.backward()
        phase("step")
        with torch.no_grad():  # Adam
            g = self.z.grad
            assert g is not None
            self.m.lerp_(g, 0.1)
            self.v.mul_(0.999).addcmul_(g, g, value=0.001)
            self.z.addcdiv_(self.m, self.v.sqrt().add_(1e-8), value=-0.02)
            self.z.grad = None

    def free(self) -> None:
        """Give the weights' gradients back."""
        self.unet.requires_grad_(False)
        for p in self.unet.parameters():
            p.grad = None


def gooddrag_iteration(unet: Any, points: int) -> tuple[Meter, int]:
    """The counts of one update by phase, and the bytes saved for backward."""
    loop = GoodDrag(unet, points)
    meter = Meter()
    meter.weights(unet)
    with meter, Saved(unet) as saved:
        meter.track(loop.z, loop.first)

        def phase(name: str) -> None:
            meter.phase = name

        loop.update(phase)
    loop.free()
    return meter, saved.bytes


def dragnext_loss(maps: list[Tensor], regions: int, pixels: int) -> Meter:
    """DragNeXt's region loss for moves: all maps upsampled and concatenated, cells read by index."""
    channels = sum(x.shape[1] for x in maps)
    first = torch.empty(1, channels, 256, 256, device="meta")
    meter = Meter()
    with meter:
        meter.track(maps, first)
        now = torch.cat([F.interpolate(x, (256, 256), mode="bilinear") for x in maps], 1)
        loss: Any = 0.0
        for _ in range(regions):
            y = torch.empty(pixels, dtype=torch.long, device="meta")
            loss = loss + F.l1_loss(first[:, :, y, y], now[:, :, y, y]) * 10
        del now
        loss.backward()
    return meter


def dragflow_pull(tokens: list[Tensor], first: Tensor, grid: Tensor, inside: Tensor, regions: int) -> Tensor:
    """DragFlow's loss as released, float32: tokens unpacked, upsampled, concatenated; per region the whole
    reference sampled at `grid` and masked.
    """
    h, width, size = int(tokens[0].shape[1] ** 0.5), tokens[0].shape[2] // 4, first.shape[-2:]

    def unpacked(x: Tensor) -> Tensor:
        cells = x.float().reshape(1, h, h, width, 2, 2).permute(0, 3, 1, 4, 2, 5)
        return cells.reshape(1, width, 2 * h, 2 * h)

    now = torch.cat([F.interpolate(unpacked(x), size, mode="bilinear") for x in tokens], 1)
    loss: Any = 0.0
    for _ in range(regions):
        want = F.grid_sample(first, grid, padding_mode="border", align_corners=False)
        loss = loss + F.l1_loss(now * inside, want * inside) * 0.5
        del want
    out: Tensor = loss
    return out


def dragflow_parts(tokens: list[Tensor], cut: int) -> tuple[Tensor, Tensor, Tensor]:
    """Its reference map, grid and mask."""
    like = tokens[0]
    channels = sum(x.shape[2] // 4 for x in tokens)
    return (
        torch.zeros(1, channels, cut, cut, device=like.device),
        torch.zeros(1, cut, cut, 2, device=like.device),
        torch.ones(1, 1, cut, cut, device=like.device),
    )


def dragflow_loss(tokens: list[Tensor], regions: int, cut: int = 256) -> Meter:
    """The counts of the loss and its gradient, without the model."""
    first, grid, inside = dragflow_parts(tokens, cut)
    meter = Meter()
    with meter:
        meter.track(tokens, first)
        meter.reset_peak()
        dragflow_pull(tokens, first, grid, inside, regions).backward()
    return meter

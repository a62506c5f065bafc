"""Backbone over diffusers' UNet2DConditionModel (SD1.5, SD2, the embedded UNet)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from ..types import KV, DragError, FeatureTap
from .hooks import exchanging, missing_tap, tapped


class DiffusersUNet:
    """`text` (1, L, D) conditions every call. Taps "down.i", "mid", "up.i" (outputs); K/V "attn.i":
    self-attentions in order.
    """

    def __init__(self, unet: Any, text: Tensor) -> None:
        self.net = unet.eval().requires_grad_(False)
        self.text = text
        self.blocks: dict[str, nn.Module] = {f"down.{i}": b for i, b in enumerate(unet.down_blocks)}
        self.blocks["mid"] = unet.mid_block
        self.blocks |= {f"up.{i}": b for i, b in enumerate(unet.up_blocks)}
        parts = (unet.down_blocks, unet.mid_block, unet.up_blocks)
        order = [m for part in parts for n, m in part.named_modules() if n.endswith("attn1")]
        self.projections = {f"attn.{i}": (m.to_k, m.to_v) for i, m in enumerate(order)}

    def _run(self, z: Tensor, t: float) -> Tensor:
        return self.batch(z, torch.full((1,), t, device=z.device))

    def batch(self, z: Tensor, t: Tensor) -> Tensor:
        """The prediction for several latents (B, C, h, w), each at its own level t (B,)."""
        text = self.text.to(z).expand(len(z), -1, -1)
        out: Tensor = self.net(z, t, text, return_dict=False)[0]
        return out

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        with exchanging(kv, t, self.projections, {}):
            return self._run(z, t)

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        points: list[tuple[nn.Module, Callable[[Any], Tensor]]] = []
        for tap in taps:
            if tap.block not in self.blocks:
                raise missing_tap(tap.block, list(self.blocks))
            if tap.site != "out":
                raise DragError(f"feature tap site {tap.site!r} does not exist on a UNet: use 'out'")
            points.append((self.blocks[tap.block], _first))
        prediction: Tensor | None = None
        with ExitStack() as stack:
            stack.enter_context(exchanging(kv, t, self.projections, {}))
            maps = stack.enter_context(tapped(points, stop))
            prediction = self._run(z, t)
        return maps, prediction


def _first(output: Any) -> Tensor:
    """Down blocks return (hidden, skips); the others the hidden map."""
    out: Tensor = output[0] if isinstance(output, tuple) else output
    return out

"""Backbone over diffusers' UNet2DConditionModel (SD1.x, SD2.x, SDXL, the embedded UNet)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from ..trajectory.schedules import sd_alphas_cumprod
from ..types import KV, DragError, FeatureTap
from .blocks import each
from .hooks import exchanging, missing_tap, tapped
from .scaling import scaled


class DiffusersUNet:
    """`text` (1, L, D) conditions every call, for SDXL with `pooled` (1, P) and the picture's size. Taps
    "down.i", "mid", "up.i" (outputs); K/V "attn.i": self-attentions in order. `velocity`: the network
    predicts v = alpha·noise - sigma·z0, which is turned into the noise. `checkpoint`, `offload` and precision
    as in DiffusersFlux; a block is a whole level.
    """

    def __init__(
        self,
        unet: Any,
        text: Tensor,
        pooled: Tensor | None = None,
        velocity: bool = False,
        checkpoint: bool = False,
        offload: bool = False,
    ) -> None:
        self.net = unet.eval().requires_grad_(False)
        self.text, self.pooled, self.velocity = text, pooled, velocity
        self.checkpoint, self.offload = checkpoint, offload
        if pooled is None and has_added(unet):
            raise DragError("this is an SDXL model, which needs the pooled text too")
        self._alphas = sd_alphas_cumprod()
        self.blocks: dict[str, nn.Module] = {f"down.{i}": b for i, b in enumerate(unet.down_blocks)}
        self.blocks["mid"] = unet.mid_block
        self.blocks |= {f"up.{i}": b for i, b in enumerate(unet.up_blocks)}
        parts = (unet.down_blocks, unet.mid_block, unet.up_blocks)
        order = [m for part in parts for n, m in part.named_modules() if n.endswith("attn1")]
        self.projections = {f"attn.{i}": (m.to_k, m.to_v) for i, m in enumerate(order)}
        levels = [*range(len(unet.down_blocks)), *reversed(range(len(unet.up_blocks)))]
        levels.insert(len(unet.down_blocks), len(unet.down_blocks) - 1)  # the middle
        inside = {m: d for d, b in zip(levels, self.blocks.values(), strict=True) for m in b.modules()}
        # how often the latent has been halved where each attention is
        self.depths = {f"attn.{i}": inside[m] for i, m in enumerate(order)}
        last = [m for part in unet.up_blocks[-2:] for n, m in part.named_modules() if n.endswith("attn1")]
        # MasaCtrl's layers, 10 to 15 of SD1.5's 16: those of the last two of four levels on the way up. SDXL
        # has three, and none in the last
        self.kv = tuple(f"attn.{i}" for i, m in enumerate(order) if any(m is x for x in last))

    @property
    def geometry(self) -> tuple[int, ...]:
        """Width, multipliers of the levels, latent channels: what tells one of our own models from others."""
        widths = self.net.config.block_out_channels
        return (widths[0], *(w // widths[0] for w in widths), self.net.config.in_channels)

    def _open(self, z: Tensor, t: float, kv: KV = None) -> AbstractContextManager[None]:
        """The blocks as this pass wants them."""
        again = torch.is_grad_enabled() and (self.offload or (self.checkpoint and z.requires_grad))
        device = z.device if self.offload else None
        return each(self.blocks.values(), lambda: exchanging(kv, t, self.projections, {}), again, device)

    def batch(self, z: Tensor, t: Tensor) -> Tensor:
        """The noise in several latents (B, C, h, w), each at its own level t (B,)."""
        with self._open(z, 0.0):
            return self._run(z, t)

    def _run(self, z: Tensor, t: Tensor) -> Tensor:
        x = z.to(self.net.dtype)
        text = self.text.to(x).expand(len(x), -1, -1)
        out: Tensor = self.net(x, t, text, added_cond_kwargs=self._added(x), return_dict=False)[0]
        out = out.to(z.dtype)
        if not self.velocity:
            return out
        alphas = self._alphas.to(z.device)[t.round().long().clamp(0, len(self._alphas) - 1)]
        alpha, sigma = (x.sqrt().to(z).view(-1, 1, 1, 1) for x in (alphas, 1 - alphas))
        return alpha * out + sigma * z

    def _added(self, z: Tensor) -> dict[str, Tensor] | None:
        """SDXL: the size of the original, of its crop (none) and of what is to be drawn, in pixels."""
        if self.pooled is None:
            return None
        n, _, h, w = z.shape
        size = z.new_tensor([[8 * h, 8 * w, 0, 0, 8 * h, 8 * w]]).expand(n, -1)
        return {"text_embeds": self.pooled.to(z).expand(n, -1), "time_ids": size}

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        with self._open(z, t, kv):
            return self._run(z, torch.full((1,), t, device=z.device))

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
        half = self.net.dtype == torch.float16 != z.dtype
        x, finish = scaled(z) if half else (z, list)
        with self._open(z, t, kv), tapped(points, stop) as maps:
            prediction = self._run(x, torch.full((1,), t, device=z.device))
        outs = [m.to(z.dtype) for m in maps]
        outs = finish(outs if prediction is None else [*outs, prediction])
        return (outs, None) if prediction is None else (outs[:-1], outs[-1])


def has_added(unet: Any) -> bool:
    """Whether it is conditioned on pooled text and sizes, as SDXL."""
    return bool(unet.config.get("addition_embed_type") == "text_time")


def _first(output: Any) -> Tensor:
    """Down blocks return (hidden, skips); the others the hidden map."""
    out: Tensor = output[0] if isinstance(output, tuple) else output
    return out

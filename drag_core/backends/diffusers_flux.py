"""Backbone over diffusers' FluxTransformer2DModel (FLUX.1, the embedded FLUX)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ..block import Block
from ..types import KV, DragError, FeatureTap
from .blocks import each
from .hooks import Read, exchanging, memoised, missing_tap, tapped
from .scaling import scaled
from .worn import Sharing, Worn


def pack(z: Tensor) -> Tensor:
    """Turns a latent (1, C, h, w) into FLUX tokens (1, h/2·w/2, 4C)."""
    if z.shape[-2] % 2 or z.shape[-1] % 2:
        size = f"{z.shape[-1]}x{z.shape[-2]}"
        raise DragError(
            f"a FLUX latent is cut into 2x2 tokens; {size} is odd: use a picture size divisible by 16"
        )
    return rearrange(z, "b c (h p) (w q) -> b (h w) (c p q)", p=2, q=2)


def unpack(tokens: Tensor, h: int, w: int) -> Tensor:
    """Turns tokens back into the latent (1, C, h, w).

    On a feature map it is the released DragFlow's 2x2 unpacking.
    """
    return rearrange(tokens, "b (h w) (c p q) -> b c (h p) (w q)", h=h // 2, w=w // 2, p=2, q=2)


class DiffusersFlux:
    """FLUX of diffusers as a Backbone.

    text: (1, L, D), conditions every call.
    pooled: (1, P), conditions every call, too.
    guidance: the embedded one (None: the model has none).
    checkpoint: checkpoints every block in a gradient pass: four tenths more work, a sixth of the memory.
    offload: the blocks' weights lie in RAM and come to the latent's device while they run. Every gradient
        pass then has checkpoints.

    Taps are "double.i" and "single.i" at "out" and "norm1" (the modulated attention input), as token maps (1,
    D, h/2, w/2). K/V blocks have the same names and hold image tokens only.

    The network computes in its weights' precision; latents, maps and gradients keep the latent's (float32).

    worn: an image adapter that it has on (wearing()), beside LoRAs, K/V and checkpoints.

    What depends on the level alone (the embedding of time and the modulations, a third of a double block's
    weights) is computed once for all updates of a level.
    """

    def __init__(
        self,
        transformer: Any,
        text: Tensor,
        pooled: Tensor,
        guidance: float = 1.0,
        checkpoint: bool = False,
        offload: bool = False,
    ) -> None:
        self.net = transformer.eval().requires_grad_(False)
        self.text, self.pooled, self.checkpoint, self.offload = text, pooled, checkpoint, offload
        self.guidance = guidance if transformer.config.guidance_embeds else None
        self.blocks: dict[str, Any] = {f"double.{i}": b for i, b in enumerate(transformer.transformer_blocks)}
        self.blocks |= {f"single.{i}": b for i, b in enumerate(transformer.single_transformer_blocks)}
        self.projections: dict[str, tuple[nn.Module, nn.Module]] = {
            name: (b.attn.to_k, b.attn.to_v) for name, b in self.blocks.items()
        }
        length = text.shape[1]  # single blocks see text and image in one sequence
        kinds = {name: Block.parse(name).kind for name in self.blocks}
        self.first_image_token = {name: length if k == "single" else 0 for name, k in kinds.items()}
        self.constant = [transformer.time_text_embed]
        for name, b in self.blocks.items():
            norms = (b.norm,) if kinds[name] == "single" else (b.norm1, b.norm1_context)
            self.constant += [n.linear for n in norms]
        self.velocity = False  # of Stable Diffusion's kind
        self.worn: Worn | None = None
        self._level: Any = None
        self._answers: dict[nn.Module, Tensor] = {}

    @property
    def geometry(self) -> tuple[int, ...]:
        """Width, double and single blocks, text width: what tells one of our own models from all others."""
        c = self.net.config
        width = c.num_attention_heads * c.attention_head_dim
        return (width, c.num_layers, c.num_single_layers, c.joint_attention_dim)

    def wearing(self, worn: Worn | None) -> DiffusersFlux:
        """Returns the same network with an adapter on; this one is not changed."""
        out = copy(self)
        out.worn, out._level, out._answers = worn, None, {}
        return out

    @contextmanager
    def _open(
        self,
        z: Tensor,
        t: float,
        kv: KV = None,
        answers: dict[nn.Module, Tensor] | None = None,
        adapted: bool = False,
    ) -> Iterator[None]:
        """Context manager: the blocks as this pass wants them.

        answers: what the level alone decides, as far as it is known. adapted: with the adapter that is worn.
        """
        sharing: Sharing | None = None
        if adapted and self.worn is not None and self.worn.strength.at(t):
            sharing = Sharing(self.worn, t, self.blocks, self.first_image_token)

        @contextmanager
        def around() -> Iterator[None]:
            with ExitStack() as stack:
                if answers is not None:
                    stack.enter_context(memoised(self.constant, answers))
                stack.enter_context(exchanging(kv, t, self.projections, self.first_image_token))
                if sharing is not None:
                    stack.enter_context(sharing.inside())
                yield

        again = torch.is_grad_enabled() and (self.offload or (self.checkpoint and z.requires_grad))
        device = z.device if self.offload else None
        with ExitStack() as stack:
            if again and answers is not None:  # the embedding of time lies outside of the blocks
                stack.enter_context(memoised(self.constant, answers))
            if sharing is not None:
                stack.enter_context(sharing.around())
            stack.enter_context(each(self.blocks.values(), around, again, device, answers or ()))
            yield

    def batch(self, z: Tensor, t: Tensor) -> Tensor:
        """Predicts the velocity for several latents (B, C, h, w), each at its own level t (B,)."""
        with self._open(z, 0.0):
            return self._run(z, t)

    def _run(self, z: Tensor, t: Tensor) -> Tensor:
        n, _, h, w = z.shape
        x = z.to(self.net.dtype)
        rows, columns = (torch.arange(n // 2, device=z.device) for n in (h, w))
        y, x_at = torch.meshgrid(rows, columns, indexing="ij")
        places = torch.stack([torch.zeros_like(y), y, x_at], -1).reshape(-1, 3).float()
        guidance = None if self.guidance is None else x.new_full((n,), self.guidance)
        with self._levels(t.float()):
            out = self.net(
                pack(x),
                self.text.to(x).expand(n, -1, -1),
                self.pooled.to(x).expand(n, -1),
                t.to(x),
                places,
                places.new_zeros(self.text.shape[1], 3),
                guidance=guidance,
                return_dict=False,
            )[0]
        return unpack(out, h, w).to(z.dtype)

    @contextmanager
    def _levels(self, t: Tensor) -> Iterator[None]:
        """Context manager: the network reads the exact level.

        Diffusers would round it to the weights' precision, bfloat16's eight bits.
        """
        embedding = self.net.time_text_embed
        handle = embedding.register_forward_pre_hook(lambda _, args: (t * 1000, *args[1:]))
        try:
            yield
        finally:
            handle.remove()

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        with self._open(z, t, kv, adapted=self.worn is not None and self.worn.denoising):
            return self._run(z, z.new_full((1,), t, dtype=torch.float32))

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        h, w = z.shape[-2] // 2, z.shape[-1] // 2
        points = [self._point(tap, h, w) for tap in taps]
        prediction: Tensor | None = None
        level = (t, self.net.dtype, z.device, self.guidance, id(self.pooled))
        if self._level != level or not torch.is_grad_enabled():  # a reference pass starts anew
            self._level, self._answers = level, {}
        half = self.net.dtype == torch.float16 != z.dtype
        x, finish = scaled(z) if half else (z, list)
        adapted = self.worn is not None and self.worn.features
        with self._open(z, t, kv, self._answers, adapted), tapped(points, stop) as maps:
            prediction = self._run(x, z.new_full((1,), t, dtype=torch.float32))
        outs = [m.to(z.dtype) for m in maps]
        outs = finish(outs if prediction is None else [*outs, prediction])
        return (outs, None) if prediction is None else (outs[:-1], outs[-1])

    def _point(self, tap: FeatureTap, h: int, w: int) -> tuple[nn.Module, Read]:
        if tap.block not in self.blocks:
            raise missing_tap(tap.block, list(self.blocks))
        block, single = self.blocks[tap.block], Block.parse(tap.block).kind == "single"
        norm1 = tap.site == "norm1"
        skip = self.text.shape[1] if single and norm1 else 0

        def read(output: Any) -> Tensor:
            tokens: Tensor = output[0] if norm1 else output[1]
            return rearrange(tokens[:, skip:], "b (h w) c -> b c h w", h=h, w=w)

        return (block.norm if single else block.norm1) if norm1 else block, read

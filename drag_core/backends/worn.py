"""An image adapter in diffusers' FLUX: its share joins the image tokens' attention while a pass is open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..adapters.attention import Network, Strength, looked_at
from ..block import Block
from .hooks import replaced


@dataclass(frozen=True)
class Worn:
    """An adapter that a backbone has on.

    features, denoising: in which of its calls, features() and predict().
    """

    network: Network
    strength: Strength
    features: bool = True
    denoising: bool = True


@dataclass(frozen=True)
class Sharing:
    """What an adapter adds in one pass at level t, inside the blocks or around them.

    blocks: FLUX's by name, double ones first. first: by block, where the image's tokens start.
    """

    worn: Worn
    t: float
    blocks: Mapping[str, Any]
    first: Mapping[str, int]
    # a block's queries (b, heads, tokens, 128) from their norm until they are used
    queries: dict[str, Tensor] = field(default_factory=dict, compare=False)

    def inside(self) -> AbstractContextManager[None]:
        """Context manager: blocks hand over their queries; their attention gets the share if it goes there.

        Double blocks: before the output projection, as the adapters were trained; single ones have theirs
        joined with the MLP's, and the attention ends before it.
        """
        forwards: dict[nn.Module, Callable[..., Any]] = {}
        for layer, name in self._layers():
            attention = self.blocks[name].attn
            forwards[attention.norm_q] = self._taking(name, attention.norm_q.forward)
            if self.worn.network.after == "attention":
                single = Block.parse(name).kind == "single"
                place = attention if single else attention.to_out[0]
                give = self._after_attention if single else self._before_projection
                forwards[place] = give(layer, name, place.forward)
        return replaced(forwards)

    def around(self) -> AbstractContextManager[None]:
        """Context manager: the share joins the block's output, of an adapter that is made so (XLabs).

        Opened before the blocks are made checkpoints, so that the second run adds it too.
        """
        if self.worn.network.after != "block":
            return replaced({})
        return replaced(
            {self.blocks[n]: self._behind(i, n, self.blocks[n].forward) for i, n in self._layers()}
        )

    def _layers(self) -> list[tuple[int, str]]:
        """Lists (layer, block): all of them, or the double ones alone."""
        every = list(enumerate(self.blocks))
        return [x for x in every if self.worn.network.after == "attention" or x[1].startswith("double.")]

    def _share(self, layer: int, name: str) -> Tensor:
        scale = self.worn.strength.at(self.t)
        return scale * looked_at(self.worn.network, layer, self.queries.pop(name), self.t)

    def _taking(self, name: str, own: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def forward(q: Tensor) -> Tensor:  # (b, tokens, heads, 128)
            normed = own(q)
            taken = q if self.worn.network.raw_query else normed
            self.queries[name] = taken[:, self.first[name] :].transpose(1, 2)
            return normed

        return forward

    def _before_projection(self, layer: int, name: str, own: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda x: own(x + self._share(layer, name))

    def _after_attention(self, layer: int, name: str, own: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def forward(*args: Any, **kwargs: Any) -> Tensor:
            out, first = own(*args, **kwargs), self.first[name]
            return torch.cat([out[:, :first], out[:, first:] + self._share(layer, name)], 1)

        return forward

    def _behind(self, layer: int, name: str, own: Callable[..., Any]) -> Callable[..., Any]:
        def forward(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
            text, image = own(*args, **kwargs)
            return text, image + self._share(layer, name)

        return forward

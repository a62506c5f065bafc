"""Mutual self-attention (MasaCtrl), as DragDiffusion's release has it: K and V recorded from the source and
injected into the edit, in the self-attentions from layer 10 on.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from drag_core.backends.hooks import exchanging
from drag_core.recipes.common import SD_KV
from drag_core.trajectory.kvcache import KVPlain
from drag_core.types import KV, KVInject, KVRecord
from tests.golden.load import golden, relative

CASES = golden("masactrl")


class Given(nn.Module):
    """A projection whose outputs are the golden ones."""

    def __init__(self, heads: Tensor) -> None:
        super().__init__()
        self.out = heads.transpose(-3, -2).flatten(-2)  # (rows, heads, N, d) -> (rows, N, heads·d)

    def forward(self, x: Tensor) -> Tensor:
        return self.out


def attention(which: slice, block: str, kv: KV) -> Tensor:
    """Self-attention of some rows of the golden batch, as a network's layer computes it."""
    q, k, v = (CASES[name][which] for name in "qkv")
    to_k, to_v = Given(k), Given(v)
    blank = torch.zeros_like(to_k.out)
    with exchanging(kv, 1.0, {block: (to_k, to_v)}, {}):
        heads = [m(blank).unflatten(-1, (q.shape[1], -1)).transpose(-3, -2) for m in (to_k, to_v)]
    out = torch.nn.functional.scaled_dot_product_attention(q, *heads)
    return out.transpose(-3, -2).flatten(-2)


@pytest.mark.parametrize("case", range(len(CASES["layer_counters"])))
def test_masactrl(case: int) -> None:
    counter = int(CASES["layer_counters"][case])  # self- and cross-attentions, counted in turn
    block = f"attn.{counter // 2}"
    cache = KVPlain()
    source = attention(slice(0, 1), block, KVRecord(cache, (block,)))
    inject = KVInject(cache, (block,)) if block in SD_KV else None
    edit = attention(slice(1, 2), block, inject)
    assert relative(torch.cat([source, edit]), CASES["out"][case]) <= 1e-5
    plain = relative(attention(slice(1, 2), block, None), CASES["out"][case][1:])
    assert (plain > 1e-2) == (counter >= 20)

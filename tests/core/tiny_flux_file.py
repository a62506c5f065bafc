"""A FLUX of two double and two single blocks, heads of 128, as random weights under the released names."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

WIDTH, TEXT, POOLED, CHANNELS = 256, 16, 16, 16


def weights(seed: int = 1) -> dict[str, Tensor]:
    g, out = torch.Generator().manual_seed(seed), dict[str, Tensor]()

    def linear(name: str, to: int, of: int) -> None:
        out[f"{name}.weight"] = torch.randn(to, of, generator=g) / of**0.5
        out[f"{name}.bias"] = 0.1 * torch.randn(to, generator=g)

    def scales(name: str) -> None:
        for p in ("query", "key"):
            out[f"{name}.{p}_norm.scale"] = 1 + 0.2 * torch.randn(128, generator=g)

    linear("img_in", WIDTH, 4 * CHANNELS)
    linear("txt_in", WIDTH, TEXT)
    for name, of in (("time_in", 256), ("guidance_in", 256), ("vector_in", POOLED)):
        linear(f"{name}.in_layer", WIDTH, of)
        linear(f"{name}.out_layer", WIDTH, WIDTH)
    for i in range(2):
        for s in ("img", "txt"):
            at = f"double_blocks.{i}.{s}"
            linear(f"{at}_mod.lin", 6 * WIDTH, WIDTH)
            linear(f"{at}_attn.qkv", 3 * WIDTH, WIDTH)
            scales(f"{at}_attn.norm")
            linear(f"{at}_attn.proj", WIDTH, WIDTH)
            linear(f"{at}_mlp.0", 4 * WIDTH, WIDTH)
            linear(f"{at}_mlp.2", WIDTH, 4 * WIDTH)
        at = f"single_blocks.{i}"
        linear(f"{at}.modulation.lin", 3 * WIDTH, WIDTH)
        linear(f"{at}.linear1", 7 * WIDTH, WIDTH)
        linear(f"{at}.linear2", WIDTH, 5 * WIDTH)
        scales(f"{at}.norm")
    linear("final_layer.linear", 4 * CHANNELS, WIDTH)
    linear("final_layer.adaLN_modulation.1", 2 * WIDTH, WIDTH)
    return out


def oracle() -> Any:
    """The host tests' plain functions, which ask their own module for the device."""
    there = "bounds" in sys.modules
    if not there:
        stub = ModuleType("bounds")
        stub.DEVICE = torch.device("cpu")  # type: ignore[attr-defined]
        sys.modules["bounds"] = stub
    try:
        from tests.host.inside import oracle
    finally:
        if not there:
            del sys.modules["bounds"]
    return oracle

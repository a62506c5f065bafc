"""A paper's taps and K/V layers on the user's model: counted, where its network has another depth."""

from __future__ import annotations

from collections.abc import Iterable

from ..block import Block
from ..types import Family, FeatureTap

FLUX1_BLOCKS = tuple(f"double.{i}" for i in range(19)) + tuple(f"single.{i}" for i in range(38))
SD1_UP_BLOCKS = 4


def at_depth_of(block: str, blocks: tuple[str, ...]) -> str:
    """Finds the one of `blocks` that is as deep as `block` is in FLUX.1, where the papers measured it."""
    here = FLUX1_BLOCKS.index(block) if block in FLUX1_BLOCKS else 0
    return blocks[round(here * (len(blocks) - 1) / (len(FLUX1_BLOCKS) - 1))]


def layers_at_depth(wanted: Iterable[str], blocks: tuple[str, ...]) -> tuple[str, ...]:
    """Places FLUX.1's K/V layers on a joint transformer with `blocks`; each once."""
    return tuple(dict.fromkeys(at_depth_of(b, blocks) for b in wanted))


def unet_taps(wanted: tuple[FeatureTap, ...], blocks: Iterable[str]) -> tuple[FeatureTap, ...]:
    """Places taps for SD1.5's four up blocks on a UNet with `blocks`.

    They are counted from the last one (SDXL has three).
    """
    ups = sum(Block.parse(b).kind == "up" for b in blocks)
    out = []
    for tap in wanted:
        block = Block.parse(tap.block)
        if block.kind == "up" and block.index is not None and block.index + ups >= SD1_UP_BLOCKS:
            here = Block("up", block.index + ups - SD1_UP_BLOCKS)
            out.append(FeatureTap(str(here), tap.site))
    return tuple(out)


def taps_on(
    wanted: tuple[FeatureTap, ...], family: Family, blocks: tuple[str, ...]
) -> tuple[FeatureTap, ...]:
    """Places a recipe's taps on a model of `family` with `blocks`.

    By depth in FLUX and its kin, from the last up block on in a UNet.
    """
    if family == "sd":
        return unet_taps(wanted, blocks)
    return tuple(dict.fromkeys(FeatureTap(at_depth_of(t.block, blocks), t.site) for t in wanted))

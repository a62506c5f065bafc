"""What a joint transformer keeps of a forward pass until its backward has run."""

from __future__ import annotations

from collections.abc import Sequence

from ..block import Block

# Bytes per token, channel and byte of precision that a double and a single block keep, measured in the host
# with frozen layers
DOUBLE, SINGLE = 14.3, 15.3


def joint_bytes(token: float, blocks: Sequence[str], checkpoint: bool) -> int:
    """Estimates the bytes of one forward and backward through `blocks` ("double.0" ...).

    token: bytes that one number for every token and channel takes.
    checkpoint: with a checkpoint round every block.
    """
    kept = [DOUBLE if Block.parse(name).kind == "double" else SINGLE for name in blocks]
    # beside what is kept a backward holds about half a block's (measured peaks: 7.4 and 1.3 GiB at 1024x1024)
    return int(token * (2 * max(kept) + len(kept) if checkpoint else sum(kept) + 7))

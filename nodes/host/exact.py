"""Products in whole float32 for a while, so that two passes over one network can be compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch


@contextmanager
def _ieee(part: Any) -> Iterator[None]:
    """torch's newer name for the same switch (2.9): where a pack has used it, the older ones refuse."""
    kept = part.fp32_precision
    try:
        part.fp32_precision = "ieee"
        yield
    finally:
        part.fp32_precision = kept


@contextmanager
def exact() -> Iterator[None]:
    """No TF32, whose 10 bits of mantissa make two right passes differ by up to 9e-3 where cuDNN takes another
    algorithm for the second, and one algorithm for all passes. Everything is as it was afterwards.
    """
    cudnn = torch.backends.cudnn
    with ExitStack() as stack:
        try:
            stack.enter_context(
                cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False)
            )
        except RuntimeError:
            stack.enter_context(_ieee(cudnn.conv))
        try:
            precision = torch.get_float32_matmul_precision()
        except RuntimeError:
            stack.enter_context(_ieee(torch.backends.cuda.matmul))
        else:
            stack.callback(torch.set_float32_matmul_precision, precision)
            torch.set_float32_matmul_precision("highest")
        yield

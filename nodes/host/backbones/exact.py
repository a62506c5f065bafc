"""Products in whole float32 for a while, so that two passes over one network can be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch


@contextmanager
def exact() -> Iterator[None]:
    """Context manager: no TF32, and one algorithm for all passes.

    TF32's 10 bits of mantissa make two right passes differ by up to 9e-3 where cuDNN takes another algorithm
    for the second. Everything is as it was afterwards.
    """
    cudnn = torch.backends.cudnn
    parts: list[Any] = []
    mkldnn: Any = torch.backends.mkldnn
    if hasattr(cudnn, "conv"):  # torch >= 2.9
        parts = [cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul, mkldnn.matmul]
    switches: tuple[tuple[Callable[[], Any], Callable[[Any], None], Any], ...] = (
        (partial(getattr, cudnn, "benchmark"), partial(setattr, cudnn, "benchmark"), False),
        (partial(getattr, cudnn, "deterministic"), partial(setattr, cudnn, "deterministic"), True),
        (partial(getattr, cudnn, "allow_tf32"), partial(setattr, cudnn, "allow_tf32"), False),
        (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
    )
    with ExitStack() as stack:
        for part in parts:  # put back last: the switches below change them too
            stack.callback(setattr, part, "fp32_precision", part.fp32_precision)
        for read, write, value in switches:
            try:
                kept = read()
            except RuntimeError:  # a pack has set the newer names one by one, and torch refuses the old one
                continue
            stack.callback(write, kept)
            write(value)
        for part in parts:  # else a general torch.backends.fp32_precision holds here
            part.fp32_precision = "ieee"
        yield

"""How close is close: the one table of bounds, by device and precision."""

from __future__ import annotations

import comfy.model_management as mm
import torch
from torch import Tensor

F64, F32, BF16, F16 = torch.float64, torch.float32, torch.bfloat16, torch.float16
DEVICE = mm.get_torch_device()
ON_CARD = not mm.is_device_cpu(DEVICE)

# Relative, in the 2-norm. On a CPU the same work gives the same bits. On a card it need not: cuDNN and cuBLAS
# choose their algorithms by free memory, some backward kernels add in any order.
AGAIN = {F64: 1e-12, F32: 1e-5, BF16: 2e-2, F16: 5e-3}
# Another way to the same number (an oracle, plain autograd, checkpoints): what a test may ask of a card.
OTHERWISE = {F64: 1e-8, F32: 1e-4, BF16: 5e-2, F16: 5e-2}

# A LoRA that the host adds to a weight: on a card it computes both in float16 (its lora_compute_dtype).
MERGED = 3e-3


def within(cpu: float, dtype: torch.dtype = F32) -> float:
    """The bound `cpu` where this process computes on the CPU; at least what `dtype` allows on a card."""
    return max(cpu, OTHERWISE[dtype]) if ON_CARD else cpu


def merged(cpu: float) -> float:
    """The bound `cpu`, or what the host's LoRA in float16 leaves of it on a card."""
    return max(cpu, MERGED) if ON_CARD else cpu


def gap(a: Tensor, b: Tensor) -> float:
    """Of a from b, relative in the 2-norm."""
    a, b = a.detach().cpu().double(), b.detach().cpu().double()
    return float((a - b).norm() / b.norm().clamp_min(1e-30))


def same(a: Tensor, b: Tensor, dtype: torch.dtype = F32) -> bool:
    """Whether a and b are the same work done twice: equal bits on the CPU, within AGAIN on a card."""
    if not ON_CARD:
        return torch.equal(a, b)
    apart = gap(a, b)
    print(f"done twice: {apart:.1e} apart")
    return a.shape == b.shape and apart <= AGAIN[dtype]

"""What the three trainings share: logging, EMA and checkpoints that survive a kill."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn


class Log:
    """A CSV that is appended to across resumed runs."""

    def __init__(self, path: Path, header: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        if not path.exists():
            path.write_text(header + "\n")

    def row(self, *values: float) -> None:
        line = ",".join(f"{v:.5g}" if isinstance(v, float) else str(v) for v in values)
        with self.path.open("a") as f:
            f.write(line + "\n")
        print(line, flush=True)


@torch.no_grad()
def ema_update(ema: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Exponential mean of the weights; follows faster at the start."""
    d = min(decay, (1 + step) / (20 + step))
    torch._foreach_lerp_(list(ema.parameters()), [p.detach() for p in model.parameters()], 1 - d)


def save(path: Path, **state: nn.Module | torch.optim.Optimizer | int | float) -> None:
    """Write a checkpoint through a temporary file, so that a kill never leaves half of one."""
    plain = {k: v.state_dict() if hasattr(v, "state_dict") else v for k, v in state.items()}
    temporary = path.with_suffix(".tmp")
    torch.save(plain, temporary)
    os.replace(temporary, path)

"""Identity by a LoRA: low-rank additions to the attention layers, trained on the one picture.

As GoodDrag, DragNeXt and AdaptiveDrag do (DragDiffusion sec. 3.2, LoRA arXiv 2106.09685): rank 16, AdamW at
5e-4, 70 to 80 steps of 4 noised copies of the picture, the empty prompt.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from .ranges import Ranged, span
from .types import DragError, Schedule

Predict = Callable[[Tensor, Tensor], Tensor]  # z (B, C, h, w) at levels t (B,) -> noise or velocity
OnTrain = Callable[[int, int], None]  # steps done, of how many; an exception cancels
KOHYA, PEFT = "lora_unet_", "transformer."


@dataclass(frozen=True, kw_only=True)
class Training(Ranged):
    """How a LoRA is trained: `steps` of `batch` noised copies each, at a learning rate.

    The same seed gives the same LoRA on a CPU, about the same on a GPU.
    """

    whose: ClassVar[str] = "the LoRA's"
    steps: int = field(default=70, metadata=span(1, 10000, "Training steps."))
    rank: int = field(default=16, metadata=span(1, 256, "Size of the LoRA."))
    rate: float = field(default=5e-4, metadata=span(1e-6, 1.0, "How much each step changes.", 1e-4))
    batch: int = field(default=4, metadata=span(1, 64, "Noised copies of the picture in a step."))
    seed: int = 0
    decay: float = 1e-2


@dataclass(frozen=True)
class LoRA:
    """A trained LoRA.

    weights: by path of a linear layer of the denoiser, (down (rank, in), up (out, rank)); the layer gets up @
        down added.
    losses: the training loss of every step.
    """

    weights: dict[str, tuple[Tensor, Tensor]]
    losses: tuple[float, ...] = ()

    @property
    def rank(self) -> int:
        return max((down.shape[0] for down, _ in self.weights.values()), default=0)


def low_rank(rank: int, inputs: int, outputs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Makes (down, up) that add nothing yet: down normal with deviation 1/rank, up zero."""
    return torch.randn(rank, inputs, generator=generator) / rank, torch.zeros(outputs, rank)


def noised(z0: Tensor, levels: Schedule, index: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Copies of z0 (1, C, h, w) at the levels `index` (B,), their t (B,), and what a model should predict."""
    alpha, sigma, t = (
        torch.tensor(x, device=z0.device)[index] for x in (levels.alpha, levels.sigma, levels.t)
    )
    a, s = (x.to(z0).view(-1, 1, 1, 1) for x in (alpha, sigma))
    wanted = noise - z0 if levels.prediction == "velocity" else noise
    return a * z0 + s * noise, t.float(), wanted


def fit(
    parameters: Iterable[Tensor],
    predict: Predict,
    z0: Tensor,
    levels: Schedule,
    training: Training,
    on_step: OnTrain = lambda done, total: None,
    rows: int | None = None,
    v_prediction: bool = False,
) -> tuple[float, ...]:
    """Trains `parameters` in place until `predict` denoises z0 (1, C, h, w) better.

    Returns the loss of every step.

    levels: every level of the model's training, its clean end last (left out).
    rows: how many copies go through the model at once (None: all); the result is the same.
    v_prediction: the model behind `predict` has learnt v = alpha·noise - sigma·z0, whose own loss is the
        noise's over alpha².
    """
    owned = list(parameters)
    optimizer = torch.optim.AdamW(owned, lr=training.rate, weight_decay=training.decay)
    draw = torch.Generator().manual_seed(training.seed)
    at_once = min(rows or training.batch, training.batch)
    weight = torch.tensor([a**-2 if v_prediction else 1.0 for a in levels.alpha[:-1]], device=z0.device)
    weight = weight.clamp_max(1000.0).view(-1, 1, 1, 1)
    losses: list[Tensor] = []
    for step in range(training.steps):
        index = torch.randint(len(levels.t) - 1, (training.batch,), generator=draw)
        noise = torch.randn(training.batch, *z0.shape[1:], generator=draw).to(z0)
        optimizer.zero_grad(set_to_none=True)
        total = z0.new_zeros(())
        for part in torch.arange(training.batch).split(at_once):
            here = index[part].to(z0.device)
            z, t, wanted = noised(z0, levels, here, noise[part.to(z0.device)])
            loss = (weight[here] * (predict(z, t) - wanted).square()).mean() * (len(part) / training.batch)
            loss.backward()
            total = total + loss.detach()
        optimizer.step()
        losses.append(total)
        on_step(step + 1, training.steps)
    out = tuple(torch.stack(losses).tolist())
    if not all(x < float("inf") for x in out):
        raise DragError(f"the LoRA's training diverged at a learning rate of {training.rate:g}: lower it")
    return out


@torch.no_grad()
def denoising_loss(predict: Predict, z0: Tensor, levels: Schedule, samples: int = 40, seed: int = 1) -> float:
    """Computes the mean squared error of the prediction on z0.

    It is over levels spread evenly and noise of `seed`.
    """
    draw = torch.Generator().manual_seed(seed)
    index = torch.linspace(0, len(levels.t) - 2, samples).round().long().to(z0.device)
    noise = torch.randn(samples, *z0.shape[1:], generator=draw).to(z0)
    found = []
    for part in torch.arange(samples, device=z0.device).split(4):
        z, t, wanted = noised(z0, levels, index[part], noise[part])
        found.append((predict(z, t) - wanted).square().mean((1, 2, 3)))
    return float(torch.cat(found).mean())


def file_weights(lora: LoRA, split: bool = False) -> dict[str, Tensor]:
    """Makes the tensors of a file, under kohya's names, which every LoRA loader reads for UNets.

    split: diffusers' own names instead, for a transformer whose layers diffusers cuts otherwise than the
        original (FLUX).
    """
    out: dict[str, Tensor] = {}
    for path, (down, up) in lora.weights.items():
        name = f"{PEFT}{path}" if split else KOHYA + path.replace(".", "_")
        first, second = ("lora_A", "lora_B") if split else ("lora_down", "lora_up")
        out[f"{name}.{first}.weight"] = down.detach().float().cpu().contiguous()
        out[f"{name}.{second}.weight"] = up.detach().float().cpu().contiguous()
        if not split:
            out[f"{name}.alpha"] = torch.tensor(float(down.shape[0]))
    return out


def save_lora(lora: LoRA, path: Path, split: bool = False, about: dict[str, str] | None = None) -> None:
    """Writes a .safetensors file of `file_weights`; `about` goes into its metadata."""
    facts = {"ss_network_module": "networks.lora", "ss_network_dim": str(lora.rank)}
    facts |= {"ss_network_alpha": str(lora.rank), "drag": json.dumps(about or {})}
    try:
        save_file(file_weights(lora, split), path, facts)
    except OSError as e:
        raise DragError(f"the LoRA can't be written to {path}: {e}") from None


def read_lora(path: Path, layers: Iterable[str]) -> LoRA:
    """Reads a LoRA file for a model whose linear layers have the paths `layers`.

    Others in it are refused.
    """
    try:
        with safe_open(path, framework="pt") as f:
            found = {k: f.get_tensor(k) for k in f.keys()}
    except Exception as e:  # safetensors' own error type is not importable across versions
        raise DragError(f"the LoRA {path} can't be read: {e}") from None
    names = {form: at for at in layers for form in _forms(at)}
    weights: dict[str, tuple[Tensor, Tensor]] = {}
    for key, down in found.items():
        stem, _, rest = key.rpartition(".lora_")
        if rest not in ("down.weight", "A.weight"):
            continue
        if stem not in names:
            raise DragError(f"the LoRA {path.name} has a layer {stem} that this model has not")
        up = found[f"{stem}.lora_{'up' if rest[0] == 'd' else 'B'}.weight"].float()
        scale = float(found[f"{stem}.alpha"]) / down.shape[0] if f"{stem}.alpha" in found else 1.0
        weights[names[stem]] = (down.float(), up * scale)
    if not weights:
        raise DragError(f"{path.name} holds no LoRA in kohya's or diffusers' names")
    return LoRA(weights)


def _forms(path: str) -> Iterator[str]:
    yield KOHYA + path.replace(".", "_")
    yield PEFT + path
    yield "unet." + path

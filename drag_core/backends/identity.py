"""A LoRA on diffusers' denoisers: trained through peft, run merged into the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..lora import LoRA, OnTrain, Training, fit, low_rank
from ..types import DragError, Schedule

ATTENTION = r".*\.attn\d?\.(to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)"


PAPERS = Training()


class Trainable(Protocol):
    """A backbone over a torch module.

    `batch` predicts for several latents, each at its own level. `velocity` is as in DiffusersUNet.
    """

    net: nn.Module
    velocity: bool

    def batch(self, z: Tensor, t: Tensor) -> Tensor: ...


def train_lora(
    backbone: Trainable,
    z0: Tensor,
    levels: Schedule,
    training: Training = PAPERS,
    on_step: OnTrain = lambda done, total: None,
    rows: int | None = None,
) -> LoRA:
    """Trains a LoRA of the attention layers with which `backbone` denoises the latent z0 better.

    z0: (1, C, h, w).
    levels: the model's training levels, as schedules.ddim(1000) or schedules.flow(1000).
    The network is afterwards as it was, also after an error or a cancel.
    """
    with _adapters(backbone.net, training) as layers, torch.enable_grad():
        pairs = {path: (m.lora_A["default"].weight, m.lora_B["default"].weight) for path, m in layers.items()}
        owned = [w for pair in pairs.values() for w in pair]
        losses = fit(owned, backbone.batch, z0.detach(), levels, training, on_step, rows, backbone.velocity)
        weights = {path: (a.detach().clone(), b.detach().clone()) for path, (a, b) in pairs.items()}
    return LoRA(weights, losses)


@contextmanager
def _adapters(net: nn.Module, training: Training) -> Iterator[dict[str, Any]]:
    """Context manager: peft's layers stand around the attention's own; those are back afterwards."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
        from peft.tuners.lora import LoraLayer
    except ImportError:
        raise DragError("training a LoRA needs the package peft: pip install peft") from None
    own = dict(net.named_modules())
    wanted = [p.requires_grad for p in net.parameters()]
    parameters, facts = list(net.parameters()), set(vars(net))
    config = LoraConfig(r=training.rank, lora_alpha=training.rank, target_modules=ATTENTION)

    def inserted() -> dict[str, Any]:
        return {path: m for path, m in net.named_modules() if isinstance(m, LoraLayer)}

    try:
        with torch.random.fork_rng([]):
            inject_adapter_in_model(config, net)
        found = inserted()
        draw = torch.Generator().manual_seed(training.seed)
        for m in found.values():
            down, up = m.lora_A["default"].weight, m.lora_B["default"].weight
            for w, start in zip(
                (down, up), low_rank(training.rank, down.shape[1], up.shape[0], draw), strict=True
            ):
                w.data = start.to(w.device)  # float32 whatever the network has: AdamW's 1e-8 is 0 in float16
        yield found
    finally:
        for path in inserted():
            above, _, name = path.rpartition(".")
            setattr(net.get_submodule(above), name, own[path])
        for p, grad in zip(parameters, wanted, strict=True):
            p.requires_grad_(grad)
        for name in set(vars(net)) - facts:
            delattr(net, name)


@contextmanager
def applied(net: nn.Module, lora: LoRA, scale: float = 1.0) -> Iterator[None]:
    """Context manager: `net` has the LoRA in its weights, at no cost a step.

    Afterwards it has its own, bit for bit.
    """
    kept: list[tuple[nn.Parameter, Tensor]] = []
    try:
        for path, (down, up) in lora.weights.items():
            try:
                weight = net.get_parameter(f"{path}.weight")
            except AttributeError:
                raise DragError(
                    f"the LoRA has a layer {path} that this model has not: it belongs to another"
                ) from None
            if weight.shape != (up.shape[0], down.shape[1]):
                raise DragError(
                    f"the LoRA's layer {path} is {up.shape[0]}x{down.shape[1]} and the model's "
                    f"{weight.shape[0]}x{weight.shape[1]}: it belongs to another model"
                )
            kept.append((weight, weight.data))
            added = scale * (up.to(weight.device) @ down.to(weight.device))
            weight.data = (weight.data.float() + added).to(weight.dtype)
        yield
    finally:
        for weight, before in kept:
            weight.data = before

"""The gradient through layers as ComfyUI-GGUF makes them: packed weights that only the layer's own
cast_bias_weight can read, tensors whose clone() and detach() are themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.ops
import comfy.sd
import tiny
import torch
import torch.nn.functional as F
from bounds import same
from tiny import error
from tiny_gradients import gradients
from torch import Tensor, nn

WEIGHTS = tiny.flux_weights()
BLOCK = 32  # numbers that share a scale (Q8_0)


class Packed(torch.Tensor):
    """Bytes of a quantised matrix that claim its shape."""

    tensor_shape: torch.Size

    def __new__(cls, data: Tensor, shape: torch.Size) -> Packed:
        out = torch.Tensor._make_subclass(cls, data)
        out.tensor_shape = shape
        return out

    @property
    def shape(self) -> torch.Size:  # type: ignore[override]
        return self.tensor_shape

    def to(self, *args: Any, **kw: Any) -> Packed:
        return Packed(super().to(*args, **kw).as_subclass(torch.Tensor), self.tensor_shape)

    def clone(self, *args: Any, **kw: Any) -> Packed:
        return self

    def detach(self, *args: Any, **kw: Any) -> Packed:
        return self


def pack(weight: Tensor) -> Packed:
    """Q8_0: a scale in half precision and 32 signed bytes a block."""
    blocks = weight.reshape(-1, BLOCK)
    scale = (blocks.abs().amax(-1, keepdim=True) / 127).half()
    numbers = (blocks / scale.float().clamp_min(1e-12)).round().clamp(-127, 127).to(torch.int8)
    return Packed(torch.cat([scale.view(torch.int8), numbers], -1), weight.shape)


def unpack(packed: Tensor, shape: torch.Size) -> Tensor:
    data = packed.as_subclass(torch.Tensor)
    scale = data[:, :2].contiguous().view(torch.float16).float()
    return (data[:, 2:].float() * scale).reshape(shape)


class Ops(comfy.ops.manual_cast):
    class Linear(comfy.ops.manual_cast.Linear):
        def _load_from_state_dict(self, state: Any, prefix: str, *rest: Any) -> None:
            weight = state.get(f"{prefix}weight")
            if not isinstance(weight, Packed):
                super()._load_from_state_dict(state, prefix, *rest)
                return
            self.weight = nn.Parameter(weight, requires_grad=False)
            if f"{prefix}bias" in state:
                self.bias = nn.Parameter(state[f"{prefix}bias"], requires_grad=False)

        def cast_bias_weight(self, like: Tensor) -> tuple[Tensor, Tensor | None]:
            weight: Any = self.weight
            if isinstance(weight, Packed):
                weight = unpack(weight, weight.tensor_shape)
            return weight.to(like), None if self.bias is None else self.bias.to(like)

        def forward_comfy_cast_weights(self, x: Tensor) -> Tensor:
            return F.linear(x, *self.cast_bias_weight(x))


def test_gguf(tmp_path: Path) -> None:
    """Against a file of the numbers that the packed ones mean."""
    packed = {k: pack(v) for k, v in WEIGHTS.items() if v.ndim == 2 and "blocks" in k}
    meant = WEIGHTS | {k: unpack(v, v.tensor_shape) for k, v in packed.items()}
    with torch.inference_mode():
        patcher = comfy.sd.load_diffusion_model_state_dict(
            {**WEIGHTS, **packed}, model_options={"custom_operations": Ops, "dtype": torch.float32}
        )
    layers = [m for m in patcher.model.modules() if isinstance(getattr(m, "weight", None), Packed)]
    assert len(layers) == len(packed) > 10
    want, exact = (
        gradients(
            tiny.load_flux(weights, tmp_path / f"{name}.safetensors", torch.float32, False),
            checkpoint=(False,),
            inference=False,
        )[0]
        for name, weights in (("meant", meant), ("exact", WEIGHTS))
    )
    errors = [error(g, want) for g in gradients(patcher)]
    print("packed:", errors, "rounding itself:", error(exact, want))
    assert max(errors) <= 1e-4 and error(exact, want) > 10 * max(errors)
    before = tiny.output(patcher)
    gradients(patcher)
    assert same(tiny.output(patcher), before)

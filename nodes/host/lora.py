"""The identity LoRA of one picture, trained through the user's MODEL and applied as the host applies any."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import comfy.model_sampling as ms
import comfy.sd
import comfy.utils
import folder_paths
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...drag_core.backends.scaling import amplified, unscaled
from ...drag_core.lora import LoRA, Training, file_weights, fit, low_rank, save_lora
from ...drag_core.trajectory.schedules import every_level, flow
from ...drag_core.types import DragError, FeatureTap, Schedule
from . import memory
from .backbones.layouts import layout_of
from .backbones.selftest import self_test
from .family import family_in
from .inversion import digest
from .recent import Recent
from .schedule import prediction_of, sampling_of, shift_of
from .session import HostBackbone, SessionNeeds, run
from .whole import net_of

UNET = re.compile(r".*\.attn[12]\.(to_[qkv]|to_out\.0)")
JOINT = re.compile(
    r"double_blocks\.\d+\.(img|txt)_attn\.(qkv|proj)|single_blocks\.\d+\.linear1"  # FLUX, Chroma
    r"|joint_blocks\.\d+\.(x|context)_block\.attn2?\.(qkv|proj)"  # Stable Diffusion 3
    r"|transformer_blocks\.\d+\.attn\.(to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)"  # Qwen-Image
)
KEPT = 4  # LoRAs remembered beside the host's own cache
NAME = re.compile(r"[\w-][\w .-]{0,99}")


@dataclass(frozen=True)
class Trained:
    """A LoRA under the names of its file, what it was made of (`key`), and how long that took."""

    lora: LoRA
    key: str
    seconds: float


_last: Recent[Trained] = Recent(KEPT)


def levels_of(sampling: Any) -> Schedule:
    """Lists every noise level that the model was trained at."""
    if prediction_of(sampling) == "velocity":
        return flow(1000, shift=shift_of(sampling))
    return every_level(1 / (1 + sampling.sigmas.double().cpu() ** 2))


def layers_of(model: Any) -> dict[str, nn.Module]:
    """Lists the attention's linear layers by the names that they have in LoRA files."""
    net = model.diffusion_model
    wanted = UNET if layout_of(net) is None else JOINT
    # a UNet's in diffusers' names, which are what files of every SD version use
    table = comfy.utils.unet_to_diffusers(model.model_config.unet_config) if wanted is UNET else {}
    names = {
        v.removesuffix(".weight"): k.removesuffix(".weight") for k, v in table.items() if isinstance(v, str)
    }
    return {names.get(path, path): m for path, m in net.named_modules() if wanted.fullmatch(path)}


def shape_of(m: Any) -> tuple[int, int]:
    """Returns (inputs, outputs) of a linear layer, however its weight is stored."""
    return int(m.in_features), int(m.out_features)


@contextmanager
def beside(
    layers: dict[str, nn.Module], weights: dict[str, tuple[Tensor, Tensor]], box: dict[str, Any]
) -> Iterator[None]:
    """Context manager: every layer adds up @ down of its input to its output.

    Its own weight is not touched. A model that computes in half precision has its loss's gradients scaled by
    box["scale"].
    """
    handles = []
    try:
        for name, m in layers.items():

            def hook(_: nn.Module, args: Any, out: Tensor, pair: Any = weights[name]) -> Tensor:
                down, up = (unscaled(w, box["now"]) if "now" in box else w for w in pair)
                return out + F.linear(F.linear(args[0].to(out), down.to(out)), up.to(out))

            handles.append(m.register_forward_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()


def train(
    patcher: Any,
    positive: Any,
    samples: Tensor,
    training: Training,
    on_step: Callable[[int, int], None] | None = None,
) -> Trained:
    """Trains the LoRA with which `patcher` denoises samples better under `positive`.

    samples: a LATENT's (1, C, h, w).
    The model is left as it was. The same picture, prompt, model object and numbers give the remembered one.
    """
    key = digest([samples, positive, list(astuple(training))])
    if (before := _last.get(key, patcher)) is not None:
        return before
    sampling = sampling_of(patcher)
    family, levels = family_in(patcher), levels_of(sampling)
    size = (int(samples.shape[-2]), int(samples.shape[-1]))
    family.check_size(*size)
    bar = comfy.utils.ProgressBar(training.steps)

    def tell(done: int, total: int) -> None:
        mm.throw_exception_if_processing_interrupted()
        bar.update_absolute(done, total)
        if on_step is not None:
            on_step(done, total)

    started = time.perf_counter()

    def body(backbone: HostBackbone, z0: Tensor) -> LoRA:
        self_test(backbone, levels.t[len(levels.t) // 2], (FeatureTap(family.blocks[-1]),))
        layers = layers_of(patcher.model)
        draw = torch.Generator().manual_seed(training.seed)
        weights: dict[str, tuple[Tensor, Tensor]] = {}
        for name, m in layers.items():
            down, up = low_rank(training.rank, *shape_of(m), draw)
            weights[name] = (down.to(z0.device).requires_grad_(), up.to(z0.device).requires_grad_())
        box: dict[str, Any] = {}

        def predict(z: Tensor, t: Tensor) -> Tensor:
            if backbone.half:
                box["now"] = {}
            _, out = backbone.features(z, t, (), stop=False)
            assert out is not None  # as nothing stops
            return amplified(out, box["now"]) if backbone.half else out

        owned = [w for pair in weights.values() for w in pair]
        with beside(layers, weights, box):
            losses = fit(
                owned, predict, z0, levels, training, tell, rows, isinstance(sampling, ms.V_PREDICTION)
            )
        return LoRA({k: (a.detach().cpu(), b.detach().cpu()) for k, (a, b) in weights.items()}, losses)

    high = float(sampling.sigma_max)
    rows = _rows(patcher, size, training.batch)
    need = SessionNeeds(gradients=True, whole=True, sigmas=(0.0, high), rows=rows)
    lora = run(patcher, positive, samples, body, need, sigmas=torch.tensor([high, 0.0]), seed=training.seed)
    return _last.put(key, patcher, Trained(lora, key, time.perf_counter() - started))


def _rows(patcher: Any, size: tuple[int, int], batch: int) -> int:
    """Counts how many of a step's copies fit beside the weights at once; the others wait their turn."""
    one = memory.activation_bytes(net_of(patcher), size, (), True, False)
    room = memory.free_bytes(patcher) - int(patcher.model_size())
    return max(1, min(batch, int(room // max(one, 1))))


def with_lora(patcher: Any, trained: Trained, strength: float) -> Any:
    """Clones `patcher` with the LoRA in its weight patches, as the host's LoRA loader adds one."""
    weights = file_weights(trained.lora)
    return comfy.sd.load_lora_for_models(patcher, None, weights, strength, 0)[0]


def check_name(name: str) -> None:
    """Refuses what is no plain file name."""
    if name and (not NAME.fullmatch(name) or name.endswith((".", " "))):
        raise DragError(
            f"save_as is {name!r}; it names a file in ComfyUI's loras folder: use letters, digits, "
            "spaces, dots, - and _, or leave it empty to write none"
        )


def write(trained: Trained, name: str, about: dict[str, str]) -> str:
    """Writes the LoRA into ComfyUI's first loras folder.

    Returns the name as the host's LoRA loaders list it.
    """
    check_name(name)
    folder = Path(folder_paths.get_folder_paths("loras")[0])
    folder.mkdir(parents=True, exist_ok=True)
    file = f"{name}_{trained.key[:8]}.safetensors"
    half = folder / f".{file}.part"  # whole or not at all
    try:
        save_lora(trained.lora, half, about=about)
        os.replace(half, folder / file)
    finally:
        half.unlink(missing_ok=True)
    return file

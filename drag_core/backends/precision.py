"""In which precision a network's weights are kept, and where the parts of a model lie."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from ..types import DragError

WRITTEN = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Place:
    """Where and how precisely a model computes.

    Refuses what can't be.

    device: what computes.
    dtype: float32, float16, bfloat16, or auto, which is the file's own precision on a card and float32 on a
        CPU.
    offload: the blocks of the denoiser wait in RAM.
    """

    device: str = "cpu"
    dtype: str = "auto"
    offload: bool = False

    def __post_init__(self) -> None:
        if self.dtype != "auto" and self.dtype not in DTYPES:
            raise DragError(f"there is no dtype {self.dtype!r}; there are auto, {', '.join(DTYPES)}")
        try:
            torch.empty(0, device=self.device)
        except Exception as e:  # RuntimeError, AssertionError ...: as the build of torch has it
            why = str(e).splitlines()[0]
            raise DragError(f"the device {self.device!r} can't be used here ({why}): try cpu") from None
        if self.offload and self.on_cpu:
            raise DragError(
                "--offload keeps the weights in RAM and brings them to a card block by block, and with "
                f"--device {self.device} they are there already: leave it out, or name a card (--device cuda)"
            )

    @property
    def on_cpu(self) -> bool:
        return torch.device(self.device).type == "cpu"

    def of(self, own: torch.dtype) -> torch.dtype:
        """Chooses the precision for weights that a file keeps in `own`.

        What can't compute (8 bits) is opened to bfloat16.
        """
        if self.dtype != "auto":
            return DTYPES[self.dtype]
        return torch.float32 if self.on_cpu else own if own in DTYPES.values() else torch.bfloat16


HERE = Place()  # the CPU, in float32


def own_dtype(weights: Iterable[Tensor]) -> torch.dtype:
    """Finds the floating precision of most of the bytes; float32 of none."""
    found: Counter[torch.dtype] = Counter()
    for x in weights:
        if x.is_floating_point():
            found[x.dtype] += x.numel() * x.element_size()
    return found.most_common(1)[0][0] if found else torch.float32


def folder_dtype(folder: Path) -> torch.dtype:
    """Does the same for the .safetensors files of one part of a diffusers folder, without reading weights."""
    found: Counter[str] = Counter()
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as f:
            for part in (f.get_slice(k) for k in f.keys()):
                found[part.get_dtype()] += math.prod(part.get_shape())
    most = next((name for name, _ in found.most_common() if "F" in name), "F32")
    return WRITTEN.get(most, torch.float8_e4m3fn)


def weight_files(folder: Path) -> list[Path]:
    """Lists the file or index that from_pretrained() reads, else every .safetensors file."""
    usual = ("diffusion_pytorch_model", "model")  # what from_pretrained() reads, no variant beside it
    first = [folder / f"{stem}.safetensors{end}" for stem in usual for end in ("", ".index.json")]
    for file in (*first, *sorted(folder.glob("*.safetensors.index.json"))):
        if file.exists() and file.suffix == ".json":
            return sorted({folder / name for name in json.loads(file.read_text())["weight_map"].values()})
        if file.exists():
            return [file]
    return sorted(folder.glob("*.safetensors"))

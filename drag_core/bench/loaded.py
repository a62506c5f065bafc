"""The models of a benchmark: loaded once a process, told by their family and by the hash of their files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ..backends.load import EMBEDDED, MODELS, Model, load_model
from ..metrics.lpips_weights import sha256_of
from ..types import Family

FAMILIES: dict[str, Family] = {"embedded-sd": "sd", "embedded-flux": "flux"}


@dataclass(frozen=True)
class Settings:
    """What all rows are drawn with.

    identity: steps of a LoRA of the picture first; 0: none.
    """

    device: str = "cpu"
    dtype: str = "auto"
    offload: bool = False
    vae: Path | None = None
    text: Path | None = None
    identity: int = 0


_loaded: dict[tuple[object, ...], Model] = {}


def model_of(name: str, prompt: str, target: str, settings: Settings) -> Model:
    """Loads a model, or returns it if it is there; of those that are not embedded one is kept."""
    embedded = name in EMBEDDED
    words = () if embedded or settings.text is not None else (prompt, target)
    key = (name, words, settings)
    if key not in _loaded:
        for other in [k for k in _loaded if not embedded and k[0] not in EMBEDDED]:
            del _loaded[other]
        s = settings
        _loaded[key] = load_model(
            name,
            prompt=prompt,
            target_prompt=target,
            vae=s.vae,
            text=s.text,
            device=s.device,
            dtype=s.dtype,
            offload=s.offload,
        )
    return _loaded[key]


def family_of(name: str, settings: Settings) -> Family:
    """Tells a model's family; any but the embedded ones is loaded for it."""
    return FAMILIES[name] if name in FAMILIES else model_of(name, "", "", settings).family


def hash_of(name: str) -> str:
    """Hashes a model's file, or all weights of its folder, in their order."""
    if not name:
        return ""
    path = MODELS / EMBEDDED[name] if name in EMBEDDED else Path(name).expanduser()
    if path.is_file():
        return sha256_of(path)
    whole = hashlib.sha256()
    for file in sorted(path.rglob("*.safetensors")):
        whole.update(f"{file.relative_to(path).as_posix()} {sha256_of(file)}\n".encode())
    return whole.hexdigest()

"""Where LPIPS' two files may lie: the host's model folder, torch's cache, packages that bring the heads."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import folder_paths
import torch

from ...drag_core.metrics.lpips import LpipsNet
from ...drag_core.metrics.lpips_weights import KINDS, lpips_net, sha256_of
from ...drag_core.types import DragError
from .files import loaded

FOLDER = "lpips"
HEADS = tuple(f"{name}.pth" for name in KINDS)
BACKBONES = tuple(kind.file for kind in KINDS.values())
# a package -> where in it the heads lie; both have the same bytes
PACKAGES = {"lpips": "weights/v0.1", "torchmetrics": "functional/image/lpips_models"}


def list_lpips_folder() -> None:
    folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir, FOLDER)))


def backbone_names() -> list[str]:
    return _names(BACKBONES)


def head_names() -> list[str]:
    return _names(HEADS)


def _names(known: tuple[str, ...]) -> list[str]:
    """Lists the official names, there or not, then the other files of the folder."""
    if FOLDER not in folder_paths.folder_names_and_paths:  # the host may ask for schemas before on_load
        list_lpips_folder()
    others = [n for n in folder_paths.get_filename_list(FOLDER) if n not in (*BACKBONES, *HEADS)]
    return [*known, *others]


def _elsewhere(name: str) -> Iterator[Path]:
    """Lists where a file of an official name may lie outside the model folder; nothing is imported."""
    if name in BACKBONES:
        yield Path(torch.hub.get_dir(), "checkpoints", name)
    for package, inside in PACKAGES.items() if name in HEADS else ():
        try:
            found = importlib.util.find_spec(package)
        except (ImportError, ValueError):
            continue
        for place in (found.submodule_search_locations or ()) if found else ():
            yield Path(place, inside, name)


def path_of(name: str) -> Path:
    """Finds a file by its name; DragError says where to get it and where to put it."""
    there = folder_paths.get_full_path(FOLDER, name)
    places = ([Path(there)] if there else []) + list(_elsewhere(name))
    found = next((p for p in places if p.is_file()), None)
    if found is not None:
        return found
    if name in HEADS:
        source = f"it lies as lpips/weights/v0.1/{name} in the PyPI package lpips 0.1.4 (6 kB)"
    else:
        source = f"download https://download.pytorch.org/models/{name}"
    place = Path(folder_paths.models_dir, FOLDER)
    raise DragError(f"LPIPS needs the file {name}, which is missing: {source}; put it into {place}")


def load_lpips(backbone: str, heads: str) -> LpipsNet:
    """Loads both files; of a pickle nothing but plain tensors is accepted."""
    paths = path_of(backbone), path_of(heads)
    with torch.inference_mode(False):
        weights = _loaded(paths[0]), _loaded(paths[1])
        return lpips_net(*weights, sha256_of(paths[0]), sha256_of(paths[1]))


def _loaded(path: Path) -> dict[str, Any]:
    out = loaded(str(path), path.name)
    if not isinstance(out, dict) or not all(torch.is_tensor(x) for x in out.values()):
        raise DragError(f"{path.name} holds no table of weights: choose another file")
    return {key: x.detach().float().clone() for key, x in out.items()}

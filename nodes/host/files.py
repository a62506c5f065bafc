"""The user's files in the host's model folders: which there are, and a table of weights out of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.utils
import folder_paths

from ...drag_core.types import DragError


def list_places(key: str, places: tuple[str, ...], theirs: tuple[str, ...]) -> None:
    """Lists as the host's folder `key`: `places` under its models, and what other packs call `theirs`."""
    known = folder_paths.folder_names_and_paths
    found = [str(Path(folder_paths.models_dir, *place.split("/"))) for place in places]
    found += [place for name in theirs if name in known for place in known[name][0]]
    known[key] = (list(dict.fromkeys(found)), folder_paths.supported_pt_extensions)


def loaded(path: str, name: str) -> Any:
    """Reads a file as the host does, of a pickle nothing but plain tensors (weights_only)."""
    try:
        return comfy.utils.load_torch_file(path, safe_load=True)
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DragError(f"{name} cannot be read as safetensors or as plain weights: {first}") from error


def read_table(folder: str, name: str, what: str) -> dict[str, Any]:
    """Reads a table of weights by its name in one of the host's folders.

    what: what it should hold, for the sentence where it does not.
    """
    out = loaded(folder_paths.get_full_path_or_raise(folder, name), name)
    if not isinstance(out, dict):
        raise DragError(f"{name} holds a {type(out).__name__} and {what} is a table of weights")
    return out

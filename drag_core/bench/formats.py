"""Which format a file or folder has, and our drag instruction read from it.

Known: our JSON, DragFlow/ReD Bench, Drag100/GoodDrag, DragNeXt/NextBench, DragBench, its -DR and -SR,
SDE-Drag, and KJNodes' points. What a format says beyond an instruction is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..motion.instruction import DragInstruction, from_dict
from ..motion.untrusted import MAX_BYTES, load_json
from ..types import DragError
from . import dragbench
from .outlines import Found
from .readers import is_kjnodes, read_drag100, read_dragflow, read_dragnext, read_kjnodes, read_sde

PICKLES = {"meta_data_region.pkl": "dragbench-dr", "meta_data.pkl": "dragbench"}
DOCUMENTS = ("instruction.json", "points.json", "prompt.json", "drag.json", *PICKLES)
PICTURES = (
    "original_image.png",
    "origin_image.png",
    "original.jpg",
    "original.png",
    "image.jpg",
    "image.png",
)
ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
TITLES = {
    "json": "our JSON",
    "red": "ReD Bench",
    "drag100": "Drag100",
    "nextbench": "NextBench",
    "dragbench": "DragBench",
    "dragbench-dr": "DragBench-DR",
    "sde": "SDE-Drag's DragBench",
    "kjnodes": "KJNodes' points",
}


@dataclass(frozen=True)
class Read:
    """An instruction that was read.

    format: a key of TITLES.
    picture: the one beside it, if any.
    notes: sentences on what was missing or is ours.
    """

    instruction: DragInstruction
    picture: Path | None
    format: str
    notes: tuple[str, ...]


def read_any(path: Path) -> tuple[DragInstruction, Path | None]:
    """Reads the instruction in a file or folder of any known format, and the picture beside it, if any."""
    found = read_noted(path)
    return found.instruction, found.picture


def read_noted(path: Path) -> Read:
    """Reads the instruction in a file or folder of any known format, with all that is known about it.

    Pickled files are read by our own reader, which runs nothing (see pickled.py). Raises DragError.
    """
    document = document_in(path) or path
    if document.is_dir():
        raise DragError(
            f"the folder {path} holds no drag instruction: it needs one of {', '.join(DOCUMENTS)}"
        )
    try:
        if not document.is_file():
            raise DragError("there is no such file; give a JSON file or the folder of a sample")
        name, (data, notes) = _pickled(document) if _is_pickle(document) else _json(document)
        return Read(from_dict(data), _picture(document.parent, document.stem), name, notes)
    except (OSError, DragError) as e:
        raise DragError(f"{document} can't be read: {e}") from None


def document_in(folder: Path) -> Path | None:
    """Finds the file of a sample's folder that says what moves; None where there is none."""
    return next((folder / n for n in DOCUMENTS if (folder / n).is_file()), None) if folder.is_dir() else None


def picture_in(folder: Path) -> Path | None:
    """Finds the picture of a sample's folder by its name."""
    return next((folder / n for n in PICTURES if (folder / n).is_file()), None)


def _is_pickle(document: Path) -> bool:
    return document.suffix.lower() in (".pkl", ".pickle")


def _pickled(document: Path) -> tuple[str, Found]:
    name = PICKLES.get(document.name, "dragbench")
    return name, (dragbench.read_points if name == "dragbench" else dragbench.read_regions)(document)


def _json(document: Path) -> tuple[str, Found]:
    if (size := document.stat().st_size) > MAX_BYTES:
        raise DragError(f"it is {size} bytes long; at most {MAX_BYTES} are read")
    data: Any = load_json(document.read_bytes())
    folder, known = document.parent, data if isinstance(data, dict) else {}
    if "region_operations" in known or "point_operations" in known:
        return "red", read_dragflow(known, folder)
    if is_kjnodes(data):
        return "kjnodes", read_kjnodes(data, folder)
    if known.keys() & {"version", "regions", "image"}:
        return "json", (data, ())
    if document.name == "points.json":
        is_next = "rotation" in known or (folder / "handle_region_mask.png").is_file()
        return (
            ("nextbench", read_dragnext(known, folder))
            if is_next
            else ("drag100", read_drag100(known, folder))
        )
    if document.name == "prompt.json" or {"source", "target"} <= known.keys():
        return "sde", read_sde(known, folder)
    return "json", (data, ())


def _picture(folder: Path, stem: str) -> Path | None:
    beside = (folder / (stem + end) for end in ENDINGS)
    return picture_in(folder) or next((p for p in beside if p.is_file()), None)

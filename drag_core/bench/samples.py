"""Samples of a benchmark: which there are, in their order, and one of them read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ..metrics.dai import RADII
from ..motion.instruction import DragInstruction, PointSpec, to_json
from ..motion.masks import adaptive_mask
from ..motion.task import MaskReader, build_task
from ..pictures.files import Picture, read_mask, read_picture, to_bytes
from ..types import DragError, Grid, Task
from .cases import Case
from .example import instruction_of
from .formats import ENDINGS, PICTURES, Read, document_in, picture_in, read_noted
from .held import Scene, case_of, scenes
from .lit.cases import LIT_KINDS

SCENES = "scenes"  # the drawn scenes' format
MOST = 100_000  # folders that are looked at


@dataclass(frozen=True)
class Entry:
    """Where a sample is: a folder, a JSON file with a picture of its name beside it, or a drawn scene.

    id: its path below the data's folder, with slashes; or the scene's kind and number.
    category: the folder that it lies in, or the scene's kind.
    """

    id: str
    category: str
    place: Path | Scene


@dataclass(frozen=True)
class Sample:
    """A sample: its picture, its drag at the picture's own size, and what the benchmark says beside it.

    editable: (H, W), what counts as edited: the benchmark's own mask; where ReD Bench has none the box around
        the regions' ways (DragFlow eq. 25-27), which an edit's own mask is wider than.
    case: the exact answer, of drawn scenes.
    digest: the sha256 of picture and drag.
    """

    id: str
    category: str
    format: str
    picture: Picture
    instruction: DragInstruction
    task: Task
    editable: Tensor | None
    case: Case | None
    notes: tuple[str, ...]
    digest: str
    read_mask: MaskReader | None

    @property
    def image(self) -> Tensor:
        """(1, 3, H, W) in [0, 1]."""
        return self.picture.image


def entries(data: str, limit: int | None = None) -> tuple[Entry, ...]:
    """Lists the samples of `scenes:N` or of a folder, by their names in numeric order.

    A folder that holds a known document or a known picture is a sample, also one that lacks the other: it
    fails with a reason and is counted. Raises DragError where there is none.
    """
    kind, _, number = data.partition(":")
    if kind == SCENES and not Path(data).exists():
        if not number.isdigit() or not 0 < int(number) <= MOST:
            raise DragError(f"the data {data!r} should be {SCENES}:N with N of 1 at least, or a folder")
        first = scenes(-(-int(number) // len(LIT_KINDS)), 0)[: int(number)]
        found = [Entry(f"{which}/{edit}/{k}", edit, (which, edit, k)) for which, edit, k in first]
    else:
        if not (root := Path(data)).exists():
            raise DragError(f"there is no folder {data}: give one of samples, or {SCENES}:N")
        found = list(_below(root))
        if not found:
            raise DragError(
                f"the folder {data} holds no sample: a sample is a folder with a picture and a drag"
            )
    return tuple(found[:limit])


def natural(name: str) -> list[tuple[int, str]]:
    """Sorts "a2" before "a10"."""
    return [(int(x), "") if x.isdigit() else (-1, x) for x in re.split(r"(\d+)", name)]


def _below(root: Path) -> Iterator[Entry]:
    if root.is_file() or _is_sample(root):
        yield Entry(root.name, "", root)
        return
    looked = 0
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        if (looked := looked + 1) > MOST:
            raise DragError(f"{root} holds more than {MOST} folders; give one that holds the samples alone")
        path = folder.relative_to(root)
        above = "" if path == Path() else path.as_posix()
        if folder != root and _is_sample(folder):
            parent = path.parent.as_posix()
            yield Entry(above, "" if parent == "." else parent, folder)
            continue
        inside = sorted(folder.iterdir(), key=lambda p: natural(p.name))
        for file in inside:
            if file.suffix == ".json" and any(file.with_suffix(end).is_file() for end in ENDINGS):
                yield Entry(f"{above}/{file.stem}".lstrip("/"), above, file)
        folders = [p for p in inside if p.is_dir() and not p.is_symlink() and not p.name.startswith(".")]
        waiting += reversed(folders)


def _is_sample(folder: Path) -> bool:
    return document_in(folder) is not None or picture_in(folder) is not None


def read_sample(entry: Entry) -> Sample:
    """Reads a sample; raises DragError, with the reason, where something of it is missing or wrong."""
    return _folder(entry, entry.place) if isinstance(entry.place, Path) else _scene(entry, entry.place)


def _folder(entry: Entry, place: Path) -> Sample:
    found = read_noted(place)
    folder = place if place.is_dir() else place.parent
    if found.picture is None:
        raise DragError(f"{place} has no picture: there should be one of {', '.join(PICTURES)}")
    picture = read_picture(found.picture)

    def masks(name: str) -> Tensor:
        return read_mask(folder / name)

    size = Grid(*picture.rgb.shape[-2:])
    task, noted = build_task(found.instruction, size, masks)
    notes = [*found.notes, *noted, *_border(task)]
    if picture.alpha is not None and int(picture.alpha.min()) < 255:
        notes.append("the picture is transparent in places: its colours are taken and alpha is left out")
    digest = _digest(picture, found.instruction, task)
    return Sample(
        entry.id,
        entry.category,
        found.format,
        picture,
        found.instruction,
        task,
        _editable(task, found),
        None,
        tuple(dict.fromkeys(notes)),
        digest,
        masks,
    )


def _scene(entry: Entry, scene: Scene) -> Sample:
    case = case_of(scene)
    picture = Picture(to_bytes(case.source))
    # the handle of a turn lies off its anchor, where it shows the turn to methods that move points
    instruction = replace(instruction_of(case), points=(PointSpec(case.handle, case.target),))
    task, notes = build_task(instruction, Grid(*picture.rgb.shape[-2:]))
    notes = (*notes, *_border(task))
    digest = _digest(picture, instruction, task)
    return Sample(
        entry.id,
        entry.category,
        SCENES,
        picture,
        instruction,
        task,
        task.editable,
        case,
        notes,
        digest,
        None,
    )


def _editable(task: Task, found: Read) -> Tensor | None:
    boxed = found.format == "red" and found.instruction.editable == "adaptive" and task.regions
    return adaptive_mask(task.regions) if boxed else task.editable


def _border(task: Task) -> list[str]:
    """Says for how many pairs DAI's largest patch leaves the picture, so that it is not measured there."""
    far = max(RADII)
    w, h = task.image.width, task.image.height
    near = sum(
        any(not (far <= x < w - far and far <= y < h - far) for x, y in (p.start, p.target))
        for p in task.handles
    )
    if not near:
        return []
    pairs = f"{near} of {len(task.handles)} pairs lie" if len(task.handles) > 1 else "its pair lies"
    return [f"{pairs} within {far} px of the border: DAI of that radius leaves them out"]


def _digest(picture: Picture, instruction: DragInstruction, task: Task) -> str:
    found = hashlib.sha256(to_json(instruction).encode())
    masks = [m for m in (*(r.mask for r in task.regions), task.editable) if m is not None]
    for part in (picture.rgb, *(m.byte() for m in masks)):
        found.update(str(tuple(part.shape)).encode() + part.contiguous().numpy().tobytes())
    return found.hexdigest()

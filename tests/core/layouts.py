"""Synthetic samples in the layouts in which the benchmarks are published."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT = 96, 72
Mask = NDArray[np.uint8]


def box(x0: int, y0: int, x1: int, y1: int) -> Mask:
    """A mask of the picture's size, set from x0 to x1 and y0 to y1, both within."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y0 : y1 + 1, x0 : x1 + 1] = 1
    return mask


MOVED, TURNED, EDITABLE = box(10, 10, 25, 25), box(60, 40, 79, 49), box(5, 5, 90, 66)


def save(mask: Mask, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask * 255).save(path)


def picture(path: Path, mode: str = "RGB", size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = np.random.default_rng(3).integers(0, 256, (size[1], size[0], len(mode)), np.uint8)
    Image.fromarray(drawn[..., 0] if mode == "L" else drawn, mode).save(path)


def write(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def red(folder: Path) -> None:
    """ReD Bench: a relocation, called transformation, and a rotation."""
    picture(folder / "original_image.png")
    save(MOVED | TURNED, folder / "operation.png")
    save(EDITABLE, folder / "mask.png")
    operations = {
        "0": {"task": "transformation", "centroids": [[17.5, 17.5], [37.5, 27.5]], "anchors": None},
        "1": {"task": "rotation", "centroids": [[69.5, 44.5], [49.5, 24.5]], "anchors": [49.5, 44.5]},
    }
    write(
        folder / "instruction.json",
        {
            "region_operations": operations,
            "point_operations": {"begin_points": [[12, 12]], "target_points": [[32, 22]]},
            "background_prompt": "a cat.",
            "editing_prompt": " It jumps.",
        },
    )
    for i, (source, target) in enumerate(((MOVED, box(30, 20, 45, 35)), (TURNED, box(45, 15, 54, 34)))):
        save(source, folder / "temp" / f"mask_orig__{i}.png")
        save(target, folder / "temp" / f"mask_proc__{i}.png")


def drag100(folder: Path) -> None:
    picture(folder / "original.jpg")
    save(EDITABLE, folder / "mask.png")
    write(folder / "points.json", {"points": [[20, 20], [40, 30], [50, 60], [50, 40]]})


def nextbench(folder: Path) -> None:
    """As the released interface saves it: a move, and a turn by a quarter."""
    picture(folder / "image.jpg")
    save(MOVED | TURNED, folder / "handle_region_mask.png")
    save(EDITABLE, folder / "editable_region_mask.png")
    points = [[17, 17], [37, 27], [49.5, 44.5], [69.5, 44.5], [49.5, 24.5]]
    write(folder / "points.json", {"points": points, "rotation": [False, False, True, True, True]})
    write(folder / "user_intention.json", {"user_intention": "the box goes right"})


def dragbench(folder: Path, mask: Any = EDITABLE, points: Any = None, protocol: int = 4) -> None:
    """As DragDiffusion's labelling tool pickles it."""
    picture(folder / "original_image.png")
    data = {"prompt": "a cat", "points": points or [[20, 20], [40, 30], [50, 60], [50, 40]], "mask": mask}
    (folder / "meta_data.pkl").write_bytes(pickle.dumps(data, protocol))


def dragbench_dr(folder: Path) -> None:
    """Every pixel of two regions and its partner: 20 right and 10 down, and 5 up."""
    picture(folder / "original_image.png")
    points: list[list[int]] = []
    for mask, (dx, dy) in ((MOVED, (20, 10)), (TURNED, (0, -5))):
        for y, x in np.argwhere(mask).tolist():
            points += [[x, y], [x + dx, y + dy]]
    data = {"prompt": "a cat", "points": points, "mask": EDITABLE}
    (folder / "meta_data_region.pkl").write_bytes(pickle.dumps(data))


def sde(folder: Path) -> None:
    """SDE-Drag's: everything in the pixels of 512x512."""
    picture(folder / "origin_image.png", size=(512, 512))
    mask = np.zeros((512, 512), np.uint8)
    mask[100:301, 50:401] = 1
    save(mask, folder / "mask.png")
    write(folder / "prompt.json", {"source": [[120, 130]], "target": [[300, 250]], "prompt": "a lion"})


def kjnodes(file: Path) -> None:
    """Two splines, of which a drag takes both ends."""
    picture(file.with_suffix(".png"))
    lines = [
        [{"x": 20, "y": 20}, {"x": 31, "y": 40}, {"x": 40, "y": 30}],
        [{"x": 50, "y": 60}, {"x": 50, "y": 40}],
    ]
    write(file, lines)

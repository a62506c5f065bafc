"""DragBench in its three forms: as DragDiffusion's labelling tool pickles it, and with regions (-DR, -SR).

meta_data.pkl holds {prompt, points: handle and target in turn, mask}; meta_data_region.pkl the same with
every pixel of all regions as a pair, from which we tell the regions apart: no converter was published.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..motion.instruction import MAX_POINTS, MAX_REGIONS
from ..types import DragError
from .outlines import EMPTY, SPECK, Found, Mask, components, outlines, size_of
from .pickled import MAX_BYTES, read_plain
from .pickled_arrays import array_of

MOST_PAIRS = 4_000_000
BY_US = "the regions were told apart by us, as connected parts of the pixels that move (converted by us)"
NO_MASK = "no mask was drawn: everything may change"


def read_points(path: Path) -> Found:
    """Reads meta_data.pkl of DragBench: pairs of points and what may change."""
    data = _meta(path)
    pairs = _pairs(data)
    if not 0 < len(pairs) <= MAX_POINTS:
        raise DragError(f"points has {len(pairs)} pairs; 1 to {MAX_POINTS} are read")
    document, notes = _frame(data)
    listed = [{"start": p[0].tolist(), "target": p[1].tolist()} for p in pairs]
    return document | {"points": listed}, notes


def read_regions(path: Path) -> Found:
    """Reads meta_data_region.pkl of DragBench-DR and -SR.

    A region is a connected part of the pixels that move; its centroid goes to that of their partners.
    """
    data = _meta(path)
    pairs = _pairs(data)
    if not len(pairs):
        raise DragError("points is empty: nothing moves")
    document, notes = _frame(data)
    start = np.rint(pairs[:, 0]).astype(np.int64)
    size = document["image"] or dict(zip(("width", "height"), (start.max(0) + 1).tolist(), strict=True))
    width, height = size["width"], size["height"]
    inside = ((start >= 0) & (start < (width, height))).all(1)
    if not inside.all():
        notes = (*notes, f"{int((~inside).sum())} of {len(pairs)} pixels that move lie outside the picture")
        pairs, start = pairs[inside], start[inside]
    if not len(pairs):
        raise DragError(f"none of the pixels that move lies in the {width}x{height} picture")
    mask: Mask = np.zeros((height, width), np.uint8)
    mask[start[:, 1], start[:, 0]] = 1
    labels = components(mask)
    part = labels[start[:, 1], start[:, 0]]
    sizes = np.bincount(part)
    kept = [k for k in range(1, len(sizes)) if sizes[k] >= SPECK or sizes[1:].max() < SPECK]
    if len(kept) > MAX_REGIONS:
        raise DragError(f"the pixels that move lie in {len(kept)} parts; at most {MAX_REGIONS} are read")
    if dropped := len(sizes) - 1 - len(kept):
        notes = (*notes, f"{dropped} parts of under {SPECK} pixels were left out")
    regions = [
        {
            "task": "deformation",
            "polygons": outlines((labels == k).astype(np.uint8)),
            "target": pairs[part == k, 1].mean(0).tolist(),
        }
        for k in kept
    ]
    return document | {"image": size, "regions": regions}, (*notes, BY_US)


def _meta(path: Path) -> dict[str, Any]:
    if (size := path.stat().st_size) > MAX_BYTES:
        raise DragError(f"it is {size} bytes long; at most {MAX_BYTES} are read")
    data = read_plain(path.read_bytes())
    if not isinstance(data, dict):
        raise DragError(f"it holds a {type(data).__name__}; DragBench's holds prompt, points and mask")
    return data


def _pairs(data: dict[str, Any]) -> np.ndarray:
    """Returns points as (N, 2, 2) float64: start and target, (x, y)."""
    points = data.get("points")
    try:
        found = array_of(points)
        if found is None:
            if not isinstance(points, (list, tuple)) or len(points) > 2 * MOST_PAIRS:
                raise DragError("points is no list of [x, y]")
            found = np.array([[_number(v) for v in _row(p)] for p in points], np.float64)
        flat = found.astype(np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        raise DragError("points is no list of [x, y]") from None
    if len(flat) % 2:
        raise DragError(f"points has {len(flat)} entries; every handle needs its target")
    if not (np.abs(flat) <= 1e9).all():
        raise DragError("points holds numbers beyond 1e9, or none at all (NaN)")
    return flat.reshape(-1, 2, 2)


def _row(p: Any) -> Any:
    row = p if isinstance(p, (list, tuple)) else array_of(p)
    if row is None or len(row) != 2:
        raise DragError("points is no list of [x, y]")
    return row


def _number(v: Any) -> float:
    if isinstance(v, bool) or not isinstance(v, (int, float, np.number)):
        raise DragError(f"points holds {str(v)[:40]!r}; [x, y] are numbers")
    return float(v)


def _frame(data: dict[str, Any]) -> Found:
    """Makes the document's size, mask and prompt."""
    prompt = data.get("prompt") or ""
    if not isinstance(prompt, str):
        raise DragError(f"prompt is a {type(prompt).__name__}; it must be text")
    notes: tuple[str, ...] = ()
    editable: dict[str, Any] = {"mode": "none"}
    prompts = {"source": prompt}  # of the picture: it conditions the drag too where there is no other
    mask = array_of(data.get("mask"))
    if mask is None:
        return {"image": {}, "editable": editable, "prompts": prompts}, (NO_MASK,)
    if mask.ndim != 2 or not 0 < mask.size <= 1 << 26:
        raise DragError(f"mask has the shape {mask.shape}; it must be height x width")
    drawn: Mask = (mask > 0).astype(np.uint8)
    if drawn.any():
        editable = {"mode": "painted", "polygons": outlines(drawn)}
    else:
        # the labelling tool keeps zeros of float32 where nobody drew a mask
        notes = (NO_MASK if mask.dtype.kind == "f" else EMPTY,)
    return {"image": size_of(drawn), "editable": editable, "prompts": prompts}, notes

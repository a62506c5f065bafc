"""From what the user drew to what the loop needs.

That is masks, motions, handles, and a sentence for everything odd.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..types import AffineMotion, DragError, Grid, Handle, Point, Region, Task
from .geometry import apply, motion_matrix, rotation, scaling, translation
from .instruction import DragInstruction, RegionSpec, Shape, Stroke, rescaled
from .masks import adaptive_mask, centroid, grow, moved, region_weights

# the adaptive mask grows by this part of the mean side: soft edges, shadows, the seam, the autoencoder's
# reach
MARGIN = 0.045
FEW = 16  # pixels: a quarter of a cell of the latent
MaskReader = Callable[[str], Tensor]  # name -> (H, W) in {0, 1}


def named(inputs: Sequence[Tensor]) -> dict[str, Tensor]:
    """Names masks that are connected beside an instruction as its regions do: "input 1" is the first."""
    return {f"input {n}": mask for n, mask in enumerate(inputs, 1)}


def reader(given: Mapping[str, Tensor]) -> MaskReader:
    """Reads the masks that are given under these names; DragError for any other name."""

    def read(name: str) -> Tensor:
        if name not in given:
            raise DragError(
                f"the drag instruction names a mask picture, {name!r}, which can't be read here: connect it "
                f"as a mask"
            )
        return given[name]

    return read


def draw(shape: Shape, size: Grid, read_mask: MaskReader | None = None) -> Tensor:
    """Draws the painted area, (H, W) in {0, 1}.

    A hole takes away its edge too, as a polygon adds its own.
    """
    out = np.zeros((size.height, size.width), np.uint8)
    for poly in shape.polygons:
        cv2.fillPoly(out, [_pixels(poly)], 1)
    for stroke in shape.strokes:
        points, radius = _pixels(stroke.points), min(max(1, round(stroke.radius)), 16000)  # OpenCV's limit
        cv2.polylines(out, [points], False, 1, thickness=2 * radius)
        for p in points:
            cv2.circle(out, (int(p[0]), int(p[1])), radius, 1, -1)
    mask = torch.from_numpy(out).float()
    if shape.mask is not None:
        if read_mask is None:
            raise DragError(f"mask {shape.mask!r} can't be read here: there is no folder to look in")
        painted = read_mask(shape.mask)
        if painted.shape != mask.shape:
            painted = (
                F.interpolate(painted[None, None].float(), tuple(mask.shape), mode="area")[0, 0] > 0.5
            ).float()
        mask = torch.maximum(mask, painted.float())
    cut = np.zeros((size.height, size.width), np.uint8)
    for hole in shape.holes:
        cv2.fillPoly(cut, [_pixels(hole)], 1)
    return mask * (1 - torch.from_numpy(cut).float()) if shape.holes else mask


def _pixels(points: tuple[Point, ...]) -> np.ndarray:
    limit = 1 << 20  # OpenCV's own coordinates end at 2^31; far outside is far outside
    return np.array([[round(min(max(v, -limit), limit)) for v in p] for p in points], np.int32)


def motion_of(spec: RegionSpec, mask: Tensor) -> AffineMotion:
    """Computes the affine motion of a region at full progress (DragFlow eq. 2, 18-21)."""
    return motion_at(spec, centroid(mask))


def motion_at(spec: RegionSpec, centre: Point) -> AffineMotion:
    """Computes the motion of a region whose centroid is `centre`."""
    anchor = spec.anchor or centre
    if spec.task == "scale":
        assert spec.scale is not None
        return scaling(spec.scale, anchor)
    if spec.task == "rotation":
        if spec.angle is not None:
            return AffineMotion(angle=math.radians(spec.angle), anchor=anchor)
        assert spec.target is not None
        if math.dist(centre, anchor) < 1:
            raise DragError(
                "a rotation about the region's own centre needs an angle: a target shows a turn only off "
                "the anchor"
            )
        if math.dist(spec.target, anchor) < 1:
            raise DragError(
                "a rotation's target lies on its anchor, where it shows no turn: move it away, or give an "
                "angle"
            )
        return rotation(centre, spec.target, anchor)
    assert spec.target is not None
    return translation(centre, spec.target, spec.path)


def fitted(x: DragInstruction, size: Grid) -> tuple[DragInstruction, tuple[str, ...]]:
    """Turns the instruction into the pixels of a picture of `size`.

    Also returns a note where that changed its numbers.
    """
    given = (x.width or size.width, x.height or size.height)
    note = (
        f"the drag was drawn on {given[0]}x{given[1]} and the picture is {size.width}x{size.height}: it was "
        f"scaled to fit",
    )
    there = rescaled(x, width=size.width, height=size.height)
    return there, () if given == (
        size.width,
        size.height,
    ) else note


def weighted(regions: Sequence[Region], weights: Sequence[float]) -> tuple[Region, ...]:
    """Weights the regions by the user's, each times its γ among these regions (DragFlow eq. 22-24)."""
    if not regions:
        return ()
    gamma = region_weights([r.mask for r in regions])
    return tuple(replace(r, weight=g * w) for r, g, w in zip(regions, gamma, weights, strict=True))


def user_weights(regions: Sequence[Region]) -> tuple[float, ...]:
    """Returns the weights that the user gave: what weighted() multiplied by γ."""
    gamma = region_weights([r.mask for r in regions])
    return tuple(r.weight / g for r, g in zip(regions, gamma, strict=True))


def joined(a: Task, b: Task) -> Task:
    """Joins both drags: all regions and handles, γ over all of them; what either may change may change."""
    if a.image != b.image:
        here, there = (f"{t.image.width}x{t.image.height}" for t in (a, b))
        raise DragError(
            f"the regions are drawn on pictures of two sizes, {here} and {there}: draw them on one picture"
        )
    regions = weighted((*a.regions, *b.regions), (*user_weights(a.regions), *user_weights(b.regions)))
    editable = None if a.editable is None or b.editable is None else torch.maximum(a.editable, b.editable)
    shadows = [x for x in (a.shadow, b.shadow) if x is not None]
    shadow = torch.stack(shadows).amax(0) if shadows else None
    labels = b.labels if a.labels is None else a.labels
    return Task(
        a.image,
        regions,
        (*a.handles, *b.handles),
        editable,
        shadow=shadow,
        automatic=a.automatic and b.automatic,
        labels=labels,
        picture=b.picture if a.picture is None else a.picture,
        prompts=b.prompts if any(b.prompts) else a.prompts,
    )


def build_task(
    instruction: DragInstruction, size: Grid, read_mask: MaskReader | None = None
) -> tuple[Task, tuple[str, ...]]:
    """Builds the task on a picture of `size`, and notes.

    Notes are sentences about what will hardly work or was adapted.
    """
    x, fitting = fitted(instruction, size)
    notes = list(fitting)
    if not x.regions and not x.points:
        raise DragError("the drag instruction moves nothing: add a region with a target, or a pair of points")
    regions: list[Region] = []
    for i, spec in enumerate(x.regions):
        name = spec.label or f"region {i + 1}"
        mask = draw(spec.shape, size, read_mask)
        if mask.sum() == 0:
            raise DragError(
                f"{name} is empty: nothing of it lies inside the {size.width}x{size.height} picture"
            )
        if spec.target is not None and spec.task in (
            "relocation",
            "deformation",
        ):  # a turn's target is a direction only
            _inside(spec.target, size, f"the target of {name}")
            for place in spec.path:
                _inside(place, size, f"a place on the path of {name}")
        region = Region(mask, motion_of(spec, mask), spec.weight or 1.0)
        after = moved(region)
        if after.sum() == 0:
            hint = "larger factors" if spec.task == "scale" else "a nearer target or a smaller turn"
            raise DragError(f"nothing of {name} would be left in the picture: choose {hint}")
        if after.sum() < 0.9 * mask.sum() and spec.task != "scale":
            notes.append(f"{name} is moved partly off the picture: what leaves it is not drawn")
        if (pixels := int(mask.sum())) < FEW:
            notes.append(
                f"{name} has {pixels} px and the model sees cells of 8x8: mark more of what shall move"
            )
        if (travel := _travel(region)) < 2:
            notes.append(f"{name} moves by {travel:.1f} px; under 2 px the result will hardly differ")
        regions.append(region)
    regions = list(weighted(regions, [r.weight for r in regions]))
    handles = []
    for i, p in enumerate(x.points):
        _inside(p.start, size, f"point {i + 1}")
        _inside(p.target, size, f"the target of point {i + 1}")
        if (travel := math.dist(p.start, p.target)) < 2:
            notes.append(f"point {i + 1} moves by {travel:.1f} px; under 2 px the result will hardly differ")
        handles.append(Handle(p.start, p.target))
    if not handles:
        handles = [_handle(r) for r in regions]
    editable, automatic = _editable(x, size, regions, handles, read_mask), x.editable == "adaptive"
    return Task(size, tuple(regions), tuple(handles), editable, automatic=automatic), tuple(notes)


def _editable(
    x: DragInstruction, size: Grid, regions: list[Region], handles: list[Handle], read_mask: MaskReader | None
) -> Tensor | None:
    if x.editable == "none":
        return None
    if x.editable == "painted":
        mask = draw(x.painted, size, read_mask)
        if mask.sum() == 0:
            raise DragError(
                "the editable mask is empty, so that nothing may change: paint it, or set editable.mode to "
                "adaptive"
            )
        return mask
    if regions:
        return grow(adaptive_mask(regions), round(MARGIN * (size.height + size.width) / 2))
    return None if not handles else _around(handles, size)


def _around(handles: list[Handle], size: Grid) -> Tensor:
    """Masks what may change for points alone.

    That is a brush along every way from handle to target, a quarter of the picture's side wide.
    """
    return draw(
        Shape(strokes=tuple(Stroke((h.start, h.target), min(size.height, size.width) / 8) for h in handles)),
        size,
    )


def _handle(region: Region) -> Handle:
    """Picks a point of the region that shows its motion.

    It is the set pixel nearest to the centroid; for turn and scale it lies off the anchor.
    """
    y, x = torch.nonzero(region.mask > 0.5, as_tuple=True)
    cx, cy = centroid(region.mask)
    far = (x - region.motion.anchor[0]) ** 2 + (y - region.motion.anchor[1]) ** 2
    turns = region.motion.shift == (0.0, 0.0)
    middle = far.kthvalue(max(1, round(0.6 * len(far)))).values  # quantile() stops at 2^24 pixels
    best = int(((far - middle).abs() if turns else (x - cx) ** 2 + (y - cy) ** 2).argmin())
    start = (float(x[best]), float(y[best]))
    return Handle(start, apply(motion_matrix(region.motion), start), region.mask)


def _travel(region: Region) -> float:
    """Computes how far the region's furthest pixel goes."""
    points = torch.nonzero(region.mask > 0.5).flip(1).double()
    m = motion_matrix(region.motion)
    return float((points @ m[:2, :2].T + m[:2, 2] - points).norm(dim=-1).max())


def _inside(p: Point, size: Grid, what: str) -> None:
    if not (-0.5 <= p[0] <= size.width - 0.5 and -0.5 <= p[1] <= size.height - 0.5):
        raise DragError(
            f"{what} is ({p[0]:g}, {p[1]:g}), outside the {size.width}x{size.height} picture: put it inside"
        )


def at_size(task: Task, instruction: DragInstruction, size: Grid, read_mask: MaskReader | None) -> Task:
    """Builds `task`, which came of `instruction`, at another size.

    What may change and a shadow that goes along may have been found since: they are resized.
    """
    own, _ = build_task(fitted(instruction, size)[0], size, read_mask)
    editable, shadow = (_resized(x, size) for x in (task.editable, task.shadow))
    return replace(own, editable=editable, shadow=shadow, automatic=task.automatic)


def _resized(mask: Tensor | None, size: Grid) -> Tensor | None:
    if mask is None:
        return None
    return F.interpolate(mask[None, None], (size.height, size.width), mode="nearest")[0, 0]

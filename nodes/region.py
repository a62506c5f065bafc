"""Drag Region: what moves where, from masks, a drag instruction, or both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, get_args

import torch
from comfy_api.latest import io, ui

from ..drag_core.motion.areas import fill_mask, grey_mask
from ..drag_core.motion.instruction import RegionSpec, Shape, parse
from ..drag_core.motion.masks import moved
from ..drag_core.motion.region import drag_task
from ..drag_core.motion.shadow import with_shadow
from ..drag_core.pictures.overlay import overlay
from ..drag_core.ranges import check_mode
from ..drag_core.types import DragError, Grid, Task
from . import sockets
from .convert import host_image, host_mask, masks, picture, said
from .starts import starts_of
from .unfinished import Unfinished, drawn

MayChange = Literal["adaptive", "adaptive with shadow", "everything"]
FAR = 1e6  # px: the core says in a sentence what lies outside the picture


def _pixels(name: str, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=256.0, min=-FAR, max=FAR, step=1.0, round=0.01, tooltip=tooltip)


def _target() -> list[io.Input]:
    where = "coordinate, in pixels from the {} edge, where the middle of the mask goes."
    return [
        _pixels("target_x", "Horizontal " + where.format("left")),
        _pixels("target_y", "Vertical " + where.format("top")),
    ]


def _anchor() -> io.DynamicCombo.Input:
    point = [
        _pixels("x", "Horizontal coordinate of the fixed point, in pixels from the left edge."),
        _pixels("y", "Vertical coordinate of the fixed point, in pixels from the top edge."),
    ]
    return io.DynamicCombo.Input(
        "anchor",
        options=[io.DynamicCombo.Option("centroid", []), io.DynamicCombo.Option("point", point)],
        tooltip="The point that stays where it is: the middle of each mask, or a point of your choice.",
    )


def _tasks() -> list[io.DynamicCombo.Option]:
    angle = io.Float.Input(
        "angle",
        default=30.0,
        min=-3600.0,
        max=3600.0,
        step=1.0,
        round=0.01,
        tooltip="Turn in degrees; positive is clockwise on screen.",
    )
    factors = [
        io.Float.Input(
            f"scale_{axis}",
            default=1.2,
            min=0.01,
            max=100.0,
            step=0.05,
            round=0.001,
            tooltip=f"Factor of the {side}: 1 keeps it, 2 doubles it, 0.5 halves it.",
        )
        for axis, side in (("x", "width"), ("y", "height"))
    ]
    option = io.DynamicCombo.Option
    return [
        option("relocation", _target()),
        option("deformation", _target()),
        option("rotation", [angle, _anchor()]),
        option("scale", [*factors, _anchor()]),
    ]


def motion(task: dict[str, Any] | None, weight: float) -> RegionSpec:
    """Turns the values of the task input, as the host nests them, into a region without a shape."""
    values = task or {}
    kind = values.get("task")
    shape = Shape()
    if kind in ("relocation", "deformation"):
        return RegionSpec(shape, kind, target=(values["target_x"], values["target_y"]), weight=weight)
    if kind not in ("rotation", "scale"):
        raise DragError("the task must be relocation, deformation, rotation or scale: choose one")
    given = values.get("anchor") or {}
    anchor = (given["x"], given["y"]) if given.get("anchor") == "point" else None
    if kind == "rotation":
        return RegionSpec(shape, kind, anchor=anchor, angle=values["angle"], weight=weight)
    return RegionSpec(shape, kind, anchor=anchor, scale=(values["scale_x"], values["scale_y"]), weight=weight)


def unused(task: dict[str, Any] | None, weight: float) -> tuple[str, ...]:
    """Returns a note where the motion was set and there is no mask that it could move.

    What moves has its own motion.
    """
    given = {k: v for k, v in (task or {}).items() if k != "anchor"} | {"weight": weight}
    usual = {"task": "relocation", "target_x": 256.0, "target_y": 256.0, "weight": 1.0}
    if given.get("task") != usual["task"]:
        usual = {"weight": 1.0}
    set_by_hand = ", ".join(f"{k}={v}" for k, v in given.items() if usual.get(k) != v)
    if not set_by_hand:
        return ()
    return (
        f"{set_by_hand}: not used, as no mask is connected (regions of the instruction have their own "
        "motion); connect a mask, or change it there",
    )


class RegionMaskAffine(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragRegionMaskAffine",
            display_name="Drag Region (Mask + Affine)",
            category=sockets.PARTS,
            description="Says what shall move where: every mask is a region with one motion. Chain several "
            "of these nodes for several motions.",
            inputs=[
                io.Image.Input("image", tooltip="The picture to drag in. One picture, RGB."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="The part that moves, painted on this picture. Several masks in a batch are "
                    "several regions with the same motion.",
                ),
                io.DynamicCombo.Input(
                    "task",
                    options=_tasks(),
                    tooltip="relocation: move the part elsewhere. deformation: pull a part of a thing to a "
                    "place (the same motion). rotation: turn it. scale: stretch or shrink it.",
                ),
                io.Float.Input(
                    "weight",
                    default=1.0,
                    min=0.01,
                    max=100.0,
                    step=0.1,
                    round=0.001,
                    tooltip="How much this region counts beside others; 2 counts twice.",
                ),
                io.Combo.Input(
                    "editable",
                    options=list(get_args(MayChange)),
                    default="adaptive",
                    tooltip="What may change. adaptive: a box around the part and the place it goes to (or "
                    "what the drag instruction says). with shadow: also the part's shadow, where one is "
                    "found; it does not stay behind. everything: the whole picture.",
                ),
                io.Mask.Input(
                    "editable_mask",
                    optional=True,
                    tooltip="Painted by hand: only this may change. It replaces the choice under editable.",
                ),
                io.String.Input(
                    "instruction",
                    multiline=True,
                    default="",
                    dynamic_prompts=False,
                    tooltip="A drag instruction as JSON (version 1), for example from the drag editor. Its "
                    "regions and points are added to the mask's. May be used without a mask.",
                ),
                sockets.Regions.Input(
                    "regions",
                    optional=True,
                    tooltip="The regions of another such node: kept, with this node's added to them. What "
                    "either node lets change may change.",
                ),
            ],
            outputs=[
                sockets.Regions.Output("regions", tooltip="What moves where, for the drag."),
                io.Mask.Output("source", tooltip="Where the regions are."),
                io.Mask.Output("target", tooltip="Where they go."),
                io.Mask.Output("editable", tooltip="What may change; all of it for everything."),
                io.Image.Output("preview", tooltip="The regions in blue, where they go in green, arrows."),
                io.Image.Output(
                    "warped",
                    tooltip="The draft: the regions cut out, moved and pasted, what they leave painted over, "
                    "a known shadow put at the target. Several points on a region bend it; points alone "
                    "carry what may change.",
                ),
                io.Image.Output("filled", tooltip="The picture with the regions painted over."),
                io.Mask.Output(
                    "strength",
                    tooltip="Grey: how freely a sampler draws each part of the warped picture, for Set "
                    "Latent Noise Mask and Differential Diffusion.",
                ),
                io.Mask.Output(
                    "fill_mask", tooltip="What the regions leave, with a rim: for an inpainting model."
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        task: dict[str, Any] | None = None,
        weight: float = 1.0,
        editable: MayChange = "adaptive",
        instruction: str = "",
        mask: torch.Tensor | None = None,
        editable_mask: torch.Tensor | None = None,
        regions: Task | Unfinished | None = None,
    ) -> io.NodeOutput:
        check_mode("editable", editable, MayChange)
        # ordinary tensors go into the regions: those of inference mode can't take part in a gradient
        with torch.inference_mode(False):
            pixels = picture(image).clamp(0, 1)[0]
            size = Grid(pixels.shape[-2], pixels.shape[-1])
            parts = [] if mask is None else masks(mask, size)
            painted = None if editable_mask is None else torch.stack(masks(editable_mask, size)).amax(0)
            document = parse(instruction) if instruction.strip() else None
            drag, notes = drag_task(
                size,
                parts,
                motion(task, weight) if parts else None,
                document,
                everything=editable == "everything",
                painted=painted,
                before=None if regions is None else drawn(regions),
            )
            notes = notes if parts else (*notes, *unused(task, weight))
            if editable == "adaptive with shadow":
                by_hand = painted is not None or (document is not None and document.editable == "painted")
                drag, found = with_shadow(drag, pixels, widen=not by_hand)
                notes = (*notes, *found)
            empty = torch.zeros(size.height, size.width)
            source = torch.stack([empty, *(r.mask for r in drag.regions)]).amax(0)
            target = torch.stack([empty, *(moved(r) for r in drag.regions)]).amax(0)
            may = torch.ones_like(empty) if drag.editable is None else drag.editable
            preview = host_image(overlay(pixels, drag))
            made = starts_of(pixels, drag)
            notes = (*notes, *made.notes)
        return io.NodeOutput(
            replace(drag, picture=image.movedim(-1, 1)),
            host_mask(source),
            host_mask(target),
            host_mask(may),
            preview,
            host_image(made.warped),
            host_image(made.filled),
            host_mask(grey_mask(drag)),
            host_mask(fill_mask(drag)),
            ui={**ui.PreviewImage(preview, cls=cls).as_dict(), "text": (said(notes),)},
        )

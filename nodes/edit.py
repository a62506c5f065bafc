"""DragEdit: the whole drag in one node, on a picture of any size."""

from __future__ import annotations

import json
from functools import partial
from typing import get_args

from comfy_api.latest import io, ui
from torch import Tensor

from ..drag_core.recipes import METHODS
from ..drag_core.recipes.choice import AUTO, FINISH, RECIPES
from ..drag_core.types import DragError, Task
from . import sockets
from .convert import joined, picture, said
from .host.edit import EditChoices, Edited, Effort, edit
from .host.prompts import check_prompt, prompts_for
from .methods import described
from .unfinished import Unfinished, drawn

START = EditChoices()


class DragEdit(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragEdit",
            display_name="Drag Edit",
            category=sockets.CATEGORY,
            description="The whole drag in one node: what is marked in the drag editor moves, and the model "
            "draws what it leaves. A picture of any size; what may not change keeps its exact pixels.",
            search_aliases=[
                *("drag", "drag editing", "move object", "relocate", "reposition", "liquify", "warp"),
                *("puppet", "inpaint", "rotate object", "resize object", *METHODS),
            ],
            inputs=[
                sockets.Regions.Input(
                    "regions", tooltip="From Drag Editor: what moves where, and the picture with it."
                ),
                io.Model.Input("model", tooltip="Any image model, also with LoRAs, or an embedded one."),
                io.Vae.Input("vae", tooltip="The VAE that belongs to the model."),
                io.Combo.Input(
                    "recipe",
                    options=[AUTO, FINISH, *RECIPES],
                    default=AUTO,
                    tooltip=f"auto: regions move in pixels and the model draws what they leave ({FINISH}); "
                    f"points go by a paper's method that fits the model. Or a paper's: {described()}. The "
                    "report says what was taken, and why.",
                ),
                io.Combo.Input(
                    "effort",
                    options=list(get_args(Effort)),
                    default=START.effort,
                    tooltip="fast: no gradients, a few model calls, any model; of a paper's recipe, fewer "
                    "updates. normal: as the recipe says. best: auto takes a paper's method for regions too, "
                    "for minutes in place of seconds.",
                ),
                io.Int.Input(
                    "seed",
                    default=START.seed,
                    min=0,
                    max=2**64 - 1,
                    control_after_generate=True,
                    tooltip="Another seed draws what the thing leaves anew; the thing itself stays.",
                ),
                io.Int.Input(
                    "count",
                    default=START.count,
                    min=1,
                    max=8,
                    tooltip="So many pictures to choose from, with seeds from this one on. What can be "
                    "shared is computed once.",
                ),
                io.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="Encodes the drag editor's prompts, empty ones too; embedded models need none.",
                ),
                io.Conditioning.Input(
                    "positive",
                    optional=True,
                    tooltip="What the picture shows, in place of clip and the drag editor's prompts.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The picture that the regions were drawn on, where they come without one.",
                ),
                io.Image.Input(
                    "draft",
                    optional=True,
                    tooltip="A draft of the result at the picture's size, from any tool: it stands where it "
                    "differs from the picture, and the model draws what the regions leave.",
                ),
                io.Int.Input(
                    "side",
                    default=START.side,
                    min=0,
                    max=8192,
                    step=8,
                    optional=True,
                    advanced=True,
                    tooltip="The model's working size in pixels: the crop around the drag has about as many "
                    "pixels as a square of this side. 0: what the model was trained on.",
                ),
                io.Mask.Input(
                    "redraw",
                    optional=True,
                    tooltip="What the model draws anew, in place of what the regions leave.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image", tooltip="The edits, of the picture's own size; so many as count."
                ),
                io.Latent.Output(display_name="latent", tooltip="The first one's crop as the model drew it."),
                sockets.Regions.Output(display_name="crop_regions", tooltip="The drag on that crop."),
                io.String.Output(
                    display_name="report", tooltip="JSON: recipe and why, crop, model calls, seconds."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        regions: Task | Unfinished,
        model: io.Model.Type,
        vae: io.Vae.Type,
        recipe: str = START.recipe,
        effort: Effort = START.effort,
        seed: int = START.seed,
        count: int = START.count,
        clip: io.Clip.Type | None = None,
        positive: io.Conditioning.Type | None = None,
        image: Tensor | None = None,
        draft: Tensor | None = None,
        side: int = START.side,
        redraw: Tensor | None = None,
    ) -> io.NodeOutput:
        task, wish = drawn(regions), EditChoices(recipe, effort, seed, count, side)
        pixels = _picture(task, image)
        own = None if draft is None else picture(draft).clamp(0, 1)
        anew = None if redraw is None else joined(redraw, task.image)
        check_prompt(model, clip, positive)
        prompts = partial(prompts_for, model, clip, positive, task.prompts)
        done = edit(model, prompts, vae, pixels, task, wish, own, anew)
        notes = done.report["notes"]
        return io.NodeOutput(
            done.pictures,
            {"samples": done.samples},
            done.task,
            json.dumps(done.report, indent=1),
            # the editor shows notes: not the first, which only says what was cut
            ui=ui.PreviewText(said((_line(done), *notes))).as_dict()
            | {"drag_notes": notes[1:], "drag_report": [json.dumps(done.report)]},
        )


def _picture(task: Task, image: Tensor | None) -> Tensor:
    """Finds the picture (1, C, H, W) to edit, C 3 or 4: the one connected, else the one in the regions."""
    if image is None and task.picture is None:
        raise DragError("the regions come without their picture: connect image, the one they were drawn on")
    given = task.picture if image is None else image.movedim(-1, 1)
    assert given is not None
    colours = picture(given.movedim(1, -1))  # refuses batches, and what is not RGB
    pixels = colours if given.shape[1] == 3 else given[:, :4].float().cpu()
    height, width = pixels.shape[-2:]
    if (task.image.height, task.image.width) != (height, width):
        raise DragError(
            f"the regions are drawn on {task.image.width}x{task.image.height} and the picture is "
            f"{width}x{height}: connect the picture that they were drawn on"
        )
    return pixels


def _line(done: Edited) -> str:
    """Says in a sentence what was done."""
    r, count = done.report, len(done.pictures)
    made = "" if count == 1 else f"{count} pictures, "
    return f"{r['recipe']}: {made}{r['model_calls']} model calls, {r['seconds']:.1f} s"

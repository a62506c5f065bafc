"""A whole edit with the user's MODEL: cropped, dragged, and put back into the picture's own pixels."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import comfy.utils
import torch
from PIL import Image
from torch import Tensor

from ...drag_core.autocast import uncast
from ...drag_core.pictures.crop import Crop, cut, notes_of, task_in
from ...drag_core.pictures.draft import draft_of
from ...drag_core.pictures.files import to_bytes
from ...drag_core.pictures.paste import paste_back
from ...drag_core.preparing import regions_for
from ...drag_core.ranges import check_mode
from ...drag_core.recipes import METHODS
from ...drag_core.recipes.choice import AUTO, FINISH, because, edit_recipe
from ...drag_core.trajectory.finish import STEPS
from ...drag_core.types import DragError, Task
from .candidates import levels_of, with_fresh_hole
from .early import refused_early
from .family import family_in
from .finish import FinishChoices, finish_picture
from .inversion import invert_latent
from .optimise import drag_latent
from .own_start import start_of
from .pixels import check_vae, decoded, encoded
from .progress import Share, sharing
from .shape import cell_of, latent_out
from .sizes import crop_for, side_of
from .wish import DragChoices

Effort = Literal["fast", "normal", "best"]
UPDATE = 3  # model calls that an update counts for in the bar: a pass forward and one back
PREVIEW = 768  # px, the longest side of a preview
NO_HOLE = (
    "points alone leave no hole that another seed would fill, so that all {} pictures would be the same: set "
    "count to 1, or mark a region"
)
NOT_FASTER = "effort fast shortens drags of regions: this one of points ran as its recipe says"


@dataclass(frozen=True)
class EditChoices:
    """What the user set on DragEdit."""

    recipe: str = AUTO
    effort: Effort = "normal"
    seed: int = 0
    count: int = 1
    side: int = 0

    def __post_init__(self) -> None:
        check_mode("effort", self.effort, Effort)
        if not 1 <= self.count <= 64:
            raise DragError(f"count is {self.count}; it must be from 1 to 64 pictures")


@dataclass(frozen=True)
class Edited:
    """Edits of one picture.

    pictures: (N, C, H, W) in [0, 1], of the picture's own size.
    samples: a LATENT's, of what the model saw; task: the drag there.
    report: for people and scripts.
    """

    pictures: Tensor
    samples: Tensor
    task: Task
    report: dict[str, Any]


def edit(
    patcher: Any,
    prompts: tuple[Any, Any],
    vae: Any,
    picture: Tensor,
    task: Task,
    wish: EditChoices,
    draft: Tensor | None = None,
) -> Edited:
    """Edits a picture (1, C, H, W) in [0, 1], C 3 or 4, of any size, as `task` says.

    prompts: the CONDITIONING of what it shows before and after.
    draft: (1, 3, H, W), a draft of the result; without it the regions are moved in pixels.
    An alpha channel goes with the thing. All that needs no model call is refused first.
    """
    began = time.perf_counter()
    name, why = chosen(patcher, task, wish, draft is not None)
    check_vae(patcher, vae)
    with torch.inference_mode(False):  # the updates need gradients through what is made of the task
        crop = crop_for(patcher, task, wish.side or side_of(patcher))
        assert crop is not None  # a side is set
        seen = replace(task_in(task, crop), cell=cell_of(patcher.model))
    job = Job(patcher, prompts, vae, picture[:, :3], task, seen, crop, _placing(picture[0, :3], crop))
    made = _finished(job, wish, draft) if name == FINISH else _dragged(job, wish, name)
    pictures, reports = made.pictures, made.reports
    if picture.shape[1] == 4:
        pictures = torch.cat([pictures, _alpha(picture, task, crop).expand(len(pictures), -1, -1, -1)], 1)
    report = {
        "recipe": name,
        "recipe_asked": wish.recipe,
        "recipe_why": why,
        "effort": wish.effort,
        "seeds": [wish.seed + k for k in range(wish.count)],
        "crop": [crop.x, crop.y, crop.width, crop.height],
        "model_size": [crop.size.width, crop.size.height],
        "model_calls": made.calls,
        "seconds": round(time.perf_counter() - began, 3),
        "notes": list(dict.fromkeys((*notes_of(crop), *(n for r in reports for n in r["notes"])))),
        "candidates": reports,
    }
    return Edited(pictures, made.samples, seen, report)


def chosen(patcher: Any, task: Task, wish: EditChoices, drafted: bool) -> tuple[str, str | None]:
    """Names the recipe of an edit, and says why where it was left to us; refuses what does not fit.

    drafted: a draft is given, which one recipe alone takes.
    """
    regions, name, why = bool(task.regions), wish.recipe, None
    if name == AUTO:
        if drafted or wish.effort == "fast":
            name = FINISH
            why = f"recipe auto took {FINISH}: " + ("a draft is given" if drafted else "effort is fast")
        elif regions and wish.effort == "normal":  # which any model can, also one of no family that we know
            name, why = FINISH, because(FINISH, None, regions)
        else:
            family = family_in(patcher).name
            name = edit_recipe(family, regions, published=wish.effort == "best")
            why = because(name, family, regions)
    if name == FINISH:
        return name, why
    if drafted:
        raise DragError(
            f"recipe {name} makes a draft of its own, and one is connected: set recipe to {FINISH}, or "
            "disconnect draft"
        )
    if not regions and wish.count > 1:
        raise DragError(NO_HOLE.format(wish.count))
    if regions or name not in METHODS or METHODS[name].moves == "points":
        refused_early(patcher, task, name, "ours")  # else what lies under the points will be regions
    return name, why


@dataclass(frozen=True)
class Job:
    """What is edited with what: the whole picture (1, 3, H, W), and the crop that the model sees.

    seen: the drag in the crop's pixels.
    place: puts a preview of the crop into a small copy of the picture.
    """

    patcher: Any
    prompts: tuple[Any, Any]
    vae: Any
    picture: Tensor
    task: Task
    seen: Task
    crop: Crop
    place: Callable[[Any], Any]


@dataclass(frozen=True)
class Made:
    """Candidates: pictures (N, 3, H, W), the first one's LATENT samples, a report of each, model calls."""

    pictures: Tensor
    samples: Tensor
    reports: list[dict[str, Any]]
    calls: int


def _finished(job: Job, wish: EditChoices, draft: Tensor | None) -> Made:
    """Makes the candidates by Drag Finish's way, each from noise of its own."""
    each = FinishChoices(seed=wish.seed)
    alone = draft is None and not job.task.regions and wish.count > 1
    if alone and not bool(draft_of(job.picture[0], job.task).hole.any()):
        raise DragError(NO_HOLE.format(wish.count))
    out = []
    for k in range(wish.count):
        with sharing(Share(k * each.steps, each.steps, wish.count * each.steps, job.place)):
            own = replace(each, seed=wish.seed + k)
            out.append(
                finish_picture(
                    job.patcher, job.prompts[1], job.vae, job.picture, job.task, own, draft, None, job.crop
                )
            )
    reports = [x.report for x in out]
    calls = sum(r["model_calls"] for r in reports)
    return Made(torch.cat([x.picture for x in out]), out[0].samples, reports, calls)


def _dragged(job: Job, wish: EditChoices, name: str) -> Made:
    """Makes the candidates by a recipe of updates; picture and draft are inverted once for all of them."""
    patcher, vae, crop = job.patcher, job.vae, job.crop
    family, small = family_in(patcher), cut(job.picture, crop)
    with torch.inference_mode(False):
        seen = regions_for(job.seen, name, small.clone())
    refused_early(patcher, seen, name, "ours")
    steps, strength = levels_of(family, name)
    levels = max(1, round(steps * strength))
    drag = levels + UPDATE * STEPS * levels  # about: the recipe knows better once it is made
    total = 2.0 * levels + STEPS + wish.count * drag
    ways = DragChoices(
        name,
        seed=wish.seed,
        effort="fast" if wish.effort == "fast" and seen.regions else "recipe",
        kv_of="draft" if name in METHODS and METHODS[name].draft_kv else "auto",
    )
    with uncast(patcher.load_device):
        samples = encoded(vae, small[0])
    with sharing(Share(0, levels, total, job.place)):
        source = invert_latent(patcher, job.prompts[0], samples, steps=steps, strength=strength)
    with sharing(Share(levels, levels + STEPS, total, job.place)):
        start = start_of(patcher, source, seen, ways, vae=vae)
    notes = [*start.notes, *((NOT_FASTER,) if wish.effort == "fast" and not seen.regions else ())]
    pictures, latents, reports = [], [], []
    for k in range(wish.count):
        own = with_fresh_hole(start, seen, wish.seed + k)
        with sharing(Share(2 * levels + STEPS + k * drag, drag, total, job.place)):
            done = drag_latent(
                patcher, job.prompts[1], source, seen, ways, None, own.refill, own.warped, own.draft
            )
        latents.append(latent_out(patcher.model, done.result.z.float().cpu()))
        with uncast(patcher.load_device):
            shown = decoded(vae, latents[-1])[None]
        pictures.append(paste_back(job.picture, shown, job.task.editable, crop))
        reports.append({**done.report, **start.report(), "notes": notes, "seed": wish.seed + k})
    comfy.utils.ProgressBar(round(total)).update_absolute(round(total))
    inverted = 0 if reports[0]["inversion"]["reused"] else source.calls
    calls = inverted + start.calls + sum(r["model_calls"] for r in reports)
    return Made(torch.cat(pictures), latents[0], reports, calls)


def _alpha(picture: Tensor, task: Task, crop: Crop) -> Tensor:
    """Moves the alpha channel as the thing moves, (1, 1, H, W)."""
    window = crop.unscaled
    alpha = cut(picture[:, 3:], window)[0].expand(3, -1, -1)
    moved = draft_of(alpha, task_in(task, window)).picture[None, :1]
    return paste_back(picture[:, 3:], moved, task.editable, window, seam=0.0)


def _placing(picture: Tensor, crop: Crop) -> Callable[[Any], Any]:
    """Makes what puts a preview of the crop into a small copy of the picture (3, H, W)."""
    height, width = picture.shape[-2:]
    k = min(1.0, PREVIEW / max(height, width))
    size = max(1, round(k * width)), max(1, round(k * height))
    base = Image.fromarray(to_bytes(picture).movedim(0, -1).numpy()).resize(size)
    box = max(1, round(k * crop.width)), max(1, round(k * crop.height))
    corner = round(k * crop.x), round(k * crop.y)

    def place(shown: Any) -> Any:
        out = base.copy()
        out.paste(shown.resize(box), corner)
        return out

    return place

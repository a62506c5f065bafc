"""A whole edit with the user's MODEL: cropped, dragged, and put back into the picture's own pixels."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import comfy.utils
import torch
from torch import Tensor

from ...drag_core.autocast import uncast
from ...drag_core.motion.areas import hole
from ...drag_core.pictures.crop import Crop, cut, notes_of, task_in
from ...drag_core.pictures.draft import draft_from, draft_of
from ...drag_core.pictures.paste import paste_back
from ...drag_core.preparing import regions_for
from ...drag_core.ranges import check_mode
from ...drag_core.recipes import METHODS
from ...drag_core.recipes.choice import AUTO, COPY_PASTE, FINISH, because, check_name, edit_recipe
from ...drag_core.trajectory.finish import STEPS
from ...drag_core.types import DragError, Task
from .candidates import levels_of, with_fresh_hole
from .early import refused_early
from .family import family_in
from .finish import encoded_draft, finished, prepared
from .finish_choices import FinishChoices
from .inversion import invert_latent
from .optimise import drag_latent
from .own_start import start_of
from .pixels import check_cells, check_vae, decoded, encoded
from .progress import Share, placing, sharing
from .shape import cell_of, latent_out
from .sizes import crop_for, side_of
from .wish import DragChoices

Effort = Literal["fast", "normal", "best"]
Prompts = Callable[[], tuple[Any, Any]]
UPDATE = 3  # model calls that an update counts for in the bar: a pass forward and one back
SEEDS = 2**64
NO_HOLE = (
    "nothing is left that another seed would fill (points alone, or a thing that covers what it leaves), so "
    "that all {} pictures would be the same: set count to 1"
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
        check_name(self.recipe)
        check_mode("effort", self.effort, Effort)
        if not 1 <= self.count <= 64:
            raise DragError(f"count is {self.count}; it must be from 1 to 64 pictures")

    @property
    def seeds(self) -> list[int]:
        return [(self.seed + k) % SEEDS for k in range(self.count)]


@dataclass(frozen=True)
class Edited:
    """Edits of one picture.

    pictures: (N, H, W, C) in [0, 1], of the picture's own size: an IMAGE.
    samples: a LATENT's, of what the model saw; task: the drag there, with its picture.
    report: for people and scripts.
    """

    pictures: Tensor
    samples: Tensor
    task: Task
    report: dict[str, Any]


def edit(
    patcher: Any,
    prompts: Prompts,
    vae: Any,
    picture: Tensor,
    task: Task,
    wish: EditChoices,
    draft: Tensor | None = None,
    redraw: Tensor | None = None,
) -> Edited:
    """Edits a picture (1, C, H, W), C 3 or 4, of any size, as `task` says.

    prompts: makes the CONDITIONING of what it shows before and after; asked once all else is right.
    draft: (1, 3, H, W) in [0, 1], a draft of the result; without it the regions are moved in pixels.
    redraw: (H, W) in {0, 1}, what the model draws of a draft in place of what the regions leave.
    Alpha goes with regions. All that needs no model call is refused first.
    """
    began, given = time.perf_counter(), draft is not None or redraw is not None
    name, why = chosen(patcher, task, wish, given)
    check_vae(patcher, vae)
    with torch.inference_mode(False):  # the updates need gradients through what is made of the task
        crop = crop_for(patcher, task, wish.side or side_of(patcher))
        assert crop is not None  # a side is set
        seen = replace(task_in(task, crop), cell=cell_of(patcher.model))
    colours = picture[:, :3].clamp(0, 1)
    job = Job(patcher, prompts, vae, colours, task, seen, crop, placing(colours[0], crop))
    made = _finished(job, wish, draft, redraw) if name == FINISH else _dragged(job, wish, name)
    whole = _whole(picture, made.pictures, task, _alpha(picture, task, crop, draft is None))
    report = {
        "recipe": name,
        "recipe_asked": wish.recipe,
        "recipe_why": why,
        "effort": wish.effort,
        "seeds": wish.seeds,
        "crop": [crop.x, crop.y, crop.width, crop.height],
        "model_size": [crop.size.width, crop.size.height],
        "model_calls": made.calls,
        "seconds": round(time.perf_counter() - began, 3),
        "notes": list(dict.fromkeys((*notes_of(crop), *(n for r in made.reports for n in r["notes"])))),
        "candidates": made.reports,
    }
    return Edited(whole, made.samples, replace(seen, picture=cut(colours, crop)), report)


def chosen(patcher: Any, task: Task, wish: EditChoices, given: bool) -> tuple[str, str | None]:
    """Names the recipe of an edit, and says why where it was left to us; refuses what does not fit.

    given: a draft is, or what is drawn of one, which one recipe alone takes.
    """
    regions, name, why = bool(task.regions), wish.recipe, None
    if name == AUTO:
        name, why = _automatic(patcher, regions, wish.effort, given)
    if name == FINISH:
        return name, why
    if given:
        raise DragError(
            f"recipe {name} makes a draft of its own, and draft or redraw is connected: set recipe to "
            f"{FINISH}, or disconnect it"
        )
    if regions or (name in METHODS and METHODS[name].moves == "points"):
        refused_early(patcher, task, name, "ours")  # else what lies under the points will be regions
    return name, why


def _automatic(patcher: Any, regions: bool, effort: Effort, given: bool) -> tuple[str, str]:
    """Chooses the recipe where it was left to us, and says why."""
    if given or effort == "fast":
        return FINISH, f"recipe auto took {FINISH}: " + ("a draft is given" if given else "effort is fast")
    if regions and effort == "normal":  # which any model can, also one of no family that we know
        return FINISH, because(FINISH, None, regions)
    try:
        family = family_in(patcher).name
    except DragError as error:
        if effort == "best":
            raise
        return FINISH, f"recipe auto took {FINISH}, which carries points by pixels: {error}"
    name = edit_recipe(family, regions, published=effort == "best")
    return name, because(name, family, regions)


@dataclass(frozen=True)
class Job:
    """What is edited with what: the whole picture (1, 3, H, W), and the crop that the model sees.

    seen: the drag in the crop's pixels.
    place: puts a preview of the crop into a small copy of the picture.
    """

    patcher: Any
    prompts: Prompts
    vae: Any
    picture: Tensor
    task: Task
    seen: Task
    crop: Crop
    place: Callable[[Any], Any]


@dataclass(frozen=True)
class Made:
    """Candidates: pictures (1, 3, H, W), the first one's LATENT samples, a report of each, model calls."""

    pictures: list[Tensor]
    samples: Tensor
    reports: list[dict[str, Any]]
    calls: int


def _finished(job: Job, wish: EditChoices, draft: Tensor | None, redraw: Tensor | None) -> Made:
    """Makes the candidates by Drag Finish's way, each from noise of its own."""
    each = FinishChoices()
    if draft is not None and redraw is None and not job.task.regions:
        redraw = draft_from(draft[0], job.picture[0], job.task).hole
    ready = prepared(job.patcher, job.vae, job.picture, job.task, each, draft, redraw, job.crop)
    if wish.count > 1 and not ready.cells.any():
        raise DragError(NO_HOLE.format(wish.count))
    positive, samples = job.prompts()[1], encoded_draft(job.patcher, job.vae, ready)
    pictures, latents, reports = [], [], []
    for k, seed in enumerate(wish.seeds):
        began, own = time.perf_counter(), replace(each, seed=seed)
        with sharing(Share(k * each.steps, each.steps, wish.count * each.steps, job.place)):
            done = finished(job.patcher, positive, job.vae, ready, samples, own, began)
        pictures.append(done.picture)
        latents.append(done.samples)
        reports.append(done.report)
    return Made(pictures, latents[0], reports, sum(r["model_calls"] for r in reports))


def _dragged(job: Job, wish: EditChoices, name: str) -> Made:
    """Makes the candidates by a recipe of updates; picture and draft are inverted once for all of them."""
    patcher, vae, crop = job.patcher, job.vae, job.crop
    family, small = family_in(patcher), cut(job.picture, crop)
    with torch.inference_mode(False):
        seen = regions_for(job.seen, name, small.clone())
    refused_early(patcher, seen, name, "ours")
    if wish.count > 1 and name != COPY_PASTE and not (seen.regions and hole(seen).any()):
        raise DragError(NO_HOLE.format(wish.count))
    steps, strength = levels_of(family, name)
    levels = max(1, round(steps * strength))
    drag = levels + UPDATE * STEPS * levels  # about: the recipe knows better once it is made
    total = 2.0 * levels + STEPS + wish.count * drag
    fast = wish.effort == "fast" and bool(seen.regions)
    keys: Any = "draft" if name in METHODS and METHODS[name].draft_kv else "auto"
    ways = DragChoices(name, effort="fast" if fast else "recipe", kv_of=keys)
    with uncast(patcher.load_device):
        samples = encoded(vae, small[0])
    check_cells(samples, seen.latent)
    before, after = job.prompts()
    with sharing(Share(0, levels, total, job.place)):
        source = invert_latent(patcher, before, samples, steps=steps, strength=strength)
    with sharing(Share(levels, levels + STEPS, total, job.place)):
        start = start_of(patcher, source, seen, ways, vae=vae)
    notes = [*start.notes, *((NOT_FASTER,) if wish.effort == "fast" and not fast else ())]
    pictures, latents, reports = [], [], []
    for k, seed in enumerate(wish.seeds):
        own, way = with_fresh_hole(start, seen, seed), replace(ways, seed=seed)
        with sharing(Share(2 * levels + STEPS + k * drag, drag, total, job.place)):
            done = drag_latent(patcher, after, source, seen, way, None, own.refill, own.warped, own.draft)
        latents.append(latent_out(patcher.model, done.result.z.float().cpu()))
        with uncast(patcher.load_device):
            shown = decoded(vae, latents[-1])[None]
        pictures.append(paste_back(job.picture, shown, job.task.editable, crop))
        reports.append({**done.report, **start.report(), "notes": notes, "seed": seed})
    comfy.utils.ProgressBar(round(total)).update_absolute(round(total))
    inverted = 0 if reports[0]["inversion"]["reused"] else source.calls
    calls = inverted + start.calls + sum(r["model_calls"] for r in reports)
    return Made(pictures, latents[0], reports, calls)


def _whole(picture: Tensor, made: list[Tensor], task: Task, alpha: Tensor | None) -> Tensor:
    """Lays the candidates out as an IMAGE, and frees them; what may not change is the input's, unclamped."""
    count, (height, width) = len(made), picture.shape[-2:]
    out = torch.empty(count, height, width, picture.shape[1])
    for k in range(count):
        out[k, ..., :3] = made.pop(0)[0].movedim(0, -1)
    if alpha is not None:
        out[..., 3] = alpha
    if task.editable is not None:
        kept = task.editable < 0.5
        out[:, kept] = picture[0].movedim(0, -1)[kept]
    return out


def _alpha(picture: Tensor, task: Task, crop: Crop, moves: bool) -> Tensor | None:
    """Moves an alpha channel with the regions, (H, W); as it was for points alone, or if not `moves`."""
    if picture.shape[1] < 4:
        return None
    if not moves or not task.regions:
        return picture[0, 3]
    window = crop.unscaled
    alpha = cut(picture[:, 3:].clamp(0, 1), window)[0].expand(3, -1, -1)
    moved = draft_of(alpha, task_in(task, window)).picture[None, :1]
    return paste_back(picture[:, 3:], moved, task.editable, window, seam=0.0)[0, 0]

"""A drag without gradients: the draft, and what the model draws anew in it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...drag_core.autocast import uncast
from ...drag_core.motion.areas import hole_cells, marked, strength_map
from ...drag_core.pictures.crop import Crop, cut, mask_in, notes_of, task_in
from ...drag_core.pictures.draft import Draft, draft_from, draft_of
from ...drag_core.pictures.paste import paste_back, pieced, resized, soft
from ...drag_core.trajectory.finish import finish, noise_like
from ...drag_core.trajectory.noised import noised
from ...drag_core.types import Backbone, DragError, Grid, Schedule, Task
from .family import family_in
from .finish_choices import FinishChoices
from .pixels import check_cells, check_vae, decoded, encoded
from .plain import Plain, run_plain
from .progress import listener
from .schedule import finishing, host_sigmas, noise_scale, sampling_of
from .session import HostBackbone, SessionNeeds, run
from .shape import cell_of, latent_out

NOTHING = "nothing is drawn anew: what is moved covers what it leaves, so that the draft stays as it is"


@dataclass(frozen=True)
class Finished:
    """A finished edit.

    picture: (1, 3, H, W) in [0, 1].
    samples: a LATENT's, of what the model saw.
    redrawn: (H, W) in [0, 1], how much of each pixel is the model's.
    report: for people and scripts.
    """

    picture: Tensor
    samples: Tensor
    redrawn: Tensor
    report: dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """A draft, and what of it the model will draw; nothing of it depends on the seed.

    crop: what the model sees; part: the drag there, in the picture's own pixels.
    own, sketch: picture and draft there.
    strength: (1, 1, h, w), how freely each cell is drawn.
    made: the draft was made here. masked: what is drawn was painted.
    """

    picture: Tensor
    task: Task
    crop: Crop
    part: Task
    own: Tensor
    sketch: Draft
    strength: Tensor
    made: bool
    masked: bool
    cropped: bool

    @property
    def cells(self) -> Tensor:
        return (self.strength > 0).float()

    @property
    def small(self) -> Tensor:
        """The draft (3, h, w) at the size that the model sees."""
        return cut(self.sketch.picture[None], _within(self.crop))[0]


def finish_picture(
    patcher: Any,
    positive: Any,
    vae: Any,
    picture: Tensor,
    task: Task,
    wish: FinishChoices,
    draft: Tensor | None = None,
    redraw: Tensor | None = None,
    crop: Crop | None = None,
) -> Finished:
    """Draws a draft of the drag to its end where `redraw` says, or in the hole that the regions leave.

    picture, draft: (1, 3, H, W) in [0, 1]; None: the picture with the regions moved in pixels.
    redraw: (H, W) in {0, 1}.
    crop: the model sees this part of the picture at this size; the draft is made of the picture's own pixels.
    All that needs no model call is refused first.
    """
    began = time.perf_counter()
    ready = prepared(patcher, vae, picture, task, wish, draft, redraw, crop)
    return finished(patcher, positive, vae, ready, encoded_draft(patcher, vae, ready), wish, began)


def prepared(
    patcher: Any,
    vae: Any,
    picture: Tensor,
    task: Task,
    wish: FinishChoices,
    draft: Tensor | None = None,
    redraw: Tensor | None = None,
    crop: Crop | None = None,
) -> Prepared:
    """Makes the draft and says what is drawn: finish_picture()'s arguments. Refuses what can't be drawn."""
    finishing(sampling_of(patcher), wish.strength, wish.steps)
    check_vae(patcher, vae)
    task = replace(task, cell=cell_of(patcher.model))
    _check_sizes(picture, task, draft, crop)
    whole = crop or Crop(0, 0, task.image.width, task.image.height, task.image, task.image)
    here, inner = whole.unscaled, _within(whole)
    part, seen = task_in(task, here), replace(task_in(task, whole), cell=task.cell)
    own, anew = cut(picture, here), None if redraw is None else mask_in(redraw, whole)
    if draft is None:
        sketch = draft_of(own[0], part)
        there = None if sketch.there is None else mask_in(sketch.there, inner)
        strength = _strengths(seen, wish, anew, hole_cells(mask_in(sketch.hole, inner), there, seen))
    else:
        strength = _strengths(seen, wish, anew, None)
        given = _given(draft, picture, task, redraw)
        sketch = replace(given, picture=cut(given.picture[None], here)[0])
    made, masked = draft is None, redraw is not None
    return Prepared(picture, task, whole, part, own, sketch, strength, made, masked, crop is not None)


def encoded_draft(patcher: Any, vae: Any, ready: Prepared) -> Tensor:
    """Encodes the draft into LATENT samples; refuses a VAE whose cells are not the model's."""
    with uncast(patcher.load_device):
        samples = encoded(vae, ready.small)
    check_cells(samples, Grid(*ready.strength.shape[-2:]))
    return samples


def finished(
    patcher: Any,
    positive: Any,
    vae: Any,
    ready: Prepared,
    samples: Tensor,
    wish: FinishChoices,
    began: float,
) -> Finished:
    """Draws a prepared draft to its end; samples: encoded_draft()'s. began: when, for the report."""
    schedule = finishing(sampling_of(patcher), wish.strength, wish.steps)
    part, cells, here = ready.part, ready.cells, ready.crop.unscaled
    blocks = _blocks(patcher) if wish.kv == "draft" else ()
    # painted over the draft's hole is like the rest; another draft's may be empty, and then says nothing
    where = None if ready.made else (ready.strength < 1).float()
    z, calls = _drawn(patcher, positive, samples, ready.strength, schedule, wish.seed, blocks, where)
    out = latent_out(patcher.model, z.float().cpu())
    with uncast(patcher.load_device):
        shown = resized(decoded(vae, out)[None], part.image).clamp(0, 1)
    edit = pieced(ready.own, ready.sketch.picture[None], shown, cells, part.editable)
    edit = paste_back(ready.picture, edit, ready.task.editable, here, seam=0.0)
    none = torch.zeros_like(ready.picture[:, :1])
    share = paste_back(none, soft(cells, part.image), ready.task.editable, here, seam=0.0)
    report = {
        "draft": "made here" if ready.made else "given",
        "redrawn": "the mask" if ready.masked else "the hole",
        "cells": [int(cells.sum()), cells.numel()],
        **{name: getattr(wish, name) for name in ("strength", "steps", "core", "rest", "kv", "seed")},
        "kv_layers": list(blocks),
        "model_calls": calls,
        "seconds": round(time.perf_counter() - began, 3),
        "notes": [
            *(notes_of(ready.crop) if ready.cropped else ()),
            *ready.sketch.notes,
            *(() if cells.any() else (NOTHING,)),
        ],
    }
    return Finished(edit, out, share[0, 0], report)


def _within(crop: Crop) -> Crop:
    """Returns what resizes a cut-out of the picture's own pixels to the size that the model sees."""
    return Crop(0, 0, crop.width, crop.height, crop.size, crop.unscaled.size)


def _given(draft: Tensor, picture: Tensor, task: Task, redraw: Tensor | None) -> Draft:
    """Takes the user's draft, which may be the picture itself where a mask says what is drawn."""
    if redraw is None:
        return draft_from(draft[0], picture[0], task)
    return Draft(draft[0], torch.zeros_like(draft[0, 0]))


def _check_sizes(picture: Tensor, task: Task, draft: Tensor | None, crop: Crop | None) -> None:
    height, width = picture.shape[-2:]
    if task.image != Grid(height, width):
        raise DragError(
            f"the regions are drawn on {task.image.width}x{task.image.height} and the picture is {width}x"
            f"{height}: connect the picture that the regions were drawn on"
        )
    if draft is not None and draft.shape != picture.shape:
        raise DragError(
            f"the draft is {draft.shape[-1]}x{draft.shape[-2]} and the picture {width}x{height}: make the "
            "draft at the picture's size"
        )
    assert crop is not None or not (height % task.cell or width % task.cell)  # crop_for()


def _strengths(task: Task, wish: FinishChoices, redraw: Tensor | None, left: Tensor | None) -> Tensor:
    """Says how freely each cell is drawn.

    redraw: (H, W), painted. left: (1, 1, h, w), the hole of a draft made here; None: the user's own draft.
    """
    if redraw is None and not task.regions and (left is None or not task.handles):
        raise DragError(
            "nothing to draw: in a draft of your own points alone leave no hole; mark a region, or "
            "connect a mask to redraw"
        )
    cells = left if redraw is None else marked(redraw, task)
    if redraw is not None and cells is not None and not cells.any():
        raise DragError(
            "the redraw mask marks nothing within what may change: paint it there, larger than a cell of "
            f"{task.cell}x{task.cell} px, or disconnect it"
        )
    return strength_map(task, wish.core, wish.rest, cells)


def _blocks(patcher: Any) -> tuple[str, ...]:
    """Lists the layers whose keys and values are exchanged."""
    try:
        return family_in(patcher).kv
    except DragError as error:
        raise DragError(
            f"{error}: for this one set kv to none, which needs no more than its predictions"
        ) from None


def _drawn(
    patcher: Any,
    positive: Any,
    samples: Tensor,
    strength: Tensor,
    s: Schedule,
    seed: int,
    blocks: tuple[str, ...],
    where: Tensor | None,
) -> tuple[Tensor, int]:
    """Runs finish() inside the host's sampling: the core's latent, and how many calls it took."""
    scale = noise_scale(sampling_of(patcher))

    def draw(backbone: Backbone, z0: Tensor) -> Tensor:
        noise = scale * noise_like(z0, seed)
        tell = listener(patcher, noised(backbone, z0, s, noise))
        return finish(backbone, z0, strength, s, noise, kv_blocks=blocks, kv_where=where, on_step=tell)

    def plainly(backbone: Plain, z0: Tensor) -> tuple[Tensor, int]:
        return draw(backbone, z0), backbone.calls

    def hooked(backbone: HostBackbone, z0: Tensor) -> tuple[Tensor, int]:
        return draw(backbone, z0), backbone.call.calls

    sigmas = host_sigmas(s)
    if not blocks:
        return run_plain(patcher, positive, samples, plainly, sigmas, seed)
    need = SessionNeeds(sigmas=(0.0, float(sigmas[0])))
    return run(patcher, positive, samples, hooked, need, sigmas=sigmas, seed=seed)
